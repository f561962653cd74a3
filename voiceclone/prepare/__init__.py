"""From what people have, recordings and what is said in them, to a dataset folder: see docs/prepare.md."""
