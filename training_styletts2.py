"""Clone a voice for Kokoro: ``python training_styletts2.py --data ./ds --name v``, the same as ``voiceclone clone``."""

import sys

from voiceclone.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["clone", *sys.argv[1:]], program="training_styletts2.py"))
