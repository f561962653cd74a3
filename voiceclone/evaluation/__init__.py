"""How good a voice is: figures and measures."""
