"""Small nets that hear: who is speaking, and which phones."""
