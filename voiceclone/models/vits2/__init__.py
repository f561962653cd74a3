"""VITS2 (Kong et al. 2023): text to waveform in one network, trained end to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voiceclone.models.vits2.synthesizer import SynthesizerTrn

__all__ = ["SynthesizerTrn"]


def __getattr__(name: str) -> type:
    """Import the networks on first use, so that the package itself does not import torch."""
    if name == "SynthesizerTrn":
        from voiceclone.models.vits2.synthesizer import SynthesizerTrn

        return SynthesizerTrn
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
