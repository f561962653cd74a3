"""Surrogate style encoders: a pair with its own style space, in the place of StyleTTS2's encoders for Kokoro.

StyleTTS2's encoders were not trained with Kokoro's decoder, so their styles have to be mapped to Kokoro's space. The
surrogate pair is also trained separately: with another seed, another order of the data, and a small mel decoder (cheap,
and sufficient for the encoders to represent the voice).
"""

from __future__ import annotations

import time

import torch
from kokoro.istftnet import AdainResBlk1d
from kokoro.modules import ProsodyPredictor
from torch import Tensor, nn
from torch.nn import functional as F

from voiceclone.audio.features import N_MELS, LogMel
from voiceclone.base_training.batch import StyledBatch
from voiceclone.base_training.batches import ATTRIBUTES, BatchMaker
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.following import NOTHING, Following
from voiceclone.base_training.losses import duration_losses, prosody_losses, style_range
from voiceclone.distributed import ProcessGroup
from voiceclone.models.batched_forward import padding_mask
from voiceclone.models.presets import preset
from voiceclone.style.encoders import StyleEncoderConfig, StyleEncoders, build_style_encoders
from voiceclone.tracking.progress import QUIET, Reporter

SEED_OFFSET = 1_000  # added to the base's seed, for another initialization and order of the data


