"""Mamba-Conv: a token-based synthesizer, and the neural codec whose tokens it predicts; see docs/mamba_conv.md."""
