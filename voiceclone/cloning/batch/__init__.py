"""Clone many voices from one table."""
