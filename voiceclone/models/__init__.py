"""Kokoro-format models: building, loading and fetching in separate modules, and differentiable forward passes."""
