"""Text to phonemes, and a rule-based synthesiser (eSpeak-NG) for speech with known phonemes."""
