#!/usr/bin/env python3
"""Train a VITS2 of one speaker from a config of the public implementation.

python train.py -c configs/vits2_ljs_nosdp.json -m ljs_base
"""

from __future__ import annotations

import sys

from common import train

if __name__ == "__main__":
    sys.exit(train(several=False, description="Train a VITS2 of one speaker; filelists are wav|text."))
