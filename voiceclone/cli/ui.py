"""``voiceclone ui``: a web page for cloning, listening, mixing and downloading."""

from __future__ import annotations

import argparse
from importlib import metadata
from pathlib import Path

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.errors import MissingPackageError
from voiceclone.system.extras import install_line, require

OLDEST_GRADIO = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``ui``."""
    parser.add_argument("--out", type=Path, default=Path("output"), help="folder of the voices (default: output)")
    parser.add_argument(
        "--base", default="auto", help="base of new voices, and of those that name none: auto, kokoro, nano, the "
        "folder of a base, or a Kokoro ONNX file (default: auto)"
    )  # fmt: skip
    parser.add_argument("--lang", default="a", help="Kokoro's language code (default: a)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)"
    )
    parser.add_argument("--port", type=int, default=7860, help="port; 0 takes a free one (default: 7860)")
    parser.add_argument(
        "--share", action="store_true", help="also open a public address through gradio's server, for three days; not "
        "with --offline"
    )  # fmt: skip
    parser.add_argument("--browser", action="store_true", help="open the page in a browser")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    require("ui", what="the web page")
    if int((version := metadata.version("gradio")).split(".")[0]) < OLDEST_GRADIO:
        raise MissingPackageError(
            f"the web page needs gradio {OLDEST_GRADIO}, and {version} is installed: {install_line('ui')}"
        )
    from voiceclone.bases.stock_names import checked_base
    from voiceclone.text.g2p import language_code
    from voiceclone.tracking.progress import Reporter
    from voiceclone.ui.page import serve_page
    from voiceclone.ui.studio import Studio

    checked_base(options.base)
    studio = Studio(options.out, base=options.base, lang=language_code(options.lang), offline=options.offline)
    serve_page(
        studio,
        host=options.host,
        port=options.port,
        share=options.share,
        browser=options.browser,
        reporter=Reporter(verbosity=verbosity(options)),
    )
    return 0
