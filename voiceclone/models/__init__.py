"""The bases: Kokoro-format models with their style encoders and stock voices. Build, load and fetch are kept apart."""
