"""Components for mixing the selected voice with another one, as a whole or separately for timbre and prosody."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.errors import UsageError
from voiceclone.ui.player import player

if TYPE_CHECKING:
    from voiceclone.ui.desk import Desk


@dataclass(frozen=True, kw_only=True, eq=False)
class MixBox:
    """The components of the box and the handlers of its buttons."""

    other: Any
    whole: Any
    timbre: Any
    prosody: Any
    speak: Any
    spoken: Any
    name: Any
    keep: Any

    @property
    def inputs(self) -> list[Any]:
        """Components whose values :meth:`hear` and :meth:`save` take after the voice and the text or name."""
        return [self.other, self.whole, self.timbre, self.prosody]

    def hear(self, desk: Desk, voice: str, text: str, other: str | None, *shares: Any) -> Any:
        """Speak the text with the mix."""
        import gradio as gr

        both, halves = _both(desk, voice, other), _halves(*shares)
        audio = desk.studio.mix_audio(text, both, *halves)
        return gr.HTML(value=player(desk.sounds.of_audio(audio), "The mix", elem_id="mix-sound"), visible=True)

    def save(self, desk: Desk, voice: str, name: str, other: str | None, *shares: Any) -> Path:
        """Save the mix as a voice of the library."""
        return desk.studio.save_mix(name.strip(), _both(desk, voice, other), *_halves(*shares))


def build_mix_box(gr: Any) -> MixBox:
    """Build the box, collapsed."""
    with gr.Accordion("Mix it with another voice", open=False, elem_id="mix"):
        other = gr.Dropdown(label="Other voice", choices=[], elem_id="mix-other")
        whole = gr.Slider(0, 100, value=50, step=5, label="How much of the other voice, %", elem_id="mix-whole")
        with gr.Accordion("Timbre and prosody apart", open=False):
            gr.HTML("<p>Timbre is the sound of the voice, prosody its melody and speaking rate. Empty: as above.</p>")
            timbre = gr.Number(label="Timbre of the other voice, %", value=None, minimum=0, maximum=100)
            prosody = gr.Number(label="Prosody of the other voice, %", value=None, minimum=0, maximum=100)
        speak = gr.Button("Hear the mix", elem_id="mix-speak")
        spoken = gr.HTML(visible=False, elem_id="mix-spoken")
        name = gr.Textbox(label="Name of the mix", elem_id="mix-name")
        keep = gr.Button("Keep the mix", elem_id="mix-keep")
    return MixBox(
        other=other, whole=whole, timbre=timbre, prosody=prosody, speak=speak, spoken=spoken, name=name, keep=keep
    )


def _both(desk: Desk, voice: str, other: str | None) -> tuple[str, str]:
    known = desk.studio.all_voices()
    if voice not in known or other not in known:
        raise UsageError("a mix needs two voices of the library: choose them")
    return voice, other


def _halves(whole: float, timbre: float | None, prosody: float | None) -> tuple[float, float]:
    """Shares (0-1) of the other voice in timbre and prosody. An empty value means the share of the whole."""
    shares = [whole if share is None else share for share in (timbre, prosody)]
    if not all(0 <= share <= 100 for share in shares):
        raise UsageError("the shares of a mix lie between 0 and 100 %")
    return shares[0] / 100, shares[1] / 100
