"""Clone a voice with VITS2: fit a speaker vector to clips, with the model frozen."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchaudio
from torch import Tensor

from voiceclone.audio.features import SAMPLE_RATE
from voiceclone.audio.io import read_audio
from voiceclone.base_training.losses import SpectralLoss
from voiceclone.base_training.vits2.losses import divergence
from voiceclone.bases.base import Base
from voiceclone.cloning.config import CloneConfig
from voiceclone.cloning.folder import RunFolder
from voiceclone.cloning.verdict import verdict_line
from voiceclone.data.dataset import Clip, Dataset, load_dataset
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import sha256_of, write_json
from voiceclone.models.vits2.speaking import Vits2KModel, voice_rows, with_blanks
from voiceclone.models.vits2.spectrogram import Spectrogram
from voiceclone.models.vits2.synthesizer import Synthesizer, crop_starts, cut_frames, search_alignment
from voiceclone.system.versions import package_versions
from voiceclone.tracking.progress import Reporter
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.space import KOKORO_SPACE

logger = logging.getLogger(__name__)
MOST_FRAMES = 1200  # maximum frames of a clip, because attention over longer ones takes too much memory
COMPARED_ROWS = 64  # number of rows of the speaker table that are tried as the initialization


@dataclass(frozen=True, kw_only=True)
class VectorFitConfig:
    """How a vector is fitted."""

    steps: int = 200
    learning_rate: float = 0.2
    """Initial maximum change of a value in a step, relative to the standard deviation of the table's values."""
    clips_a_step: int = 4
    check_every: int = 20
    """Steps between validations on the held-out clips; the best vector is kept."""
    mel_weight: float = 30.0
    """Weight of the log-mel distance relative to one nat of divergence per frame, as in the model's training."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class FitClip:
    """A clip in the model's input format."""

    tokens: Tensor
    """int64 ``(1, N)``."""
    spectrogram: Tensor
    """``(1, bands, T)``."""
    audio: Tensor
    """``(1, 1, hop T)``."""

    @property
    def frames(self) -> int:
        """Length in frames."""
        return self.spectrogram.shape[2]


def fit_clips(clips: Sequence[Clip], model: Synthesizer, vocab: dict[str, int]) -> list[FitClip]:
    """Convert clips to the model's input format.

    Those too long, or too short for their text, are skipped with a warning.
    """
    front, spectrogram, found = model.config.front_end, Spectrogram(model.config.front_end), []
    for clip in clips:
        ids = [vocab[symbol] for symbol in clip.phonemes if symbol in vocab]
        tokens = torch.tensor([[0, *ids, 0]])
        tokens = with_blanks(tokens) if model.config.add_blank else tokens
        audio = torch.from_numpy(read_audio(clip.path))
        if front.sample_rate != SAMPLE_RATE:
            audio = torchaudio.functional.resample(audio, SAMPLE_RATE, front.sample_rate)
        frames = len(audio) // front.hop
        if not tokens.shape[1] <= frames <= MOST_FRAMES:
            logger.warning("%s left out: %d frames for %d tokens", clip.name, frames, tokens.shape[1])
            continue
        audio = audio[None, : frames * front.hop]
        with torch.no_grad():
            found.append(FitClip(tokens=tokens, spectrogram=spectrogram(audio), audio=audio.unsqueeze(1)))
    return found


