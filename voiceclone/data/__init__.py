"""Folders of clips with transcripts: reading the metadata, checking every clip, splitting, and a spoken demo set."""
