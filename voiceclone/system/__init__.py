"""The installation and the machine: optional packages, versions, child processes, sockets."""
