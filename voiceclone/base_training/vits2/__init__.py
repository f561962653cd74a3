"""Training of a VITS2 from a corpus, and a speaker's vector for one of its models."""
