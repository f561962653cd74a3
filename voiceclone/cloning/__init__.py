"""Clone a voice: settings, the folder of a run, its three stages and what they leave, and many voices from a table."""
