"""The page: three tabs on a :class:`Studio` and a :class:`Training`.

Gradio sends nothing home (its analytics are switched off) and loads no fonts; by default only this machine is served.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

from voiceclone.errors import shown
from voiceclone.system.ports import listening_socket
from voiceclone.ui.clone_tab import build_clone_tab
from voiceclone.ui.listen_tab import build_listen_tab
from voiceclone.ui.mix_tab import build_mix_tab
from voiceclone.ui.training import Training

if TYPE_CHECKING:
    import gradio as gr

    from voiceclone.tracking.progress import Reporter
    from voiceclone.ui.studio import Studio

TITLE = "voiceclone"
INTRODUCTION = "# voiceclone\nYour own voice for Kokoro TTS. Only clone voices whose owners agree."
STYLE = """
footer { display: none !important; }
.status { font-weight: 600; }
.log textarea { font-family: monospace; font-size: 12px; }
"""


def serve(studio: Studio, *, host: str, port: int, browser: bool, reporter: Reporter) -> None:
    """Serve until Ctrl-C; a training that is going on is then stopped as by Ctrl-C.

    Raises:
        UsageError: the port is taken.
    """
    _end_as_by_interrupt(signal.SIGTERM)
    with listening_socket(host, port) as probe:
        port = probe.getsockname()[1]
    training = Training()
    page = build_page(studio, training)
    import gradio as gr

    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            inbrowser=browser,
            share=False,
            theme=gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            css=STYLE,
            footer_links=[],
            ssr_mode=False,  # it would start Node.js where that is installed
            quiet=True,
            prevent_thread_lock=True,
            allowed_paths=[str(studio.out.resolve())],
        )
        reporter.info(f"page: {address} (Ctrl-C ends it)")
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(1)
    finally:
        training.close()
        page.close(verbose=False)


def build_page(studio: Studio, training: Training) -> gr.Blocks:
    """The whole page."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_RUN_HISTORY"] = "False"  # what was said and entered would stay in the browser
    import gradio as gr

    studio.warn = lambda line: gr.Warning(shown(line))
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.Markdown(INTRODUCTION)
        with gr.Tab("Clone"):
            build_clone_tab(studio, training)
        with gr.Tab("Listen") as listen:
            build_listen_tab(studio, listen)
        with gr.Tab("Mix") as mix:
            build_mix_tab(studio, mix)
    return page


def _end_as_by_interrupt(number: int) -> None:
    """Let a signal end the page as Ctrl-C does, so that no training is left alone."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(number, signal.default_int_handler)
