"""Step 2: for each clip a player, its transcript, and its quality verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from voiceclone.errors import UsageError
from voiceclone.ui.clip_words import GOOD, UNFIT
from voiceclone.ui.clips import MIN_CLIPS
from voiceclone.ui.desk import Desk, Path, Step, note
from voiceclone.ui.draft import MAX_TEXT
from voiceclone.ui.handlers import told
from voiceclone.ui.listed import ROWS, ListedClips, keep_texts
from voiceclone.ui.player import player
from voiceclone.ui.whisper import fill_in, find_whisper

if TYPE_CHECKING:
    from voiceclone.ui.draft import Draft, DraftClip


def build_texts_step(desk: Desk, way: Path) -> None:
    """Build the step and connect its events. All rows exist from the start; those with a clip are visible."""
    import gradio as gr

    whisper = find_whisper(desk.studio.lang, offline=desk.studio.offline)
    gr.HTML("<h2>What is said in each clip</h2><p>The text must be word for word what is heard.</p>")
    with gr.Row(visible=False, elem_id="whisper", equal_height=True) as missing:
        gr.Markdown(whisper.line)
        fill = gr.Button("Write the missing texts", elem_id="fill", visible=whisper.model is not None)
    rows = [_row(gr, number) for number in range(ROWS)]
    listed = gr.State(ListedClips())
    with gr.Row(visible=False, elem_classes="pair-of-buttons", elem_id="pager") as pager:
        before = gr.Button("Earlier clips", elem_id="earlier")
        after = gr.Button("Later clips", elem_id="later")
    with gr.Row(elem_classes="pair-of-buttons"):
        back = gr.Button("Back", elem_id="back-to-voice")
        onward = gr.Button("Next: consent", variant="primary", elem_id="to-consent")

    boxes = [row[2] for row in rows]
    outputs = [missing, listed, pager, before, after, *(part for row in rows for part in row[:3])]

    def shown(draft: Draft, start: int = 0) -> list[Any]:
        page = ListedClips.of(draft, start)
        start = page.start
        lacking = any(not clip.text and clip.grade != UNFIT for clip in draft.clips)
        found: list[Any] = [gr.Row(visible=lacking), page, gr.Row(visible=len(draft.clips) > ROWS)]
        found += [gr.Button(interactive=start > 0), gr.Button(interactive=start + ROWS < len(draft.clips))]
        for number in range(start, start + ROWS):
            found += _shown_row(gr, draft, draft.clips[number] if number < len(draft.clips) else None)
        return found

    way.steps.append(Step(outputs=outputs, shown=shown))
    given = [way.visit, listed, *boxes]
    _wire_rows(desk, rows, listed, given, outputs, shown)

    def turn(token: str, page: ListedClips, by: int, *texts: str) -> list[Any]:
        draft = desk.drafts.of(token)
        keep_texts(draft, page, texts)
        return shown(draft, page.start + by)

    def write(token: str, page: ListedClips, *texts: str) -> list[Any]:
        draft = desk.drafts.of(token)
        keep_texts(draft, page, texts)
        if not fill_in(draft, whisper.model or "", desk.studio.lang):
            raise UsageError("no speech was recognised: write the texts yourself")
        return shown(draft, page.start)

    def go_on(token: str, page: ListedClips, *texts: str) -> list[Any]:
        draft = desk.drafts.of(token)
        keep_texts(draft, page, texts)
        if len(draft.usable()) < MIN_CLIPS:
            raise UsageError(
                f"{len(draft.usable())} clips are good and have a text: {MIN_CLIPS} are needed, 20 are better"
            )
        return way.at(draft, 3)

    def go_back(token: str, page: ListedClips, *texts: str) -> list[Any]:
        draft = desk.drafts.of(token)
        keep_texts(draft, page, texts)
        return way.at(draft, 1)

    size = len(outputs)
    before.click(told(lambda token, page, *t: turn(token, page, -ROWS, *t), outputs=size), given, outputs)
    after.click(told(lambda token, page, *t: turn(token, page, ROWS, *t), outputs=size), given, outputs)
    fill.click(told(write, outputs=size), given, outputs)
    back.click(told(go_back, outputs=4), given, way.outputs)
    onward.click(told(go_on, outputs=4), given, way.outputs)


def _wire_rows(
    desk: Desk,
    rows: list[Any],
    listed: Any,
    given: list[Any],
    outputs: list[Any],
    shown: Callable[..., list[Any]],
) -> None:
    """Connect each row's remove button and text box."""
    size = len(outputs)

    def remove(token: str, page: ListedClips, number: int, *texts: str) -> list[Any]:
        draft = desk.drafts.of(token)
        keep_texts(draft, page, texts)
        file = page.rows[number][0] if number < len(page.rows) else None
        for clip in [clip for clip in draft.clips if clip.file == file]:
            draft.remove(clip)
        return shown(draft, page.start)

    for number, row in enumerate(rows):
        row[3].click(told(lambda token, page, *t, n=number: remove(token, page, n, *t), outputs=size), given, outputs)
        row[2].blur(told(lambda token, page, *t: keep_texts(desk.drafts.of(token), page, t)), given, listed)


def _row(gr: Any, number: int) -> tuple[Any, Any, Any, Any]:
    with gr.Group(visible=False, elem_classes="clip") as group:
        head = gr.HTML(elem_id=f"clip-{number}")
        text = gr.Textbox(
            label="What is said",
            show_label=False,  # it stands under the clip's name; screen readers read the label
            container=False,
            lines=2,
            max_lines=6,
            elem_id=f"text-{number}",
            max_length=MAX_TEXT,
            placeholder="What is said?",
        )
        remove = gr.Button("Remove this clip", size="sm", elem_id=f"remove-{number}", elem_classes="remove")
    return group, head, text, remove


def _shown_row(gr: Any, draft: Draft, clip: DraftClip | None) -> list[Any]:
    if clip is None:
        return [gr.Group(visible=False), gr.HTML(value=""), gr.Textbox(value="")]
    length = f"{clip.seconds:.1f} s"
    if clip.grade == GOOD:
        head = player(draft.path_of(clip), clip.label, note=f"{length} · {clip.words}")
    else:
        head = player(draft.path_of(clip), clip.label, note=length) + note(clip.words, clip.grade)
    return [
        gr.Group(visible=True),
        gr.HTML(value=head),
        gr.Textbox(value=clip.text, label=f"What is said in {clip.label}"),
    ]
