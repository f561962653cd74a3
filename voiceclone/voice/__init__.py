"""Stage 3: voice packs, their length profile, file formats, mixing, and speaking."""
