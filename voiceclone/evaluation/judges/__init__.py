"""Two small judges that ship with the package: a phone recogniser and a speaker encoder no training loss ever uses."""
