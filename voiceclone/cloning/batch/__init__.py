"""Many voices from one table."""
