"""The second tab: a voice says a text, and what its speaker says in a clip, side by side with the clip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voiceclone.ui.handlers import told
from voiceclone.ui.player import player

if TYPE_CHECKING:
    from voiceclone.ui.studio import Sound, Studio

TEXT = "Hello, this is my own voice, and I am glad that you can hear it."


def build_listen_tab(studio: Studio, tab: Any) -> None:
    """Lay the tab out and wire it; the lists are filled when the tab is opened."""
    import gradio as gr

    with gr.Row():
        voice = gr.Dropdown(label="Voice", elem_id="listen-voice", choices=[], scale=3, allow_custom_value=True)
        download = gr.DownloadButton("Download the .pt", scale=1, interactive=False)
    with gr.Row():
        with gr.Column():
            text = gr.Textbox(label="Text", value=TEXT, lines=3)
            speed = gr.Slider(0.5, 2.0, value=1.0, step=0.05, label="Speed")
            speak = gr.Button("Speak", variant="primary", elem_id="listen-speak")
            spoken = player("The voice", "listen-spoken")
        with gr.Column():
            clip = gr.Dropdown(label="A clip of the speaker", choices=[], info="of the voice's own dataset")
            compare = gr.Button("Say the same", elem_id="listen-same", interactive=False)
            target = player("The speaker", "listen-target")
            clone = player("The voice, saying the same", "listen-clone")
    tab.select(told(lambda now: _voices(studio, now)), voice, voice)
    voice.change(told(lambda name: _clips(studio, name), outputs=3), voice, [clip, compare, download])
    clip.change(lambda path: path or None, clip, target)
    speak.click(told(lambda *values: _speak(studio, *values)), [text, voice, speed], spoken)
    compare.click(told(lambda name, path: _same(studio, name, path)), [voice, clip], clone)


def _voices(studio: Studio, now: str | None) -> Any:
    import gradio as gr

    voices = studio.all_voices()
    return gr.Dropdown(choices=voices, value=now if now in voices else next(iter(voices), None))


def _clips(studio: Studio, voice: str | None) -> list[Any]:
    import gradio as gr

    own = bool(voice) and voice.endswith(".pt")
    clips = studio.clips_of(voice) if own else []
    choices = [(text if len(text) <= 70 else text[:69] + "…", path) for path, text in clips]
    return [
        gr.Dropdown(choices=choices, value=choices[0][1] if choices else None),
        gr.Button(interactive=bool(choices)),
        gr.DownloadButton(value=voice if own else None, interactive=own),
    ]


def _speak(studio: Studio, text: str, voice: str | None, speed: float) -> Sound:
    from voiceclone.errors import UsageError

    if not voice:
        raise UsageError("no voice: choose one")
    return studio.speak(text, voice, speed=speed)


def _same(studio: Studio, voice: str, path: str) -> Sound:
    return studio.speak(dict(studio.clips_of(voice))[path], voice)
