"""Audio files, and the acoustic features of StyleTTS2 and Kokoro."""
