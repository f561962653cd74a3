"""The third tab: two voices, a slider for each half, the mix to hear, keep and download."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voiceclone.errors import UsageError
from voiceclone.ui.handlers import told
from voiceclone.ui.listen_tab import TEXT
from voiceclone.ui.player import player

if TYPE_CHECKING:
    from voiceclone.ui.studio import Sound, Studio


def build_mix_tab(studio: Studio, tab: Any) -> None:
    """Lay the tab out and wire it; the lists are filled when the tab is opened."""
    import gradio as gr

    with gr.Row():
        first = gr.Dropdown(label="First voice", elem_id="mix-first", choices=[], allow_custom_value=True)
        second = gr.Dropdown(label="Second voice", elem_id="mix-second", choices=[], allow_custom_value=True)
    with gr.Row():
        timbre = gr.Slider(0, 1, value=0.5, step=0.05, label="Timbre", info="0: the first voice's, 1: the second's")
        prosody = gr.Slider(0, 1, value=0.5, step=0.05, label="Prosody", info="0: the first voice's, 1: the second's")
    mixed = [first, second, timbre, prosody]
    with gr.Row():
        with gr.Column():
            text = gr.Textbox(label="Text", value=TEXT, lines=2)
            speak = gr.Button("Speak", variant="primary", elem_id="mix-speak")
            spoken = player("The mix", "mix-spoken")
        with gr.Column():
            name = gr.Textbox(label="Name of the mix", elem_id="mix-name", value="my_mix")
            save = gr.Button("Save", elem_id="mix-save")
            file = gr.File(label="The mix as a .pt", elem_id="mix-file", interactive=False)
    tab.select(told(lambda *now: _voices(studio, *now), outputs=2), [first, second], [first, second])
    speak.click(told(lambda *values: _speak(studio, *values)), [text, *mixed], spoken)
    save.click(told(lambda *values: _save(studio, *values)), [name, *mixed], file)


def _voices(studio: Studio, *now: str | None) -> list[Any]:
    import gradio as gr

    voices = studio.all_voices()
    chosen = [value if value in voices else voices[min(place, len(voices) - 1)] for place, value in enumerate(now)]
    return [gr.Dropdown(choices=voices, value=value) for value in chosen]


def _speak(studio: Studio, text: str, first: str, second: str, timbre: float, prosody: float) -> Sound:
    return studio.speak_mix(text, _both(first, second), timbre, prosody)


def _save(studio: Studio, name: str, first: str, second: str, timbre: float, prosody: float) -> str:
    return str(studio.save_mix(name.strip(), _both(first, second), timbre, prosody))


def _both(first: str | None, second: str | None) -> tuple[str, str]:
    if not first or not second:
        raise UsageError("a mix needs two voices: choose them")
    return first, second
