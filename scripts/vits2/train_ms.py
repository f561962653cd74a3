#!/usr/bin/env python3
"""Train a VITS2 of several speakers from a config of the public implementation.

python train_ms.py -c configs/vits2_vctk_base.json -m vctk_base
"""

from __future__ import annotations

import sys

from common import train

if __name__ == "__main__":
    sys.exit(train(several=True, description="Train a VITS2 of several speakers; filelists are wav|speaker|text."))
