"""Stage 3: voice packs, how their rows change with length, and speaking with them."""
