"""Train a base: a Kokoro-format model, its style encoders and its stock voices, from a multi-speaker dataset."""
