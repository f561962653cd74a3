"""A web page for cloning, listening, mixing and downloading (``pip install '.[ui]'``)."""
