"""Sound in and out, and the features StyleTTS2 and Kokoro see in it."""
