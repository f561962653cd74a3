"""The first tab: clips or a dataset folder in, a training to watch, a voice out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.cloning.config import CloneConfig
from voiceclone.errors import UsageError
from voiceclone.ui.clips import make_dataset, transcripts_of
from voiceclone.ui.events import Snapshot
from voiceclone.ui.handlers import told
from voiceclone.ui.player import player

if TYPE_CHECKING:
    from voiceclone.ui.studio import Studio
    from voiceclone.ui.training import Training

TICK_SECONDS = 2.0
HINT = (
    "Drop clips of 2 to 15 seconds and write down what is said in each, or drop `.txt` files of the same names or a "
    "`metadata.jsonl` with them. Or give a folder that holds `train/metadata.jsonl`."
)


def build_clone_tab(studio: Studio, training: Training) -> None:
    """Lay the tab out and wire it."""
    import gradio as gr

    with gr.Row():
        with gr.Column(scale=2):
            inputs = _inputs(gr, studio)
            with gr.Row():
                start = gr.Button("Start", variant="primary", elem_id="start")
                stop = gr.Button("Stop")
        with gr.Column(scale=3):
            outputs = _outputs(gr)
    files, table = inputs[0], inputs[1]
    files.change(told(_table_of), files, table)
    start.click(told(lambda *values: _start(studio, training, *values)), inputs, outputs[0])
    stop.click(told(lambda: _stop(training)), None, outputs[0])
    gr.Timer(TICK_SECONDS).tick(
        lambda seen: _tick(training, seen), outputs[-1], outputs, show_progress="hidden", concurrency_limit=1
    )


def _inputs(gr: Any, studio: Studio) -> list[Any]:
    gr.Markdown(HINT)
    files = gr.File(label="Clips", elem_id="clips", file_count="multiple", height=120)
    table = gr.Dataframe(
        headers=["clip", "what is said"],
        datatype=["str", "str"],
        column_count=2,
        type="array",
        label="Transcripts",
        elem_id="transcripts",
        interactive=True,
        wrap=True,
        column_widths=["30%", "70%"],
        max_height=220,
    )
    folder = gr.Textbox(label="…or a dataset folder", placeholder="/home/me/my_dataset")
    with gr.Row():
        name = gr.Textbox(label="Name of the voice", elem_id="name", value="my_voice")
        base = gr.Textbox(label="Base", value=studio.base, placeholder="auto, kokoro, nano or a folder")
    with gr.Row():
        epochs = gr.Number(
            label="Epochs", elem_id="epochs", value=CloneConfig(data="").epochs_projection, precision=0, minimum=0
        )
        seed = gr.Number(label="Seed", value=0, precision=0, minimum=0)
    consent = gr.Textbox(label="Consent", placeholder="who agreed to this voice being cloned, and how")
    with gr.Row():
        resume = gr.Checkbox(label="Resume an unfinished run")
        overwrite = gr.Checkbox(label="Replace an existing voice")
    return [files, table, folder, name, base, epochs, seed, consent, resume, overwrite]


def _outputs(gr: Any) -> list[Any]:
    status = gr.Textbox(
        label="Status",
        elem_id="status",
        value="No training yet.",
        interactive=False,
        elem_classes="status",
        max_lines=3,
    )
    # A label would lie over the picture.
    picture = {"show_label": False, "interactive": False, "buttons": ["fullscreen"], "height": 200}
    gr.Markdown("**Loss**")
    # A picture: gradio's own plot breaks the page's script as long as it has no data.
    curve = gr.Image(elem_id="loss", **picture)
    gr.Markdown("**Mel** of a held-out clip, and of the clone speaking it with the clip's timing")
    mel = gr.Image(elem_id="mel", **picture)
    with gr.Row():
        target = player("Held-out clip", "target")
        clone = player("The voice so far", "clone")
    voice = gr.File(label="The finished voice", elem_id="voice", interactive=False, visible=False)
    with gr.Accordion("Log", open=False):
        log = gr.Textbox(show_label=False, lines=8, interactive=False, elem_classes="log")
    return [status, curve, mel, target, clone, voice, log, gr.State(())]


def _table_of(files: list[str] | None) -> list[list[str]]:
    """Rows of the table for the files that lie in the drop zone."""
    return [list(row) for row in transcripts_of(files or [])] or [["", ""]]


def _start(studio: Studio, training: Training, *values: Any) -> str:
    """Check what was entered, make a dataset of dropped clips, and start."""
    files, table, folder, name, base, epochs, seed, consent, resume, overwrite = values
    if training.running:
        raise UsageError("a training is going on: wait for it, or stop it")
    settings = {"name": name.strip(), "base": base.strip() or "auto", "epochs_projection": int(epochs or 0)}
    settings |= {"seed": int(seed or 0), "consent": consent.strip(), "out": str(studio.out), "lang": studio.lang}
    if folder.strip():
        data = Path(folder.strip()).expanduser()
        if not data.is_dir():
            raise UsageError(f"{data}: no such dataset folder: give the folder that holds train/metadata.jsonl")
    elif files:
        CloneConfig(data="", **settings)  # a bad name must not become a folder's
        texts = {str(row[0]): str(row[1]) for row in table}
        data = make_dataset(studio.out / "datasets" / settings["name"], files, texts)
    else:
        raise UsageError("no clips: drop some, or give a dataset folder")
    config = CloneConfig(data=str(data), **settings)
    arguments = [
        f"--{key.replace('_', '-')}={value}" for key, value in (("data", data), *settings.items()) if value != ""
    ]
    flags = {"--resume": resume, "--overwrite": overwrite, "--offline": studio.offline}
    training.start([*arguments, *(flag for flag, given in flags.items() if given)], config.folder / f"{config.name}.pt")
    return training.status


def _stop(training: Training) -> str:
    training.stop()
    return training.status


def _tick(training: Training, seen: tuple) -> list[Any]:
    """What is new since ``seen``; players that did not change are left alone, or playing would break off."""
    import gradio as gr

    running, snapshot = training.running, training.snapshot()
    losses, media, finished = len(snapshot.losses), snapshot.clone_step, not running and training.voice is not None
    finished = finished and training.voice.is_file() and training.status.startswith("Done")
    now = (id(training.voice), losses, media, finished)
    old = seen or (None, -1, -1, None)
    if now == old and not running:
        return [training.status, *[gr.skip()] * 5, training.lines(), now]
    fresh_run = now[0] != old[0]
    curve = _curve(snapshot) if losses != old[1] or fresh_run else gr.skip()
    pictures = [snapshot.mel, snapshot.target, snapshot.clone] if media != old[2] or fresh_run else [gr.skip()] * 3
    file = gr.File(value=str(training.voice), visible=True) if finished else gr.File(value=None, visible=False)
    return [training.status, curve, *pictures, file if finished != old[3] else gr.skip(), training.lines(), now]


def _curve(snapshot: Snapshot) -> Any:
    """A picture ``(H, W, 3)`` of the losses so far, None before the first."""
    from voiceclone.plotting.plots import figure_to_rgb, loss_figure

    return figure_to_rgb(loss_figure(snapshot.losses)) if snapshot.losses else None
