"""Making a dataset folder from recordings and their texts: see docs/prepare.md."""