class MelTrainee(nn.Module):
    """Encoders with the small mel decoder and prosody predictor for their training."""

    def __init__(self, preset_name: str, speakers: int, hidden: int = 64) -> None:
        super().__init__()
        config, encoder = preset(preset_name)
        self.encoders = build_style_encoders(StyleEncoderConfig(**encoder))
        self.embedding = nn.Embedding(config["n_token"], hidden)
        self.context = nn.ModuleList(nn.Conv1d(hidden, hidden, 5, padding=2) for _ in range(2))
        self.predictor = ProsodyPredictor(128, hidden, 1, max_dur=config["max_dur"], dropout=0.1)
        nn.init.constant_(self.predictor.F0_proj.bias, 100.0)
        with torch.no_grad():
            self.predictor.F0_proj.weight.mul_(30.0)
            self.predictor.duration_proj.linear_layer.bias.copy_(torch.linspace(-0.5, -8.5, config["max_dur"]))
        self.blocks = nn.ModuleList(
            [AdainResBlk1d(hidden + 4, 96, 128), AdainResBlk1d(96, 96, 128), AdainResBlk1d(96, 96, 128, upsample=True)]
        )
        self.to_mel = nn.Conv1d(96, N_MELS, 1)
        self.attribute_head = nn.Linear(128, len(ATTRIBUTES))
        self.speaker_head = nn.Linear(128, speakers)

    def text(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Token features ``(B, hidden, N)``."""
        x = self.embedding(tokens).transpose(1, 2)
        keep = ~padding_mask(tokens, lengths)[:, None]
        for convolution in self.context:
            x = (x + F.leaky_relu(convolution(x * keep), 0.2)) * keep
        return x

    def losses(self, batch: StyledBatch, mel: Tensor) -> dict[str, Tensor]:
        """Loss terms for one batch, whose crop has the normalised log-mel ``(B, 80, 2 C)``."""
        image = batch.style_mel.unsqueeze(1)
        acoustic, prosodic = self.encoders.acoustic(image), self.encoders.prosodic(image)
        text = self.text(batch.tokens, batch.lengths)
        index = batch.frame_tokens[:, None, :].expand(-1, text.shape[1], -1)
        pairs = torch.stack([batch.f0 / 200.0, batch.energy / 5.0], 1)
        pairs = pairs.unflatten(2, (-1, 2)).permute(0, 1, 3, 2).flatten(1, 2)  # (B, 4, C): two values a frame
        x = torch.cat([torch.gather(text, 2, index), pairs], 1)
        for block in self.blocks:
            x = block(x, acoustic)
        padding = padding_mask(batch.tokens, batch.lengths)
        features = self.predictor.text_encoder(text, prosodic, batch.lengths, padding)
        packed = nn.utils.rnn.pack_padded_sequence(
            features, batch.lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(
            self.predictor.lstm(packed)[0], batch_first=True, total_length=features.shape[1]
        )
        logits = self.predictor.duration_proj(states)
        index = batch.frame_tokens[:, None, :].expand(-1, features.shape[2], -1)
        f0, energy = self.predictor.F0Ntrain(torch.gather(features.transpose(1, 2), 2, index), prosodic)
        return {
            "mel": 4.0 * F.l1_loss(self.to_mel(x), mel),
            **duration_losses(logits, batch.durations, batch.mask),
            **prosody_losses(f0, energy, batch.f0, batch.energy),
            "attributes": 0.5 * F.smooth_l1_loss(self.attribute_head(prosodic), batch.attributes),
            "speaker": 0.1 * F.cross_entropy(self.speaker_head(acoustic), batch.speakers),
            "style_range": style_range(acoustic) + style_range(prosodic),
        }


def train_surrogate_encoders(
    corpus: Corpus,
    preset_name: str,
    *,
    seed: int,
    steps: int | None = None,
    minutes: float | None = None,
    speaker_boost: dict[str, float] | None = None,
    process_group: ProcessGroup | None = None,
    reporter: Reporter | None = None,
    following: Following = NOTHING,
) -> StyleEncoders:
    """Train the surrogate encoders; they are returned in eval mode.

    Args:
        corpus: the training data.
        preset_name: sizes of the encoders.
        seed: the base's seed; :data:`SEED_OFFSET` is added to it.
        steps: length of the run in steps; exactly one of ``steps`` and ``minutes`` is given.
        minutes: length of the run in minutes.
        speaker_boost: relative frequency of each speaker.
        process_group: the processes that train together; None for a single process on the CPU.
        reporter: shows the progress; None for no output.
        following: the work that comes after it, for the time left.

    Raises:
        ProcessLostError: another process of the group is gone.
    """
    process_group, reporter = process_group or ProcessGroup(), reporter or Reporter(verbosity=QUIET)
    config = TrainConfig(
        preset=preset_name, seed=seed + SEED_OFFSET, steps=steps, minutes=minutes, crop_frames=48, crop_batch=12,
        long_every=0,
    )  # fmt: skip
    batches = BatchMaker(corpus, config, speaker_boost=speaker_boost, process_group=process_group)
    log_mel, began, step, progress = LogMel().to(process_group.device), time.monotonic(), 0, 0.0
    note = ""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        trainee = MelTrainee(preset_name, len(corpus.speakers)).train().to(process_group.device)
    process_group.broadcast_state(trainee)
    task = reporter.task("Surrogate encoders", total=steps, unit="step", following=following.after(config))
    with process_group.seeded(config.seed + 1), task:
        optimizer = torch.optim.AdamW(trainee.parameters(), lr=config.learning_rate, betas=config.betas)
        while progress < 1.0:
            batch = batches.acoustic(step).to(process_group.device)
            with torch.no_grad():
                mel = log_mel(batch.audio)[:, :, : batch.f0.shape[1]]
            terms = batch.share.of(trainee.losses(batch, mel))
            loss = sum(terms.values())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            process_group.all_reduce_gradients(trainee)
            norm = nn.utils.clip_grad_norm_(trainee.parameters(), config.clip)
            rate = min((step + 1) / config.warmup_steps, 1.0) * min(1.0, 0.05 + 1.5 * (1.0 - progress))
            optimizer.param_groups[0]["lr"] = config.learning_rate * rate
            if torch.isfinite(norm):
                optimizer.step()
            step += 1
            seconds = process_group.broadcast(time.monotonic() - began)
            progress = step / steps if steps is not None else seconds / (60.0 * (minutes or 0.0))
            if step % config.log_every == 0:
                note = " ".join(f"{name} {float(value):.3f}" for name, value in terms.items())
            task.advance(1, note, seconds_left=config.seconds_left(seconds))
    return trainee.encoders.cpu().eval().requires_grad_(False)
