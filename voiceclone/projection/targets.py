"""The clips as training targets: text features, aligned audio, F0 and energy, all in whole duration frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from voiceclone.alignment.base_warp import Alignment, align, stretched
from voiceclone.audio.features import FRAME_SAMPLES, LogMel, log_energy, track_f0
from voiceclone.audio.silence import sounding_range
from voiceclone.models.frozen_kokoro import FrozenKokoro, TextFeatures, alignment_matrix
from voiceclone.nets.phone_classifier import PhoneClassifier, phone_posteriors

TRIM_DB = 40  # silence below the clip's peak that is cut off both ends before aligning
MARGIN_SAMPLES = 2400  # silence kept at either end (0.1 s), for BOS and EOS
MIN_FRAMES = 24  # shortest clip that can give a crop (0.6 s)
_GAIN_RANGE = (0.05, 20.0)
AnyTarget = TypeVar("AnyTarget", bound="Target")


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """One clip. ``T`` tokens with BOS and EOS, ``F`` frames of 25 ms."""

    name: str
    phonemes: str
    text: TextFeatures = field(repr=False)
    audio: Tensor = field(repr=False)  # (600 F,) at the base's own level
    log_mel: Tensor = field(repr=False)  # (80, 2F)
    f0: Tensor = field(repr=False)  # (2F,) Hz, 0 where unvoiced
    energy: Tensor = field(repr=False)  # (2F,)
    bandwidth: float = math.inf  # Hz: above it the recording holds no speech

    @property
    def frames(self) -> int:
        """Duration frames of the clip."""
        return len(self.audio) // FRAME_SAMPLES

    def with_alignment(self, alignment: Alignment) -> AlignedTarget:
        """The same clip, aligned; an alignment that it has is replaced."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "alignment"}
        return AlignedTarget(**own, alignment=alignment)


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignedTarget(Target):
    """A clip of which it is known which frames belong to which token."""

    alignment: Alignment


@dataclass(frozen=True, kw_only=True)
class Unusable:
    """A clip that gave no target, and why."""

    name: str
    reason: str


def prepare_target(
    name: str, phonemes: str, audio: np.ndarray, kokoro: FrozenKokoro, *, bandwidth: float = math.inf
) -> Target | Unusable:
    """Trim a clip ``(T,)`` at 24 kHz, cut it to whole frames, measure it. The level is set later by :func:`scale`."""
    start, end = sounding_range(audio, top_db=TRIM_DB)
    audio = audio[max(0, start - MARGIN_SAMPLES) : end + MARGIN_SAMPLES]
    frames = len(audio) // FRAME_SAMPLES
    text = kokoro.text(phonemes)
    if frames < MIN_FRAMES:
        return Unusable(name=name, reason=f"{frames * 0.025:.2f} s of sound are less than {MIN_FRAMES * 0.025:.2f} s")
    if frames < text.tokens:
        return Unusable(name=name, reason=f"{text.tokens} phonemes do not fit into {frames * 0.025:.2f} s of sound")
    audio = np.ascontiguousarray(audio[: frames * FRAME_SAMPLES], dtype=np.float32)
    waveform = torch.from_numpy(audio).to(kokoro.device)
    f0 = torch.from_numpy(track_f0(audio)[: 2 * frames]).to(kokoro.device)
    log_mel, energy = _spectrum(waveform)
    return Target(
        name=name, phonemes=phonemes, text=text, audio=waveform, log_mel=log_mel, f0=f0, energy=energy,
        bandwidth=bandwidth,
    )  # fmt: skip


def read_by(target: AnyTarget, kokoro: FrozenKokoro) -> AnyTarget:
    """The same clip with another model's features of its text."""
    return replace(target, text=kokoro.text(target.phonemes))


def scale(target: AnyTarget, gain: float) -> AnyTarget:
    """The same clip at ``gain`` times its level."""
    audio = target.audio * gain
    log_mel, energy = _spectrum(audio)
    return replace(target, audio=audio, log_mel=log_mel, energy=energy)


def level_gain(targets: Sequence[Target], spoken: Sequence[Tensor]) -> float:
    """One gain for all clips that brings them to the level at which the base speaks (median over clips).

    Kokoro learned on audio of one level; a louder or softer recording would ask the voice for what is no timbre.
    """
    ratios = [
        float(s.square().mean().sqrt() / (t.audio.square().mean().sqrt() + 1e-9)) for t, s in zip(targets, spoken)
    ]
    return float(np.clip(np.median(ratios), *_GAIN_RANGE))


def aligned(
    target: Target,
    kokoro: FrozenKokoro,
    voice: Tensor,
    log_mel: LogMel,
    *,
    phone_classifier: PhoneClassifier | None = None,
    warp: bool = True,
) -> tuple[AlignedTarget, Tensor]:
    """Align a clip against the base's speech with ``voice`` ``(1, 256)``; returns that speech ``(600 G,)``, too."""
    spoken, durations = kokoro.speak(target.text, voice)
    if not warp:
        return target.with_alignment(stretched(durations, target.frames)), spoken
    mel = log_mel(spoken.unsqueeze(0))[0, :, : 2 * int(durations.sum())]
    posteriors = (
        None
        if phone_classifier is None
        else (phone_posteriors(phone_classifier, mel), phone_posteriors(phone_classifier, target.log_mel))
    )
    return target.with_alignment(align(mel, durations, target.log_mel, posteriors)), spoken


def align_all(
    targets: Sequence[Target],
    kokoro: FrozenKokoro,
    voice_of: Callable[[int], Tensor],
    log_mel: LogMel,
    *,
    seed: int,
    phone_classifier: PhoneClassifier | None = None,
    warp: bool = True,
    advance: Callable[[], None] = lambda: None,
) -> tuple[list[AlignedTarget], list[Tensor]]:
    """Align every clip; ``voice_of(phoneme_count)`` gives the voice's row. Seeded, the caller's RNG state is kept.

    With ``phone_classifier``, its posteriors count. Without ``warp``, the base's durations are stretched evenly.
    """
    done, speech = [], []
    with torch.random.fork_rng(devices=[kokoro.device] if kokoro.device.type == "cuda" else []):
        for index, target in enumerate(targets):
            torch.manual_seed(seed + index)
            row = voice_of(target.text.phoneme_count)
            new, spoken = aligned(target, kokoro, row, log_mel, phone_classifier=phone_classifier, warp=warp)
            done.append(new)
            speech.append(spoken)
            advance()
    return done, speech


def aligned_text(target: AlignedTarget) -> Tensor:
    """The decoder's text input laid out over the clip, ``(1, hidden, F)``."""
    return target.text.acoustic_text @ alignment_matrix(target.alignment.durations.to(target.audio.device))


def _spectrum(audio: Tensor) -> tuple[Tensor, Tensor]:
    """Log-mel ``(80, 2F)`` and energy ``(2F,)`` of audio ``(600 F,)``, computed on the CPU and put beside it."""
    log_mel = LogMel()(audio.cpu().unsqueeze(0))[:, :, : 2 * (len(audio) // FRAME_SAMPLES)]
    return log_mel[0].to(audio.device), log_energy(log_mel)[0].to(audio.device)
