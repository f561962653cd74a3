"""The command line: thin commands on top of the library, imported only when they are called."""
