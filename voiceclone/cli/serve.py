"""``voiceclone serve``: an OpenAI-compatible speech server."""

from __future__ import annotations

import argparse
from pathlib import Path

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.system.extras import require


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``serve``."""
    parser.add_argument("--out", type=Path, default=Path("output"), help="folder of the voices (default: output)")
    parser.add_argument(
        "--base", default="auto", help="auto, kokoro, nano, the folder of a base, or a Kokoro ONNX file (default: auto)"
    )
    parser.add_argument("--lang", default="a", help="Kokoro's language code of requests that name none (default: a)")
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)"
    )
    parser.add_argument("--port", type=int, default=8880, help="port; 0 takes a free one (default: 8880)")
    parser.add_argument("--max-characters", type=int, default=10_000, help="longest text (default: 10000)")
    parser.add_argument(
        "--queue", type=int, default=16, help="requests that wait while one is spoken; more get 503 (default: 16)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the sound source's noise (default: 0)")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from voiceclone.bases.stock_names import checked_base
    from voiceclone.text.g2p import language_code
    from voiceclone.tracking.progress import Reporter

    lang = language_code(options.lang)
    checked_base(options.base)
    require("serve", what="the server")
    from voiceclone.serving.server import ServeConfig, serve

    names = ("out", "base", "device", "host", "port", "offline", "max_characters", "queue", "seed")
    config = ServeConfig(lang=lang, **{name: getattr(options, name) for name in names})
    serve(config, Reporter(verbosity=verbosity(options)))
    return 0
