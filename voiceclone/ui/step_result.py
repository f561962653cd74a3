"""Step 5: recording and clone side by side, the result of the comparison, downloads, and code that uses the voice."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.errors import UsageError
from voiceclone.evaluation.in_words import Findings, verdict_in_words
from voiceclone.ui.comparison import pairs_of, read_findings
from voiceclone.ui.desk import Desk, Step, note
from voiceclone.ui.desk import Path as Way
from voiceclone.ui.handlers import told
from voiceclone.ui.job import DONE, RESULT_FILE
from voiceclone.ui.player import player, side_by_side
from voiceclone.ui.shelf import DOWNLOADS, STOCK_ONLY, export, own_voice, python_lines
from voiceclone.voice.space import KOKORO_SPACE

if TYPE_CHECKING:
    from voiceclone.ui.draft import Draft


def build_result_step(desk: Desk, way: Way) -> None:
    """Build the step and connect its events."""
    import gradio as gr

    with gr.Column(visible=False, elem_id="result") as result:
        verdict = gr.HTML(elem_id="verdict")
        pairs = gr.HTML(elem_id="pairs")
        gr.HTML("<h3>Take it with you</h3>")
        with gr.Row(elem_classes="downloads"):
            buttons = [gr.DownloadButton(title, elem_id=f"download-{form}") for title, (form, _) in DOWNLOADS.items()]
        warning = gr.HTML(visible=False)
        lines = gr.Markdown(elem_id="lines")
        another = gr.Button("Make another voice", elem_id="another")
    waiting = gr.HTML(note("There is no finished voice yet."))

    outputs = [result, waiting, verdict, pairs, *buttons, warning, lines]

    def shown(draft: Draft) -> list[Any]:
        state = desk.jobs.state(draft)
        if state is None or state.outcome != DONE:
            return [gr.Column(visible=False), gr.HTML(visible=True), *[gr.skip()] * (len(outputs) - 2)]
        file = str(desk.studio.out / state.name / f"{state.name}.pt")
        try:
            voice = own_voice(desk.studio.out, file)
        except UsageError:  # the voice was renamed or deleted in the library
            return [gr.Column(visible=False), gr.HTML(visible=True), *[gr.skip()] * (len(outputs) - 2)]
        place = desk.sounds.place()
        files = [str(export(desk.studio, file, form, place)) for form, _ in DOWNLOADS.values()]
        stock = voice.fits(KOKORO_SPACE)
        downloads = [
            gr.DownloadButton(value=path, visible=stock or form not in STOCK_ONLY)
            for path, (form, _) in zip(files, DOWNLOADS.values())
        ]
        only = f"This voice fits the base {voice.base} only, not Kokoro-82M: kokoro-onnx and kokoro.js cannot use it."
        return [
            gr.Column(visible=True),
            gr.HTML(visible=False),
            verdict_html(f"{voice.name} is ready", read_findings(Path(file))),
            pairs_html(desk, draft, file),
            *downloads,
            gr.HTML(value=note(only, "fair"), visible=not stock),
            f"Speak with it in Python:\n```python\n{python_lines(desk.studio, voice)}\n```",
        ]

    way.steps.append(Step(outputs=outputs, shown=shown))

    def begin_anew(token: str) -> list[Any]:
        draft = desk.drafts.of(token)
        desk.jobs.forget(draft)
        draft.clear()
        return way.at(draft, 1)

    another.click(told(begin_anew, outputs=4), way.visit, way.outputs)


def verdict_html(title: str, found: Findings | None) -> str:
    """HTML of the comparison: a text summary, then bars."""
    from voiceclone.evaluation.bars import bars_of
    from voiceclone.evaluation.pages import render_html

    head = f"<h2>{escape(title)}</h2>"
    if found is None:
        return head
    return head + render_html("verdict.html.j2", in_words=verdict_in_words(found), bars=bars_of(found))


def pairs_html(desk: Desk, draft: Draft, file: str) -> str:
    """HTML of the recording and the clone of each sentence; missing files are left out."""
    found = []
    for number, pair in enumerate(pairs_of(desk.studio, file)):
        recording, clone = draft.folder / "clips" / pair.recording.name, draft.folder / RESULT_FILE.format(number)
        if recording.is_file() and clone.is_file():
            heading = f'<p class="said">“{escape(pair.text)}”</p>'
            found.append((heading + player(recording, "You"), player(clone, "The voice", elem_id=f"clone-{number}")))
    return side_by_side(found) if found else ""
