"""Both decoders reconstruct one clip equally well after equally many steps."""

from __future__ import annotations

import pytest
import torch

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.measures import teacher_forced_mel
from voiceclone.base_training.recorded import RecordedSystem
from voiceclone.base_training.styletts2_settings import StyleTTS2Settings

STEPS = 200


def learned(corpus, decoder: str) -> tuple[float, float]:
    """Log-mel distance of one utterance with true prosody, before and after training on it alone."""
    settings = StyleTTS2Settings(decoder=decoder)
    system = RecordedSystem(corpus, TrainConfig(preset="nano", steps=STEPS, system_settings=settings))
    trained, batch = system.trained, system.batches.fixed([0], frames=80)
    first = teacher_forced_mel(trained.eval().model, trained.encoders, system.batches, [0])
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-3, betas=(0.9, 0.98))
    trained.train()
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 1e-3 * min(1.0, 2 * (1 - step / STEPS))
        terms, _ = system.objective.acoustic(batch, adversarial=False)
        optimizer.zero_grad()
        system.objective.total(terms).backward()
        torch.nn.utils.clip_grad_norm_(trained.parameters(), 5.0)
        optimizer.step()
    return first, teacher_forced_mel(trained.eval().model, trained.encoders, system.batches, [0])


@pytest.mark.slow
def test_both_decoders_learn_one_clip(corpus):
    (first, ours), (other_first, other) = (learned(corpus, decoder) for decoder in ("istftnet", "hifigan"))
    assert ours < 0.6 * first and other < 0.6 * other_first
    assert abs(ours - other) < 0.05
