"""``python -m voiceclone COMMAND``."""

import sys

from voiceclone.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
