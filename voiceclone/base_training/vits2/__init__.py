"""Training of VITS2 on a corpus, and fitting a speaker vector to clips."""
