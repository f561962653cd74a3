"""The command line: thin commands on top of the library, each imported only when it is called."""
