"""The bases: a Kokoro-format model with its style encoders and its stock voices, loaded, converted and named."""
