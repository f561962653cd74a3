"""Kokoro-format models: build, load and fetch, kept apart, and the differentiable passes through them."""
