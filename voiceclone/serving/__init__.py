"""An OpenAI-compatible HTTP server that speaks with the library's and the stock voices (``pip install '.[serve]'``)."""
