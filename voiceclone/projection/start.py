"""Where training starts: the stock voice nearest to the clips, each half on its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from voiceclone.projection.objective import Crop, Objective
from voiceclone.voice.pack import STYLE_DIM, VOICE_DIM, VoicePack
from voiceclone.voice.profile import REFERENCE_ROW, LengthProfile

_MIN_SPREAD = 0.05  # standard deviation a value is given at least, where stock voices hardly differ in it
_SPREAD_WITHOUT_VOICES = 0.15


@dataclass(frozen=True, kw_only=True, eq=False)
class Start:
    """The anchor of a training: a base vector and where its halves come from."""

    vector: Tensor = field(repr=False)  # (1, 256)
    spread: Tensor = field(repr=False)  # (256,): standard deviation between stock voices
    timbre_from: str
    prosody_from: str

    def rows(self, profile: LengthProfile, device: torch.device) -> Callable[[int], Tensor]:
        """The start's row ``(1, 256)`` for a phoneme count."""
        vector = self.vector.to(device)
        return lambda phoneme_count: profile.row(vector, phoneme_count)


def neutral_start(stock: Mapping[str, VoicePack]) -> Start:
    """The mean stock voice, or the origin for a base without voices."""
    if not stock:
        spread = torch.full((VOICE_DIM,), _SPREAD_WITHOUT_VOICES)
        return Start(vector=torch.zeros(1, VOICE_DIM), spread=spread, timbre_from="zero", prosody_from="zero")
    vectors = torch.stack([pack.tensor[REFERENCE_ROW, 0] for pack in stock.values()])
    spread = vectors.std(dim=0, unbiased=False).clamp(min=_MIN_SPREAD)
    mean = vectors.mean(dim=0, keepdim=True)
    return Start(vector=mean, spread=spread, timbre_from="mean of stock voices", prosody_from="mean of stock voices")


@torch.no_grad()
def nearest_start(
    stock: Mapping[str, VoicePack],
    neutral: Start,
    objective: Objective,
    *,
    crops: list[Crop],
    seed: int,
    advance: Callable[[], None] = lambda: None,
) -> Start:
    """Choose, half by half, the stock voice (or the neutral start) with the least loss on ``crops``.

    Timbre is judged by the aligned mel error, prosody by the duration, F0 and energy terms.
    """
    candidates = {neutral.timbre_from: neutral.vector}
    candidates.update({name: pack.tensor[REFERENCE_ROW] for name, pack in stock.items()})
    timbre, prosody = {}, {}
    device = objective.kokoro.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for name, vector in candidates.items():
            torch.manual_seed(seed)
            terms = objective.terms(vector.to(device), crops)
            timbre[name] = float(terms["mel_mse"])
            prosody[name] = float(sum(terms[t] for t in ("duration", "rate", "f0", "f0_level", "energy")))
            advance()
    best_timbre, best_prosody = min(timbre, key=timbre.get), min(prosody, key=prosody.get)
    halves = [candidates[best_timbre][:, :STYLE_DIM].cpu(), candidates[best_prosody][:, STYLE_DIM:].cpu()]
    return Start(
        vector=torch.cat(halves, dim=1), spread=neutral.spread, timbre_from=best_timbre, prosody_from=best_prosody
    )
