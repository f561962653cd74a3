"""Clone a voice: settings, run folder, the three stages and their output files, and batches from a table."""
