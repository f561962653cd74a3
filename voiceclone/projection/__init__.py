"""Stage 2: the projection from StyleTTS2's style space to Kokoro's, trained through the frozen Kokoro."""
