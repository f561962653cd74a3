"""The command line: thin commands over the library, loaded only when they are called."""
