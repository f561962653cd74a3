#!/usr/bin/env python3
"""A Mamba-Conv synthesizer from one recording: train, test, pipeline, analyze; see docs/mamba_conv.md."""

import sys

from voiceclone.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["mamba-conv", *sys.argv[1:]], program="main_runner.py"))
