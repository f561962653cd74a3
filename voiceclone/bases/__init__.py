"""Bases: loading and converting a Kokoro-format model with its style encoders and stock voices."""