def fit_vector(
    model: Synthesizer,
    train: Sequence[FitClip],
    held_out: Sequence[FitClip],
    config: VectorFitConfig,
    *,
    progress: Callable[[], None] = lambda: None,
) -> tuple[Tensor, dict[str, float]]:
    """Fit the vector ``(voice_size,)`` with the lowest loss on the clips.

    The initialization is the best row of the speaker table. Model and table are not changed.

    Returns:
        The vector; and ``start_row``, the loss on the held-out clips ``before`` and ``after``.
    """
    assert model.speakers is not None
    table = model.speakers.weight.detach()
    loss = _Loss(model, config)
    with torch.random.fork_rng(devices=[]):
        start = min(range(min(len(table), COMPARED_ROWS)), key=lambda row: loss.fixed(train[:4], table[row]))
        best, before = table[start].clone(), loss.fixed(held_out, table[start])
        lowest = before
        vector = best.clone().requires_grad_(True)
        rate = config.learning_rate * max(float(table.std()), 1e-3)
        optimizer = torch.optim.Adam([vector], lr=rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
        for step in range(config.steps):
            torch.manual_seed(config.seed * 1_000_003 + step)
            picked = torch.randint(len(train), (min(config.clips_a_step, len(train)),)).tolist()
            optimizer.zero_grad()
            torch.stack([loss(train[index], vector) for index in picked]).mean().backward()
            optimizer.step()
            schedule.step()
            progress()
            if step % config.check_every == config.check_every - 1 or step == config.steps - 1:
                now = loss.fixed(held_out, vector.detach())
                if now < lowest:
                    lowest, best = now, vector.detach().clone()
    return best, {"start_row": start, "before": before, "after": lowest}


class _Loss:
    """Loss of a vector on clips."""

    def __init__(self, model: Synthesizer, config: VectorFitConfig) -> None:
        self.model, self.config, self.spectral = model, config, SpectralLoss()

    def __call__(self, clip: FitClip, vector: Tensor) -> Tensor:
        model = self.model
        voice = vector[None, :, None]
        prior = model.read(clip.tokens, torch.tensor([clip.tokens.shape[1]]), voice)
        posterior = model.encode_posterior(clip.spectrogram, torch.tensor([clip.frames]), voice)
        path = search_alignment(posterior, prior)
        kl = divergence(
            posterior, prior.mean @ path, prior.log_scale @ path, model.flow.log_determinant(posterior.mask)
        )
        hop, wanted = model.config.front_end.hop, 3 * model.config.crop_frames
        starts, count = crop_starts(torch.tensor([clip.frames]), wanted, torch.rand(1))
        audio = model.decoder(cut_frames(posterior.z, starts, count), voice).squeeze(1)
        real = cut_frames(clip.audio, starts * hop, count * hop).squeeze(1)
        return kl + self.config.mel_weight * self.spectral(audio, real)["mel"]

    @torch.no_grad()
    def fixed(self, clips: Sequence[FitClip], vector: Tensor) -> float:
        """Mean over clips, with the same noise at every call."""
        torch.manual_seed(self.config.seed + 23)
        return float(torch.stack([self(clip, vector) for clip in clips]).mean())


def clone_by_vector(config: CloneConfig, base: Base, reporter: Reporter, fit: VectorFitConfig | None = None) -> Path:
    """Fit a voice to a dataset and write ``OUT/NAME/NAME.pt`` with its report; the voice's file.

    A finished voice is kept as it is where ``resume`` is ``auto`` and ``overwrite`` is not set.

    Raises:
        UsageError: the base has one speaker only, or there is already a voice.
        VoicecloneError: too few clips are usable.
    """
    kmodel = base.kmodel
    assert isinstance(kmodel, Vits2KModel)
    if kmodel.model.speakers is None:
        raise UsageError(f"--base {config.base}: is a VITS2 of one speaker: a voice is fitted on one of several")
    folder, started = RunFolder(config.folder), time.perf_counter()
    folder.check_free(resume=config.resume, overwrite=config.overwrite)
    if config.resume == "auto" and folder.is_finished() and not config.overwrite:
        folder.tidy()
        reporter.info(f"{folder.voice} is finished already: nothing to resume")
        return folder.voice
    with folder.locked():
        dataset = _read_dataset(config, kmodel, reporter)
        splits = (dataset.train, dataset.validation)
        train, held_out = (fit_clips(clips, kmodel.model, kmodel.vocab) for clips in splits)
        if not train or not held_out:
            raise VoicecloneError(
                f"{config.data}: no clip can be fitted: all are too long, or too short for their text"
            )
        fit = VectorFitConfig(seed=config.seed) if fit is None else fit
        with reporter.task("Fitting", total=fit.steps, unit="step") as task:
            vector, found = fit_vector(kmodel.model, train, held_out, fit, progress=lambda: task.advance(1))
        folder.put_voice(VoicePack(voice_rows(vector), config.name))
        folder.clear()
        report = {
            **_facts(config, base, dataset.notices),
            **_result(found, fit, len(held_out)),
            "dataset": {
                "fingerprint": dataset.fingerprint,
                **_sizes("train", train, kmodel.model),
                **_sizes("validation", held_out, kmodel.model),
            },
            "voice_sha256": sha256_of(folder.voice),
            "seconds": round(time.perf_counter() - started, 1),
        }
        if not report["verdict"].startswith("better"):
            reporter.warn(report["verdict"])
        write_json(folder.config, config.placed())
        write_json(folder.report, report)
    reporter.info(f"voice: {folder.voice} (loss on held-out clips {found['before']:.2f} -> {found['after']:.2f})")
    return folder.voice


def _read_dataset(config: CloneConfig, kmodel: Vits2KModel, reporter: Reporter) -> Dataset:
    """Read and check the clips; their notices are shown as warnings."""
    with reporter.task("Checking clips", unit="clip") as task:
        dataset = load_dataset(
            Path(config.data), lang=config.lang, seed=config.seed, vocab=kmodel.vocab,
            progress=lambda done, total: task.advance(1),
        )  # fmt: skip
    for notice in dataset.notices:
        reporter.warn(notice)
    return dataset


def _facts(config: CloneConfig, base: Base, notices: Sequence[str]) -> dict[str, Any]:
    """The entries of the report that say what the voice was made of, named as those of a clone's."""
    return {
        "name": config.name,
        "base": {"name": base.name, "kind": base.kind, "sha256": base.sha256, "weights": base.weights,
                 "voice_space": base.voice_space},
        "stock_kokoro": base.voice_space == KOKORO_SPACE,
        "notices": list(notices),
        "method": "a speaker's vector fitted, everything else frozen",
        "seed": config.seed,
        "consent": config.consent,
        "versions": package_versions(),
    }  # fmt: skip


def _sizes(split: str, clips: Sequence[FitClip], model: Synthesizer) -> dict[str, float]:
    """Number and minutes of the clips of a split that were used."""
    front = model.config.front_end
    seconds = sum(clip.frames for clip in clips) * front.hop / front.sample_rate
    return {f"{split}_clips": len(clips), f"{split}_minutes": round(seconds / 60, 2)}


def _result(found: dict[str, float], fit: VectorFitConfig, held_out: int) -> dict[str, Any]:
    """The entries of the report on the fit itself; ``epochs`` is None, because every step draws its clips anew."""
    before, after = ({"validation_loss": found[name]} for name in ("before", "after"))
    initial = f"row {found['start_row']:.0f} of the speaker table"
    return {
        "fit": found,
        "steps": fit.steps,
        "epochs": None,
        "verdict": verdict_line({"before": before, "after": after}, initial, held_out),
    }
