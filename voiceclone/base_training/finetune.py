"""Fine-tune a base on recordings of one or more speakers, and export it with their voices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voiceclone.base_training.batches import BatchMaker
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.export import averaged_trainee
from voiceclone.base_training.facts import BaseFacts
from voiceclone.base_training.finetuned_base import FinetunedBase, find_finetuned_base
from voiceclone.base_training.finetuned_voice import VoiceFinetuning, voices_of_run, voices_of_speakers
from voiceclone.base_training.following import Following
from voiceclone.base_training.objective import Trainee
from voiceclone.base_training.packed_folder import repacked
from voiceclone.base_training.recorded import RecordedSystem
from voiceclone.base_training.rehearsal import recorded_speakers, speaker_weights
from voiceclone.base_training.run_folder import BASE
from voiceclone.base_training.stock_voices import stock_voice
from voiceclone.base_training.trainer import read_checkpoint
from voiceclone.base_training.training_run import TrainingRun
from voiceclone.bases.folder import read_info
from voiceclone.errors import UsageError
from voiceclone.files import sha256_of, write_json, write_text, write_torch
from voiceclone.models.checkpoint import PARTS, load_strictly, save_state
from voiceclone.models.nano import NanoKModel
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.space import KOKORO_SPACE

FINETUNING_RATE = 1e-4
FULL_ON_CPU = {"crop_batch": 4, "long_batch": 1, "prosody_batch": 4, "log_every": 5}
"""Settings for a model of Kokoro's size on a CPU: less time and memory for a step, and more frequent reports."""
STRENGTH = 0.35
"""Default interpolation of the packed weights between the base (0) and the trained model (1)."""


def finetune_settings(base: FinetunedBase, device: str = "cpu") -> dict[str, Any]:
    """Values of ``TrainConfig`` that differ from training from scratch: no frozen parts, low learning rate."""
    return {
        **(FULL_ON_CPU if base.preset == "full" and device == "cpu" else {}),
        "bfloat16": base.convolutions(device) is torch.bfloat16,
        "save_memory": base.preset == "full",
        "preset": base.preset,
        "acoustic_share": 0.0,
        "adversarial_share": 0.0,
        "warmup_steps": 20,
        "learning_rate": FINETUNING_RATE,
        "discriminator_rate": 2e-4,
    }


def train_finetuned(run: TrainingRun) -> Path:
    """Fine-tune the base that ``config.styletts2.finetune`` names, and pack it; the new base's folder.

    The corpus holds the speaker's recordings, and speech of the base's own to rehearse.

    Raises:
        UsageError: there is no checkpoint to resume from, or it belongs to other data.
        VoicecloneError: training diverged, or a file cannot be read or written.
    """
    settings = run.config.styletts2
    base = find_finetuned_base(settings.finetune)
    voices = _fixed_voices(run, base)
    if run.train:
        weights = speaker_weights(run.corpus.speakers, settings.rehearsal_share)
        if voices is None:
            recorded = RecordedSystem(run.corpus, run.config, speaker_boost=weights, process_group=run.group)
            trainer = run.trainer(recorded, initialize=lambda: recorded.initialize_from_base(base))
        else:
            system = VoiceFinetuning(run.corpus, run.config, base, voices, boost=weights, process_group=run.group)
            trainer = run.trainer(system, initialize=system.initialize)
        trainer.run(Following(voices=len(recorded_speakers(run.corpus.speakers))))
        if voices is None:
            recorded.report_unused()
    if run.group.is_main:
        pack_finetuned(run.corpus, run.out, run.facts, base, voices, strength=run.strength)
    return run.base


def _fixed_voices(run: TrainingRun, base: FinetunedBase) -> dict[str, Tensor] | None:
    """The voices of the recorded speakers in Kokoro's voice space; None for a base that is trained with encoders."""
    if not base.shares_kokoro_space:
        for flag, value in (("--voice", run.voice), ("--strength", run.strength)):
            if value is not None:
                raise UsageError(f"{flag}: {base.name} does not have Kokoro's voice space: leave it out")
        return None
    if run.resume or not run.train:
        return voices_of_run(run.out, run.voice)
    return run.group.broadcast_result(
        lambda: voices_of_speakers(run.corpus, base, seed=run.config.seed, given=run.voice)
    )


