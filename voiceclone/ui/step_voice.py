"""Step 1: record sentences, or upload one long recording or clips."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.errors import UsageError
from voiceclone.recording.sentences import SENTENCES
from voiceclone.ui import intake
from voiceclone.ui.clip_words import UNFIT
from voiceclone.ui.clips import MIN_CLIPS
from voiceclone.ui.desk import Desk, Step, note
from voiceclone.ui.desk import Path as Way
from voiceclone.ui.handlers import told
from voiceclone.ui.whisper import find_whisper

if TYPE_CHECKING:
    from voiceclone.ui.draft import Draft

ENOUGH_SECONDS = 60.0  # seconds of speech below which the page recommends more
SOUND_TYPES = ["audio"]


def build_voice_step(desk: Desk, way: Way) -> None:
    """Build the step and connect its events."""
    import gradio as gr

    gr.HTML("<h2>Give your voice</h2><p>One minute of clear speech is enough to begin with. Choose a way.</p>")
    place = gr.State(0)
    with gr.Tabs(elem_id="ways"):
        with gr.Tab("Read aloud", elem_id="way-read"):
            sentence = gr.HTML(elem_id="sentence")
            microphone = gr.Audio(
                sources=["microphone"],
                type="filepath",
                label="Your microphone",
                show_label=False,
                elem_id="microphone",
                buttons=[],
            )
            heard = gr.HTML(visible=False, elem_id="heard")
            with gr.Row(elem_classes="pair-of-buttons"):
                back = gr.Button("Previous", elem_id="back")
                skip = gr.Button("Skip", elem_id="skip")
        with gr.Tab("One recording", elem_id="way-long"):
            long, script, cut = _long_way(gr, desk)
        with gr.Tab("Clips", elem_id="way-clips"):
            gr.HTML(
                "<p>Clips of 2 to 15 seconds. Texts come from <code>.txt</code> files of the same names or from a "
                "<code>metadata.jsonl</code> among the files, or you write them in the next step.</p>"
            )
            clips = gr.File(label="Clips", elem_id="clips", file_count="multiple", height=140)
            folder, take = _folder_way(gr, desk)
    summary = gr.HTML(visible=False, elem_id="summary")
    onward = gr.Button("Next: texts", variant="primary", visible=False, elem_id="to-texts")

    outputs = [summary, onward]
    read_outputs = [place, sentence]

    def shown(draft: Draft) -> list[Any]:
        number = intake.next_sentence(draft)
        return [*_counted(desk, draft), number, _sentence(draft, number)]

    way.steps.append(Step(outputs=[*outputs, *read_outputs], shown=shown))
    _wire_reading(desk, way, microphone, heard, outputs, read_outputs)
    back.click(lambda token, number: _move(desk, token, number, -1), [way.visit, place], read_outputs)
    skip.click(lambda token, number: _move(desk, token, number, 1), [way.visit, place], read_outputs)
    _wire_files(desk, way, clips, outputs)
    cut.click(told(lambda *given: _cut_up(desk, *given), outputs=3), [way.visit, long, script], [*outputs, long])
    if take is not None:
        take.click(told(lambda token, path: _take(desk, token, path), outputs=2), [way.visit, folder], outputs)
    onward.click(told(lambda token: way.at(desk.drafts.of(token), 2), outputs=4), way.visit, way.outputs)


def _wire_reading(
    desk: Desk, way: Way, microphone: Any, heard: Any, outputs: list[Any], read_outputs: list[Any]
) -> None:
    """Connect the microphone: a recorded sentence becomes a clip, then the next sentence is shown."""
    import gradio as gr

    def read(token: str, number: int, recording: str | None) -> list[Any]:
        if recording is None:
            return [gr.skip()] * 6
        draft = desk.drafts.of(token)
        clip = intake.add_reading(draft, number, Path(recording))
        following = number if clip.grade == UNFIT else intake.next_sentence(draft, number)
        said = f"{clip.label}: {clip.words}"
        kind = gr.HTML(value=note(said, clip.grade, live=True), visible=True)
        return [*_counted(desk, draft), following, _sentence(draft, following), None, kind]

    microphone.stop_recording(
        told(read, outputs=6), [way.visit, read_outputs[0], microphone], [*outputs, *read_outputs, microphone, heard]
    )


def _move(desk: Desk, token: str, number: int, by: int) -> list[Any]:
    """Show another sentence."""
    draft = desk.drafts.of(token)
    number = (number + by) % len(SENTENCES)
    return [number, _sentence(draft, number)]


def _wire_files(desk: Desk, way: Way, clips: Any, outputs: list[Any]) -> None:
    """Connect the file box: uploaded files become clips."""

    def drop(token: str, files: list[str] | None) -> list[Any]:
        draft = desk.drafts.of(token)
        if files:
            intake.add_files(draft, [Path(file) for file in files])
        return [*_counted(desk, draft), None]

    clips.upload(told(drop, outputs=3), [way.visit, clips], [*outputs, clips])


def _cut_up(desk: Desk, token: str, recording: str | None, said: str) -> list[Any]:
    """Cut an uploaded long recording into clips."""
    import gradio as gr

    draft = desk.drafts.of(token)
    if recording is None:
        raise UsageError("there is no recording yet: drop one")
    model = find_whisper(desk.studio.lang, offline=desk.studio.offline).model
    intake.add_long(draft, Path(recording), said, model=model, lang=desk.studio.lang, say=gr.Warning)
    return [*_counted(desk, draft), None]


def _long_way(gr: Any, desk: Desk) -> tuple[Any, Any, Any]:
    whisper = find_whisper(desk.studio.lang, offline=desk.studio.offline)
    gr.HTML(
        "<p>It is cut into clips at its pauses, which takes minutes for a long one. The text must be what is really "
        "said in it.</p>"
    )
    long = gr.File(label="Recording", elem_id="long", file_types=SOUND_TYPES, height=140)
    script = gr.Textbox(label="What is said in it", elem_id="script", lines=4, placeholder=_script_hint(whisper.model))
    return long, script, gr.Button("Cut it into clips", elem_id="cut")


def _script_hint(model: str | None) -> str:
    return "Paste the text" + (", or leave this empty: Whisper writes it down" if model else "")


def _folder_way(gr: Any, desk: Desk) -> tuple[Any, Any]:
    if not desk.local:
        return None, None
    with gr.Accordion("A dataset folder on this machine", open=False):
        folder = gr.Textbox(label="Folder", elem_id="folder", placeholder="/home/me/my_dataset")
        return folder, gr.Button("Take its clips", elem_id="take-folder")


def _take(desk: Desk, token: str, path: str) -> list[Any]:
    draft = desk.drafts.of(token)
    intake.add_folder(draft, Path(path.strip()).expanduser())
    return _counted(desk, draft)


def _sentence(draft: Draft, number: int) -> str:
    done = intake.readings_done(draft)
    mark = " ✓ recorded" if number in done else ""
    so_far = f" {len(done)} recorded so far." if done else ""
    return (
        f'<p class="count">Sentence {number + 1} of {len(SENTENCES)}{mark}</p>'
        f'<p class="reading" role="status">{escape(SENTENCES[number])}</p>'
        f'<p class="hint">Press Record, read the sentence, press Stop.{so_far}</p>'
    )


def _counted(desk: Desk, draft: Draft) -> list[Any]:
    """Updates of the summary line and the button to the next step. From the first clip on, the base is loaded."""
    import gradio as gr

    if not draft.clips:
        return [gr.HTML(visible=False), gr.Button(visible=False)]
    desk.studio.warm_up()
    fit = [clip for clip in draft.clips if clip.grade != UNFIT]
    seconds = sum(clip.seconds for clip in fit)
    line = f"{len(fit)} clip{'' if len(fit) == 1 else 's'}, {seconds:.0f} seconds of speech."
    if len(fit) < len(draft.clips):
        line += f" {len(draft.clips) - len(fit)} more cannot be used; the next step says why."
    if len(fit) < MIN_CLIPS:
        line += f" At least {MIN_CLIPS} are needed."
    elif seconds < ENOUGH_SECONDS:
        line += " Enough for a first try; a minute or two makes a better voice."
    return [
        gr.HTML(value=note(line, "good" if len(fit) >= MIN_CLIPS else "info", live=True), visible=True),
        gr.Button(visible=True, variant="primary" if len(fit) >= MIN_CLIPS else "secondary"),
    ]
