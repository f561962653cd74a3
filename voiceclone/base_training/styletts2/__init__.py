"""Parts of StyleTTS2's training beside the generator's own losses."""
