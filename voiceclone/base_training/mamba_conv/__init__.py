"""Training of the Mamba-Conv synthesizer and of its codec."""
