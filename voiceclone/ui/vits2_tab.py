"""The tab of VITS2 models: choose a model, one of its voices and the noise, then hear and download the speech."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.bases.other_systems import is_vits2
from voiceclone.bases.stock_names import placed_base
from voiceclone.errors import UsageError
from voiceclone.models.vits2.config import LENGTH_SCALE, MOST_NOISE, NOISE_SCALE, NOISE_SCALE_W
from voiceclone.ranges import LARGEST_SEED
from voiceclone.ui.desk import Desk, note
from voiceclone.ui.first_sound import TEXT
from voiceclone.ui.handlers import told
from voiceclone.ui.player import player
from voiceclone.voice.library import own_voices
from voiceclone.voice.origin import known_base

if TYPE_CHECKING:
    import numpy as np

    from voiceclone.ui.studio import Studio

NONE_YET = "No VITS2 is known here. `voiceclone train-base --system vits2` trains one."
MODEL_INFO = "Those of the page and of the voices in the library."
TYPED_INFO = "The folder of a trained VITS2: choose one, or write down its path."
NOISE_INFO = "How much the sound varies: less is cleaner, more is livelier."
LENGTH_INFO = "Above 1 is slower."
LENGTH_RANGE = (0.5, 2.0)


def build_vits2_tab(desk: Desk, tab: Any) -> None:
    """Build the tab and connect its events. The lists are filled whenever the tab is opened."""
    import gradio as gr

    gr.HTML("<h2>Speak with a VITS2</h2>")
    empty = gr.HTML(visible=False, elem_id="vits2-none")
    model = gr.Dropdown(
        label="Model", choices=[], value=None, allow_custom_value=desk.local, elem_id="vits2-model",
        info=TYPED_INFO if desk.local else MODEL_INFO,
    )  # fmt: skip
    voice = gr.Dropdown(
        label="Voice", choices=[], value=None, elem_id="vits2-voice",
        info="The model's speakers, and the voices that were made with it.",
    )  # fmt: skip
    text = gr.Textbox(label="Text", value=TEXT, lines=2, elem_id="vits2-text", max_length=3000)
    with gr.Accordion("Noise and speed", open=False, elem_id="vits2-scales"):
        noise = gr.Slider(0.0, MOST_NOISE, value=NOISE_SCALE, step=0.001, label="Noise scale", info=NOISE_INFO)
        length = gr.Slider(*LENGTH_RANGE, value=LENGTH_SCALE, step=0.05, label="Length scale", info=LENGTH_INFO)
        noise_w = gr.Slider(0.0, MOST_NOISE, value=NOISE_SCALE_W, step=0.001, label="Noise of the durations")
        seed = gr.Number(label="Seed", info="Another seed, another reading.", value=0, precision=0, minimum=0)
    speak = gr.Button("Speak", variant="primary", elem_id="vits2-speak")
    spoken = gr.HTML(visible=False, elem_id="vits2-spoken")
    download = gr.DownloadButton("Download", visible=False, elem_id="vits2-download")

    values = [model, voice, text, noise, length, noise_w, seed]
    tab.select(told(lambda *now: _listed(gr, desk, *now), outputs=3), [model, voice], [empty, model, voice])
    model.input(told(lambda folder: _voices(gr, desk, folder)), model, voice)
    speak.click(told(lambda *given: _spoken(gr, desk, *given), outputs=2), values, [spoken, download])


def _listed(gr: Any, desk: Desk, folder: str | None, voice: str | None) -> list[Any]:
    """Updates of the hint and both lists. What is chosen stays chosen."""
    known = vits2_folders(desk.studio)
    chosen = folder or next(iter(known), None)
    hint = gr.HTML(value=note(NONE_YET), visible=not known)
    return [hint, gr.Dropdown(choices=known, value=chosen), _voices(gr, desk, chosen, voice)]


def _voices(gr: Any, desk: Desk, folder: str | None, voice: str | None = None) -> Any:
    found = vits2_voices(desk.studio, checked_model(desk, folder)) if folder else []
    files = [file for _, file in found]
    return gr.Dropdown(choices=found, value=voice if voice in files else next(iter(files), None))


def _spoken(gr: Any, desk: Desk, *values: Any) -> list[Any]:
    path = desk.sounds.of_audio(speak_with(desk, *values))
    sound = gr.HTML(value=player(path, "The speech", elem_id="vits2-sound"), visible=True)
    return [sound, gr.DownloadButton(value=str(path), visible=True)]


def vits2_folders(studio: Studio) -> list[str]:
    """Folders of the VITS2 models that are known: the page's base, and those of the voices in the output folder."""
    bases = [studio.base, *(_base_of(voice.file) for voice in own_voices(studio.out))]
    return [base for base in dict.fromkeys(bases) if base is not None and is_vits2(Path(base))]


def _base_of(file: str) -> str | None:
    """The base that a voice was made for; None if it is unknown."""
    found = known_base(file)
    return None if found is None else placed_base(found)


def vits2_voices(studio: Studio, folder: str) -> list[tuple[str, str]]:
    """``(title, voice)`` of a model's speakers, and of the voices in the output folder that were made with it."""
    from voiceclone.bases.stock_names import stock_names

    made = [(voice.name, voice.file) for voice in own_voices(studio.out) if _base_of(voice.file) == folder]
    return [*((name, name) for name in stock_names(folder) or ()), *made]


def checked_model(desk: Desk, folder: str | None) -> str:
    """The folder of a VITS2 that a visitor may use. Paths can be entered only where the page is this machine's own.

    Raises:
        UsageError: it is none.
    """
    known = vits2_folders(desk.studio)
    if folder in known:
        return folder
    if not desk.local or not folder:
        raise UsageError("this model is not known here: choose one of the list")
    path = Path(folder.strip()).expanduser()
    if not is_vits2(path):
        raise UsageError(f"{folder}: is not the folder of a VITS2: give one that `train-base --system vits2` wrote")
    return placed_base(path)


def speak_with(
    desk: Desk, folder: str | None, voice: str | None, text: str, noise_scale: float, length_scale: float,
    noise_scale_w: float, seed: float | None,
) -> np.ndarray:  # fmt: skip
    """Synthesise a text with a VITS2: float32 ``(T,)`` at 24 kHz.

    Args:
        desk: of the page.
        folder: the model.
        voice: one of :func:`vits2_voices`.
        text: to speak.
        noise_scale: standard deviation of the latent frames, relative to the prior's.
        length_scale: factor on the durations.
        noise_scale_w: standard deviation of the noise in the durations.
        seed: of the noise.

    Raises:
        UsageError: the model or the voice is not known, or a value is out of range.
    """
    from voiceclone.models.vits2.speaking import SpeechNoise

    model = checked_model(desk, folder)
    if voice not in [file for _, file in vits2_voices(desk.studio, model)]:
        raise UsageError("this voice does not belong to the model: choose another")
    if not LENGTH_RANGE[0] <= length_scale <= LENGTH_RANGE[1]:
        raise UsageError(f"the length scale lies between {LENGTH_RANGE[0]:g} and {LENGTH_RANGE[1]:g}")
    number = int(seed or 0)
    if not 0 <= number <= LARGEST_SEED:
        raise UsageError(f"the seed lies between 0 and {LARGEST_SEED}")
    noise = SpeechNoise(noise_scale=noise_scale, noise_scale_w=noise_scale_w)
    return desk.studio.audio(text, voice, base=model, speed=1.0 / length_scale, seed=number, noise=noise)
