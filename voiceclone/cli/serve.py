"""``voiceclone serve``: an OpenAI-compatible speech server."""

from __future__ import annotations

import argparse
from pathlib import Path

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.serving.config import ServeConfig
from voiceclone.system.extras import require
from voiceclone.system.settings import add_flags, given


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``serve``."""
    whole = {"type": int}
    add_flags(
        parser, ServeConfig, out={"type": Path}, base={}, lang={}, device={}, host={}, port=whole, max_characters=whole,
        queue=whole, seed=whole, offline={"action": "store_true"},
    )  # fmt: skip
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from voiceclone.bases.stock_names import checked_base
    from voiceclone.text.g2p import language_code
    from voiceclone.tracking.progress import Reporter

    lang = language_code(options.lang)
    checked_base(options.base)
    require("serve", what="the server")
    from voiceclone.serving.server import serve

    serve(given(ServeConfig, options, lang=lang), Reporter(verbosity=verbosity(options)))
    return 0
