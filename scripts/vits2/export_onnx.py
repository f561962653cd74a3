#!/usr/bin/env python3
"""Write a trained VITS2 as an ONNX file.

    python export_onnx.py --model-path=logs/ljs_base/base/model.safetensors \
        --config-path=logs/ljs_base/base/config.json --output=vits2.onnx

The public implementation's checkpoints (G_64000.pth) are another format: they are refused.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from common import run

from voiceclone.errors import UsageError


def export(options: argparse.Namespace) -> None:
    """Load, trace, write."""
    from voiceclone.bases.folder import read_info
    from voiceclone.models.vits2.onnx_export import export_onnx
    from voiceclone.models.vits2.speaking import load_vits2

    weights, config = options.model_path, options.config_path
    for path in (weights, config):
        if not path.is_file():
            raise UsageError(
                f"{path}: no such file: give model.safetensors and config.json of a base, as train.py packs it"
            )
    if weights.suffix != ".safetensors" or config.name != "config.json":
        raise UsageError(f"{weights}: give model.safetensors and config.json of a base; other checkpoints are not read")
    model, vocab = load_vits2(config.parent, weights)
    info = read_info(weights.parent)
    files = export_onnx(model, vocab, list(info.get("speakers", [])), str(info.get("language", "en")), options.output)
    print(f"written: {', '.join(map(str, files))}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model-path", type=Path, required=True, help="model.safetensors of a base")
    parser.add_argument("--config-path", type=Path, required=True, help="config.json of the same base")
    parser.add_argument("--output", type=Path, required=True, help="the ONNX file")
    sys.exit(run(export, parser))
