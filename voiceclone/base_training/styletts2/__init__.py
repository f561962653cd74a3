"""The parts of StyleTTS2's training that exist beside the generator's own losses."""
