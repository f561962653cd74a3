"""Record a dataset from a microphone, one sentence after the other (``pip install '.[record]'``)."""
