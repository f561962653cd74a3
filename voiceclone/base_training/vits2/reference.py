"""Train from config files and filelists of the public implementation (github.com/p0p4k/vits2_pytorch).

Its checkpoints (``G_*.pth``) have another format and cannot be read.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from voiceclone.audio.features import FRAME_SAMPLES
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus, prepare_corpus
from voiceclone.base_training.facts import BaseFacts
from voiceclone.base_training.trainer import CHECKPOINT
from voiceclone.base_training.training_run import TrainingRun
from voiceclone.base_training.vits2.recipe import train_and_pack
from voiceclone.base_training.vits2.reference_config import ReferenceConfig, read_reference_config
from voiceclone.data.rows import Row
from voiceclone.data.tables import read_text
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.models.presets import full_config
from voiceclone.models.vits2.config import FLOWS, PLAIN

logger = logging.getLogger(__name__)

SPELLINGS = {"g": "ɡ", "ɝ": "ɜɹ"}
"""eSpeak-NG phonemes for which the vocabulary has other symbols."""


def train_config(config: ReferenceConfig, utterances: int, steps: int | None, device: str = "cpu") -> TrainConfig:
    """The run that a config file describes.

    Args:
        config: the file.
        utterances: number of utterances in the filelist: the length of an epoch.
        steps: length of the run; the file's epochs where None.
        device: torch device.

    Raises:
        UsageError: values are not consistent.
    """
    train, data, model = config.train, config.data, config.model
    count = steps or math.ceil(utterances / train["batch_size"]) * train["epochs"]
    flow = model.get("transformer_flow_type", "pre_conv") if model.get("use_transformer_flows", False) else PLAIN
    if flow not in FLOWS:
        raise UsageError(f"{config.path}: transformer_flow_type is {flow!r}: use one of {', '.join(FLOWS)}")
    mel_scale = train.get("c_mel", 45) / 45
    values: dict[str, Any] = {
        "system": "vits2", "preset": "full", "steps": count, "device": device, "seed": train.get("seed", 0),
        "learning_rate": train.get("learning_rate", 2e-4), "betas": train.get("betas", [0.8, 0.99]),
        "crop_batch": train["batch_size"], "log_every": train.get("log_interval", 50),
        "adversarial_share": 0.3, "discriminator_every": 1,
        "weights": {"mel": 30 * mel_scale, "convergence": 7.5 * mel_scale, "spectrum": 7.5 * mel_scale,
                    "kl": train.get("c_kl", 1.0)},
        "system_settings": {
            "decoder": "hifigan", "kl_ramp_share": 0.1, "mas_noise_share": 0.15,
            "flow": flow, "sdp": model.get("use_sdp", True), "mas_from_start": True,
            "posterior": "mel" if _uses_mel(config) else "linear",
            "speaker_encoder": model.get("use_spk_conditioned_encoder", False),
            "add_blank": data.get("add_blank", False),
            "mas_noise": 0.01 if model.get("use_noise_scaled_mas", False) else 0.0,
            "duration_discriminator": _duration_discriminator(config),
            "max_frames": 1000,
            "model": _model_values(config),
        },
    }  # fmt: skip
    try:
        return TrainConfig.from_json(values)
    except UsageError:
        raise
    except (ValueError, TypeError) as error:
        raise UsageError(f"{config.path}: {error}: correct it") from error


def _uses_mel(config: ReferenceConfig) -> bool:
    return bool(config.model.get("use_mel_posterior_encoder", config.data.get("use_mel_posterior_encoder", False)))


def _duration_discriminator(config: ReferenceConfig) -> str:
    """The discriminator for the file's setting: its versions 1 and 2 are convolutions."""
    if not config.model.get("use_duration_discriminator", False):
        return "none"
    return "lstm" if "lstm" in str(config.model.get("duration_discriminator_type", "")).lower() else "conv"


def _model_values(config: ReferenceConfig) -> dict[str, Any]:
    """Sizes by the names of :class:`voiceclone.models.vits2.config.Vits2Config`, as far as the file gives them."""
    model, data = config.model, config.data
    names = {
        "inter_channels": "channels", "hidden_channels": "hidden", "filter_channels": "filter", "n_heads": "heads",
        "n_layers": "layers", "kernel_size": "kernel", "p_dropout": "dropout", "resblock": "resblock",
        "resblock_kernel_sizes": "resblock_kernels", "resblock_dilation_sizes": "resblock_dilations",
        "upsample_rates": "upsample_rates", "upsample_kernel_sizes": "upsample_kernels",
        "upsample_initial_channel": "upsample_channels",
    }  # fmt: skip
    front = {
        "sample_rate": data["sampling_rate"], "hop": data["hop_length"], "n_fft": data["filter_length"],
        "win": data["win_length"], "n_mels": data.get("n_mel_channels", 80), "f_min": data.get("mel_fmin", 0.0),
        "f_max": data.get("mel_fmax"), "posterior": "mel" if _uses_mel(config) else "linear",
    }  # fmt: skip
    values = {ours: model[theirs] for theirs, ours in names.items() if theirs in model}
    crop = config.train["segment_size"] // data["hop_length"]
    return {
        **values, "front_end": front, "crop_frames": crop, "duration_noise": False,
        "speaker_channels": model.get("gin_channels") or 256,
    }  # fmt: skip


