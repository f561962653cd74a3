"""Train a base, and the small nets of the package; no part of cloning imports it."""
