"""Clips as training targets: text features, aligned audio, F0 and energy, in whole duration frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from voiceclone.alignment.base_warp import Alignment, align_to_synthesis, stretched
from voiceclone.audio.features import FRAME_SAMPLES, LogMel, log_energy, track_f0
from voiceclone.audio.silence import sounding_range
from voiceclone.models.frozen_kokoro import FrozenKokoro, TextFeatures, alignment_matrix
from voiceclone.nets.phone_classifier import PhoneClassifier, frame_labels, phone_gap, phone_posteriors

TRIM_DB = 40  # dB below the clip's peak; quieter audio is trimmed off both ends before the alignment
MARGIN_SAMPLES = 2400  # silence kept at both ends (0.1 s), for BOS and EOS
MIN_FRAMES = 24  # minimum length of a clip for a crop (0.6 s)
_GAIN_RANGE = (0.05, 20.0)
AnyTarget = TypeVar("AnyTarget", bound="Target")


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """A clip with ``T`` tokens including BOS and EOS, and ``F`` frames of 25 ms."""

    name: str
    phonemes: str
    text: TextFeatures = field(repr=False)
    audio: Tensor = field(repr=False)  # (600 F,) float32 at 24 kHz, at the level of the base's speech
    log_mel: Tensor = field(repr=False)  # (80, 2F)
    f0: Tensor = field(repr=False)  # (2F,) Hz, 0 where unvoiced
    energy: Tensor = field(repr=False)  # (2F,)
    bandwidth: float = math.inf  # Hz; the recording has no speech above it

    @property
    def frames(self) -> int:
        """Number of duration frames of the clip."""
        return len(self.audio) // FRAME_SAMPLES

    def with_alignment(self, alignment: Alignment) -> AlignedTarget:
        """The same clip with an alignment; an existing one is replaced."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "alignment"}
        return AlignedTarget(**own, alignment=alignment)


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignedTarget(Target):
    """A clip with the frames that belong to each token."""

    alignment: Alignment


@dataclass(frozen=True, kw_only=True)
class Unusable:
    """A clip without a target, and the reason."""

    name: str
    reason: str


def prepare_target(
    name: str, phonemes: str, audio: np.ndarray, kokoro: FrozenKokoro, *, bandwidth: float = math.inf
) -> Target | Unusable:
    """Trim a clip ``(T,)`` at 24 kHz, cut it to whole frames, and compute its features.

    :func:`scale` sets the level later.
    """
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
    """The same clip with another model's text features."""
    return replace(target, text=kokoro.text(target.phonemes))


def scale(target: AnyTarget, gain: float) -> AnyTarget:
    """The same clip, multiplied by ``gain``."""
    audio = target.audio * gain
    log_mel, energy = _spectrum(audio)
    return replace(target, audio=audio, log_mel=log_mel, energy=energy)


def level_gain(targets: Sequence[Target], spoken: Sequence[Tensor]) -> float:
    """The gain for all clips that brings them to the level of the base's speech (median over clips).

    Kokoro was trained on audio of one level. With a louder or softer recording, the loss would change the voice to
    match the level. Where a student speaks for the base, its level is taken: nano's is 2 dB below Kokoro-82M's, which
    makes no difference to the voice (docs/lab_notes/speakers.md).
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
    """Align a clip to the base's speech with ``voice`` ``(1, 256)``; returns that speech ``(600 G,)`` as well."""
    if not warp:
        spoken, durations = kokoro.speak(target.text, voice)
        return target.with_alignment(stretched(durations, target.frames)), spoken
    alignment, spoken = aligned_to_base(
        target.log_mel, target.text, kokoro, voice, log_mel, phone_classifier=phone_classifier
    )
    return target.with_alignment(alignment), spoken


def aligned_to_base(
    target_mel: Tensor,
    text: TextFeatures,
    kokoro: FrozenKokoro,
    voice: Tensor,
    log_mel: LogMel,
    *,
    phone_classifier: PhoneClassifier | None = None,
) -> tuple[Alignment, Tensor]:
    """Align a log-mel ``(80, 2F)`` of ``text`` to the base's speech of it; returns that speech ``(600 G,)`` as well."""
    spoken, durations = kokoro.speak(text, voice)
    mel = log_mel(spoken.unsqueeze(0))[0, :, : 2 * int(durations.sum())]
    if phone_classifier is None:
        return align_to_synthesis(mel, durations, target_mel), spoken
    posteriors = phone_posteriors(phone_classifier, mel), phone_posteriors(phone_classifier, target_mel)
    alignment = align_to_synthesis(mel, durations, target_mel, posteriors)
    labels = frame_labels(text.symbols, alignment.durations.to(target_mel.device))
    return replace(alignment, phone_gap=phone_gap(posteriors[1], labels)), spoken


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
    """Align every clip. The synthesis is seeded, and the caller's RNG state is restored.

    Args:
        targets: the clips.
        kokoro: the base.
        voice_of: gives the voice's row ``(1, 256)`` for a phoneme count.
        log_mel: computes the spectra.
        seed: of the synthesis noise.
        phone_classifier: its posteriors are compared in addition to the mels; None for mels only.
        warp: if False, the base's durations are scaled uniformly instead.
        advance: called after each clip.

    Returns:
        The aligned clips, and the base's speech ``(600 G,)`` for each.
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
    """The decoder's text features expanded by the durations, ``(1, hidden, F)``."""
    return target.text.acoustic_text @ alignment_matrix(target.alignment.durations.to(target.audio.device))


def _spectrum(audio: Tensor) -> tuple[Tensor, Tensor]:
    """Log-mel ``(80, 2F)`` and energy ``(2F,)`` of audio ``(600 F,)``, computed on the CPU.

    The results are moved to the device of the audio.
    """
    log_mel = LogMel()(audio.cpu().unsqueeze(0))[:, :, : 2 * (len(audio) // FRAME_SAMPLES)]
    return log_mel[0].to(audio.device), log_energy(log_mel)[0].to(audio.device)
