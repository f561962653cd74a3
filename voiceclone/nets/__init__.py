"""Small nets that read speech: speaker encoders, a phone classifier and a phone recogniser."""
