"""Small nets for speech: speaker encoders, a phone classifier and a phone recogniser."""