def read_filelist(path: Path, *, several: bool, cleaned: bool, speakers: int = 0) -> list[Row]:
    """Rows of a filelist: ``wav|text``, or ``wav|speaker|text`` for several speakers.

    Args:
        path: the filelist.
        several: expect a speaker column.
        cleaned: the text is phonemes.
        speakers: number of speakers in the config; 0: unknown.

    Raises:
        UsageError: it cannot be read, has other columns, names missing files, or has one speaker where several are
            expected.
    """
    try:
        lines = [line for line in read_text(Path(path)).splitlines() if line.strip()]
    except VoicecloneError as error:
        raise UsageError(f"training_files: {error}") from error
    columns, form = (3, "wav|speaker|text") if several else (2, "wav|text")
    rows = []
    for number, line in enumerate(lines, 1):
        parts = line.split("|", columns - 1)
        if len(parts) < columns or (not several and "|" in parts[1]):
            raise UsageError(f"{path}, line {number}: is not {form}: correct it, or use the script for the other form")
        if several and not parts[1].strip().isdigit():
            raise UsageError(f"{path}, line {number}: the speaker {parts[1]!r} is not a number: correct it")
        speaker = f"{int(parts[1]):03d}" if several else "speaker"
        if several and speakers and int(speaker) >= speakers:
            raise UsageError(f"{path}, line {number}: speaker {int(speaker)}, but n_speakers is {speakers}: correct it")
        text = parts[-1].strip()
        rows.append(
            Row(path=Path(parts[0]), speaker=speaker, text=text, phonemes=spelled(text) if cleaned else None,
                durations=None)
        )  # fmt: skip
    if not rows:
        raise UsageError(f"{path}: holds no rows: check training_files")
    missing = [row.path for row in rows if not row.path.is_file()]
    if missing:
        raise UsageError(
            f"{path}: {len(missing)} of {len(rows)} files are missing (first: {missing[0]}): link the folder"
        )
    if several and len({row.speaker for row in rows}) < 2:
        raise UsageError(f"{path}: holds one speaker where several are expected: use train.py with wav|text")
    return rows


def spelled(phonemes: str) -> str:
    """eSpeak-NG's phonemes in the vocabulary's symbols."""
    return "".join(SPELLINGS.get(symbol, symbol) for symbol in phonemes)


def even_durations(audio: np.ndarray, text: str, phonemes: str) -> np.ndarray:
    """Equal frames, but for rounding, of BOS, N phonemes and EOS, int64 ``(N + 2,)``: VITS2 searches its own alignment.

    Raises:
        VoicecloneError: there are fewer frames than tokens.
    """
    frames, tokens = len(audio) // FRAME_SAMPLES, len(phonemes) + 2
    if frames < tokens:
        raise VoicecloneError(f"{frames} frames for {tokens} phonemes: the clip is too short for its text")
    return np.diff(np.arange(tokens + 1) * frames // tokens)


def train_reference(
    config_path: Path, out: Path, *, several: bool, steps: int | None = None, device: str = "cpu"
) -> Path:
    """Train the model of a public config file into ``out``; returns the base's folder.

    A run in ``out`` is resumed.

    Args:
        config_path: the config file.
        out: the run's folder.
        several: the filelists have a speaker column.
        steps: length of the run; the file's epochs where None.
        device: torch device.

    Raises:
        UsageError: the config or a filelist is wrong, or ``out`` has a run with other settings.
        VoicecloneError: no row is usable, or training diverged.
    """
    config = read_reference_config(config_path)
    announced = int(config.data.get("n_speakers", 0))
    if several and announced == 1:
        raise UsageError(f"{config_path}: n_speakers is 1, where several are expected: use train.py")
    cleaned = bool(config.data.get("cleaned_text", False))
    cleaners = config.data.get("text_cleaners", [])
    if not cleaned and not all(str(one).startswith("english") for one in cleaners):
        raise UsageError(f"{config_path}: text_cleaners {cleaners}: other texts than English must be cleaned before")
    rows = read_filelist(Path(config.data["training_files"]), several=several, cleaned=cleaned, speakers=announced)
    settings = train_config(config, len(rows), steps, device)
    corpus = _corpus(rows, out / "cache" / "filelist", cleaned=cleaned)
    facts, resume = BaseFacts(name=out.name), (out / CHECKPOINT).is_file()
    return train_and_pack(TrainingRun(corpus=corpus, config=settings, out=out, facts=facts, resume=resume))


def _corpus(rows: list[Row], cache: Path, *, cleaned: bool) -> Corpus:
    vocab = full_config()["vocab"]
    unknown = sorted({c for row in rows for c in row.phonemes or "" if c not in vocab})
    if unknown:
        logger.warning("symbols that the vocabulary lacks are left out: %s", " ".join(unknown))
    phonemize: Callable[[str], str] | None = None
    if not cleaned:
        from voiceclone.text.g2p import Phonemizer

        phonemize = Phonemizer("a").phonemes
    return prepare_corpus(
        rows, cache, vocab, phonemize=phonemize, align=even_durations, aligned_by="even", language="a"
    )
