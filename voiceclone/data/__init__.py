"""Dataset folders: reading the metadata, checking clips, splitting, and a synthesised demo dataset."""
