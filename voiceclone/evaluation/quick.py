"""Prosody metrics that a clone run reports on its validation clips, before and after the training."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from voiceclone.audio.features import MIN_VOICED_HZ
from voiceclone.models.frozen_kokoro import STYLE_DIM, FrozenKokoro, alignment_matrix
from voiceclone.projection.targets import AlignedTarget
from voiceclone.voice.pack import VoicePack


@torch.no_grad()
def prosody_errors(pack: VoicePack, targets: Sequence[AlignedTarget], kokoro: FrozenKokoro) -> dict[str, float]:
    """Mean errors of a voice's predicted prosody against aligned clips.

    Returns:
        ``f0_error_semitones``: |difference of the median F0s| of a clip, over frames voiced in the clip;
        ``rate_error_percent``: |relative difference of total duration|, without BOS and EOS.
    """
    pitch, rate = [], []
    for target in targets:
        prosodic = pack.row(target.text.phoneme_count)[:, STYLE_DIM:].to(kokoro.device)
        true = target.alignment.durations.to(kokoro.device)
        soft, states = kokoro.durations(target.text, prosodic)
        rate.append(100.0 * abs(float(soft[1:-1].sum() / true[1:-1].sum()) - 1.0))
        f0, _ = kokoro.prosody(states, alignment_matrix(true), prosodic)
        voiced = target.f0 > MIN_VOICED_HZ
        if voiced.any():
            predicted = f0[0][voiced].median().clamp(min=1.0)
            pitch.append(12.0 * abs(float(torch.log2(predicted / target.f0[voiced].median()))))
    return {
        "f0_error_semitones": sum(pitch) / len(pitch) if pitch else 0.0,
        "rate_error_percent": sum(rate) / len(rate),
    }
