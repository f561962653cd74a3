"""Write a trained base's folder: weights, both pairs of encoders, stock voices, config and model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.objective import Trainee, build_trainee
from voiceclone.bases.folder import STYLE_SAMPLER
from voiceclone.files import sha256_of, write_bytes, write_json, write_text
from voiceclone.models.checkpoint import save_state
from voiceclone.models.presets import preset
from voiceclone.models.styletts2.diffusion import StyleDiffusion
from voiceclone.style.encoders import StyleEncoders
from voiceclone.voice.card import NOT_STATED, licence_matter

FILES = (
    "config.json", "model.safetensors", "style_encoders.safetensors", "own_encoders.safetensors",
    "voices.safetensors", "base.json", "README.md",
)  # fmt: skip


LEGEND = (
    "On held-out sentences, all prosody predicted; an oracle voice comes from the base's own encoders. "
    "`duration_frames`: mean absolute error a token, frames of 25 ms. `rate_percent`: mean absolute error of an "
    "utterance's length. `f0_semitones`: between the medians. `similarity`: Resemblyzer's cosine to the speaker's own "
    "recordings; `true_similarity`: the same for a recording; `own_first_percent`: own speaker nearest among all in "
    "training (oracle voices: among all kept out). `mel_l1_true_prosody`: log-mel distance with true durations, F0 and "
    "energy. `phone_error_percent`: phones that the package's recogniser misses, mistakes or adds, of those of the "
    "sentence; `true_phone_error_percent`: the same for the recordings, which is what can be reached."
)


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """Contents of the model card that are not in the files."""

    name: str
    version: str
    language: str
    licence: str
    data: Sequence[str]
    """One line for each dataset, with its licence."""
    kept_out: Sequence[str]
    """Speakers that were not used for training."""
    training: str
    """One sentence: duration and data of the training."""
    measured: dict[str, dict[str, float]] = field(default_factory=dict)
    """Speaker group to metric to value."""
    not_measured: Sequence[str] = ()
    limits: Sequence[str] = ()
    notes: Sequence[str] = ()


def averaged_trainee(checkpoint: dict[str, Any]) -> Trainee:
    """The model with the averaged weights of a checkpoint, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        trainee = build_trainee(TrainConfig.from_json(checkpoint["config"]), len(checkpoint["speakers"]))
    trainee.load_state_dict(checkpoint["averaged"])
    return trainee.eval().requires_grad_(False)


def export_base(
    out: Path,
    trainee: Trainee,
    surrogate: StyleEncoders,
    voices: dict[str, Tensor],
    preset_name: str,
    facts: CardFacts,
    *,
    style_sampler: StyleDiffusion | None = None,
) -> None:
    """Write a base into an empty folder. Weights and voices are stored as float16, the style sampler in its own dtype.

    Args:
        out: the empty folder.
        trainee: the model and its style encoders.
        surrogate: the separately trained encoders, which the clone pipeline uses.
        voices: packs ``(510, 1, 256)`` by name.
        preset_name: name of the preset.
        facts: for the card.
        style_sampler: None where none was trained.

    Raises:
        VoicecloneError: a file cannot be written.
    """
    out = Path(out)
    encoder = preset(preset_name)[1]
    write_json(out / "config.json", trainee.model.config)
    save_state(trainee.model, out / "model.safetensors", half=True)
    save_state(trainee.encoders, out / "own_encoders.safetensors", half=True)
    save_state(surrogate, out / "style_encoders.safetensors", half=True)
    write_bytes(out / "voices.safetensors", save({name: shortened(pack.half()) for name, pack in voices.items()}))
    if style_sampler is not None:
        save_state(style_sampler, out / STYLE_SAMPLER)
    info = {
        "name": facts.name, "version": facts.version, "preset": preset_name, "licence": facts.licence,
        "language": facts.language, "encoder": encoder, "voices": sorted(voices), "kept_out": sorted(facts.kept_out),
        "measured": facts.measured, "sha256": sha256_of(out / "model.safetensors"),
    }  # fmt: skip
    write_json(out / "base.json", info)
    write_text(out / "README.md", kokoro_card(facts, sorted(voices), style_sampler=style_sampler is not None))


def shortened(pack: Tensor) -> Tensor:
    """A voice ``(510, 1, 256)`` without repeated rows at its end: of equal last rows only one is kept."""
    differs = (pack != pack[-1]).flatten(1).any(dim=1).nonzero()
    return pack[: int(differs[-1]) + 2 if len(differs) else 1].contiguous()


def kokoro_card(facts: CardFacts, voices: Sequence[str], *, style_sampler: bool = False) -> str:
    """The model card as Markdown."""
    lines = [
        "---", *licence_matter(facts.licence), f"language: {facts.language}", "library_name: kokoro",
        "pipeline_tag: text-to-speech", "---", "", f"# {facts.name} {facts.version}", "",
        "A Kokoro-format text-to-speech base (StyleTTS2's recipe) with its style encoders and stock voices.", "",
        facts.training, "", "## Files", "",
        "- `config.json`, `model.safetensors`: the model (float16); Kokoro's config with the widths of the decoder.",
        "- `style_encoders.safetensors`: the pair of style encoders cloning starts from. Trained apart from the model,",
        "  its space is not the model's own, as StyleTTS2's space is not Kokoro's.",
        "- `own_encoders.safetensors`: the pair trained with the model, for measuring the best a clone can reach.",
        f"- `voices.safetensors`: {len(voices)} stock voices, `(510, 1, 256)` when read: {', '.join(voices)}.",
        "  Of last rows that are all alike only one is stored; `voiceclone export` writes whole ones.",
    ]  # fmt: skip
    if style_sampler:
        lines.append("- `style_diffusion.safetensors`: the style sampler, used by `say --beta 0.7`.")
    lines += ["", "## Data", "", *(f"- {line}" for line in facts.data)]
    lines += ["", f"Kept out of training, for measuring clones: {', '.join(sorted(facts.kept_out)) or 'none'}.", ""]
    lines += ["## Measured", "", LEGEND, "", *_table(facts.measured), ""]
    if facts.not_measured:
        lines += ["Not measured:", "", *(f"- {line}" for line in facts.not_measured), ""]
    if facts.notes:
        lines += ["Looked at:", "", *(f"- {line}" for line in facts.notes), ""]
    if facts.limits:
        lines += ["## Limits", "", *(f"- {line}" for line in facts.limits), ""]
    lines += ["## Licence", "", f"{facts.licence or NOT_STATED}. The vocabulary is Kokoro-82M's (Apache-2.0)."]
    return "\n".join(lines) + "\n"


def _table(measured: dict[str, dict[str, float]]) -> list[str]:
    if not measured:
        return ["Nothing has been measured."]
    columns = sorted({name for values in measured.values() for name in values})
    rows = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for group, values in measured.items():
        rows.append(f"| {group} | " + " | ".join(_number(values.get(name)) for name in columns) + " |")
    return rows


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
