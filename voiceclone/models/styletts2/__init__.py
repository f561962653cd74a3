"""Networks of StyleTTS2 that Kokoro does not have."""
