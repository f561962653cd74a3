"""Stage 1: StyleTTS2's acoustic and prosodic style encoders, and the style vectors of a dataset."""
