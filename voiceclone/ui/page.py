"""The web page: a walkthrough of five steps that makes a voice, the library, and VITS2 models.

It listens on localhost only unless told otherwise, and loads nothing from other servers (:mod:`voiceclone.ui.shield`).
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from typing import TYPE_CHECKING, Any

from voiceclone.errors import UsageError, VoicecloneError, shown
from voiceclone.evaluation.pages import asset
from voiceclone.serving.hosts import OnlyHosts, hosts_of
from voiceclone.system.ports import is_loopback, listening_socket
from voiceclone.system.signals import ended_by_signals
from voiceclone.ui.desk import STEPS, Desk, Path, head_html
from voiceclone.ui.draft import MAX_FILE_BYTES
from voiceclone.ui.handlers import error_sentence
from voiceclone.ui.library_tab import build_library_tab
from voiceclone.ui.look import STYLE, theme
from voiceclone.ui.shield import Shield
from voiceclone.ui.step_clone import TICK_SECONDS, build_clone_step
from voiceclone.ui.step_consent import build_consent_step
from voiceclone.ui.step_result import build_result_step
from voiceclone.ui.step_texts import build_texts_step
from voiceclone.ui.step_voice import build_voice_step
from voiceclone.ui.vits2_tab import build_vits2_tab
from voiceclone.ui.way_back import SCRIPT, build_way_back

if TYPE_CHECKING:
    import gradio as gr

    from voiceclone.tracking.progress import Reporter
    from voiceclone.ui.studio import Studio

TITLE = "voiceclone"
INTRODUCTION = '<div class="title"><h1>Your own voice for Kokoro</h1><p>Only clone voices whose owners agree.</p></div>'
OPEN_WARNING = (
    "the page can be reached from other machines: whoever reaches it can clone voices, and hear, rename and delete "
    "those of the library; there is no password"
)
SWEEP_SECONDS = 86_400  # between two deletions of old drafts
_BUILDERS = (build_voice_step, build_texts_step, build_consent_step, build_clone_step, build_result_step)


def serve_page(studio: Studio, *, host: str, port: int, share: bool, browser: bool, reporter: Reporter) -> None:
    """Serve the page until Ctrl-C, SIGTERM or the end of its terminal. An active training is then stopped, too.

    Args:
        studio: voices and speech.
        host: address to listen on.
        port: TCP port.
        share: also open a public address through gradio's tunnel server.
        browser: open the page in a browser.
        reporter: for messages.

    Raises:
        UsageError: the port is taken, or ``share`` is set and the studio is offline.
        VoicecloneError: there is no public address, or the page does not answer.
    """
    if share and studio.offline:
        raise UsageError("--share opens a public address through the network: leave --offline or --share out")
    with ended_by_signals():
        _serve(studio, host=host, port=port, share=share, browser=browser, reporter=reporter)


def _serve(studio: Studio, *, host: str, port: int, share: bool, browser: bool, reporter: Reporter) -> None:
    with listening_socket(host, port) as probe:
        port = probe.getsockname()[1]
    local = is_loopback(host) and not share
    if not local:
        reporter.warn(OPEN_WARNING)
    desk, page = Desk.of(studio, local=local), None
    try:
        desk.drafts.sweep()
        os.environ["GRADIO_TEMP_DIR"] = str(desk.sounds.uploads)
        page = build_page(desk)
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # gradio explains a failure in ten lines
                _, address, public = page.launch(
                    server_name=host, server_port=port, inbrowser=browser, share=share, **_settings(desk, host)
                )
        except ValueError as error:
            if "localhost" not in str(error):
                raise
            # gradio probes its own server once after the start, and fails where a busy machine answers too late.
            raise VoicecloneError("the page's server did not answer in time: try again when less else runs") from error
        if share and not public:
            raise VoicecloneError("--share: gradio could not open a public address: check the network, or leave it out")
        reporter.info(f"page: {address} (Ctrl-C ends it)" + (f"\npublic: {public}" if public else ""))
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                for _ in range(SWEEP_SECONDS):
                    time.sleep(1)
                desk.drafts.sweep()
    finally:
        desk.close()
        if page is not None:
            page.close(verbose=False)


def build_page(desk: Desk) -> gr.Blocks:
    """Build the whole page."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # else texts and names that were entered would remain in the browser's storage
    os.environ["GRADIO_RUN_HISTORY"] = "False"
    import gradio as gr

    desk.studio.warn = lambda line: gr.Warning(error_sentence(shown(line)))
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 86_400)) as page:
        gr.HTML(INTRODUCTION)
        # A fixed secret is fine: only the visitor can read the browser's storage.
        visit = gr.BrowserState("", storage_key="voiceclone-visit", secret="voiceclone")
        timer = gr.Timer(TICK_SECONDS, active=False)
        with gr.Tab("Make a voice", elem_id="tab-make"):
            head = gr.HTML(head_html(1))
            with gr.Walkthrough(selected=1, elem_id="walk") as walk:
                way = Path(visit=visit, walk=walk, head=head, timer=timer, moved=gr.State(()))
                steps = []
                for number, title in enumerate(STEPS, 1):
                    with gr.Step(title, id=number) as step:
                        steps.append(step)
            for step, build in zip(steps, _BUILDERS):
                with step:
                    build(desk, way)
            build_way_back(desk, way)
            way.wire(desk.drafts.of)
        with gr.Tab("Library", elem_id="tab-library") as library:
            build_library_tab(desk, library)
        with gr.Tab("VITS2", elem_id="tab-vits2") as vits2:
            build_vits2_tab(desk, vits2)
        page.load(lambda token: _restored(desk, way, token), visit, [visit, *way.outputs], show_progress="hidden")
    return page


def _restored(desk: Desk, way: Path, token: Any) -> list[Any]:
    """Updates that restore the page to the visitor's last state."""
    draft = desk.drafts.of(token)
    number = draft.state.step if 1 <= draft.state.step <= len(STEPS) else 1
    return [draft.token, *way.at(draft, number)]


def _settings(desk: Desk, host: str) -> dict[str, Any]:
    """Arguments of gradio's ``launch``."""
    from starlette.middleware import Middleware

    around = [Middleware(Shield)]
    hosts = hosts_of(host) if desk.local else None
    if hosts is not None:  # gradio itself trusts the page of any domain that was pointed to this machine
        around.insert(0, Middleware(OnlyHosts, hosts=hosts, origins=True))
    return {
        "theme": theme(),
        "css": asset("gauge.css") + STYLE,
        "js": SCRIPT,
        "footer_links": [],
        "ssr_mode": False,  # it would start Node.js where that is installed
        "quiet": True,
        "prevent_thread_lock": True,
        "max_file_size": MAX_FILE_BYTES,
        # Both contain folders with random names only: one for each visitor, one for each sound.
        "allowed_paths": [str(desk.drafts.folder.resolve()), str(desk.sounds.folder.resolve())],
        "app_kwargs": {"middleware": around, "docs_url": None, "redoc_url": None, "openapi_url": None},
    }