def pack_finetuned(
    corpus: Corpus,
    out: Path,
    facts: BaseFacts,
    base: FinetunedBase,
    voices: dict[str, Tensor] | None = None,
    *,
    strength: float | None = None,
) -> Path:
    """Write ``out/base``: the averaged model, the new speakers' voices, and the base's other files.

    A model of Kokoro's own architecture is written as a ``.pth`` file that stock ``KModel(model=...)`` loads. An
    earlier packing is replaced as a whole, once the new one is complete.

    Args:
        voices: packs ``(510, 1, 256)`` by speaker, for a base with Kokoro's voice space; None: the mean styles of the
            trained encoders.
        strength: interpolation between the weights of such a base (0) and the trained ones (1); None:
            :data:`STRENGTH`.

    Raises:
        UsageError: the run in ``out`` is of another base.
        VoicecloneError: a file cannot be read or written.
    """
    checkpoint = read_checkpoint(out)
    if (was := TrainConfig.from_json(checkpoint["config"]).styletts2.finetune) != base.which:
        raise UsageError(f"{out}: is a fine-tuning of {was or 'no base'}, not of {base.which}: give that to --finetune")
    trainee = None
    if voices is None:
        trainee = averaged_trainee(checkpoint)
        model: NanoKModel = trainee.model
        training = BatchMaker(corpus, TrainConfig.from_json(checkpoint["config"])).training
        voices = {
            speaker: stock_voice(corpus, trainee.encoders, speaker, indices=training[speaker])
            for speaker in recorded_speakers(corpus.speakers)
        }
        extra: dict[str, Any] = {}
    else:
        extra = {"voice_space": KOKORO_SPACE, "strength": STRENGTH if strength is None else strength}
        model = interpolated(base, checkpoint["averaged"], extra["strength"])
    hours = sum(float(corpus.frames[corpus.by_speaker[s]].sum()) for s in voices) * 0.025 / 3600
    with repacked(out / BASE) as folder:
        if trainee is not None:
            extra.update(_own_encoders(trainee, base, folder))
        _write_base(folder, model, voices, facts, {"finetuned_from": base.name, **extra})
        write_text(folder / "README.md", _card(facts, base, checkpoint, sorted(voices), hours))
    return out / BASE


def _write_base(
    folder: Path, model: NanoKModel, voices: dict[str, Tensor], facts: BaseFacts, extra: dict[str, Any]
) -> None:
    """Write config, weights, voices, and ``base.json`` with ``extra``."""
    write_json(folder / "config.json", model.config)
    weights = _write_model(model, folder, facts.name)
    for speaker, voice in voices.items():
        VoicePack(voice).save(folder / "voices" / f"{_file_name(speaker)}.pt")
    info = {
        "name": facts.name, "version": facts.version, "licence": facts.licence, "language": facts.language,
        "voices": sorted(voices), "sha256": sha256_of(weights), **extra,
    }  # fmt: skip
    write_json(folder / "base.json", info)


def interpolated(base: FinetunedBase, trained: dict[str, Tensor], strength: float) -> NanoKModel:
    """The model whose weights lie between those of a base (``strength`` 0) and trained ones (1).

    Between the two a fine-tuned model keeps most of what it learned, and most of what the base could do (Wortsman et
    al. 2022, "Robust fine-tuning of zero-shot models").

    Args:
        base: the base.
        trained: state dict of the trained model.
        strength: 0-1.

    Raises:
        VoicecloneError: the base's weights are not available, or are damaged.
    """
    with torch.random.fork_rng(devices=[]):
        model = NanoKModel(base.config)
    state, source = base.weights()
    load_strictly(model, state, source)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.lerp_(trained[name].to(value), strength)
    return model.eval().requires_grad_(False)


def _write_model(model: NanoKModel, folder: Path, name: str) -> Path:
    """Write the weights in the format of their architecture; the file."""
    if "nano" in model.config or "hifigan" in model.config:
        weights = folder / "model.safetensors"
        save_state(model, weights, half=True)
    else:
        weights = folder / f"{_file_name(name)}.pth"
        write_torch(weights, {part: getattr(model, part).state_dict() for part in PARTS})
    return weights


def _own_encoders(trainee: Trainee, base: FinetunedBase, folder: Path) -> dict[str, Any]:
    """Write the trained encoders, and the unchanged encoders for cloning; returns their widths."""
    assert base.folder is not None
    save_state(trainee.encoders, folder / "own_encoders.safetensors", half=True)
    surrogate = base.folder / "style_encoders.safetensors"
    if surrogate.is_file():
        (folder / surrogate.name).write_bytes(surrogate.read_bytes())
    return {"encoder": read_info(base.folder).get("encoder", {})}


def _card(facts: BaseFacts, base: FinetunedBase, checkpoint: dict[str, Any], voices: list[str], hours: float) -> str:
    lines = [
        f"# {facts.name} {facts.version}", "",
        f"{base.name}, fine-tuned for {checkpoint['step']} steps ({checkpoint['seconds'] / 60:.0f} minutes) on "
        f"{60 * hours:.1f} minutes of {', '.join(voices)}.", "",
        *(f"- {line}" for line in facts.data), "",
        "Nothing has been measured.", "", f"Licence: {facts.licence or 'not stated'}.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _file_name(name: str) -> str:
    """A file name from a speaker's name: letters, digits and a few punctuation characters."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name).strip(".") or "voice"
