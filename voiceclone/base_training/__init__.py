"""Training of a base and of the package's small networks. Not imported by cloning."""
