"""The base that a run of fine-tuning starts from: its model, its style encoders, and which of them stay."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from voiceclone.bases.base import NANO, STOCK_KOKORO, Base, kokoro_encoders, load_base
from voiceclone.bases.folder import encoder_config, read_config, read_info, weight_file
from voiceclone.bases.kokoro_weights import get_weights
from voiceclone.errors import UsageError
from voiceclone.models import presets
from voiceclone.models.checkpoint import read_state
from voiceclone.style.encoders import StyleEncoders, load_style_encoders
from voiceclone.voice.space import KOKORO_SPACE, named_space


@dataclass(frozen=True, kw_only=True)
class FinetunedBase:
    """What is needed of a base to go on training it."""

    which: str
    """``nano``, ``kokoro``, or a folder."""
    name: str
    config: dict[str, Any] = field(repr=False)
    folder: Path | None
    """None for the real Kokoro."""

    @property
    def shares_kokoro_space(self) -> bool:
        """Whether its voices are Kokoro's, so that the encoders that give them must stay as they are."""
        return self.folder is None or named_space(self.folder) == KOKORO_SPACE

    @property
    def preset(self) -> str:
        """``full`` for models of Kokoro's own size, else ``nano``: what decides the size of what is trained beside."""
        return "nano" if "nano" in self.config else "full"

    def encoders(self) -> StyleEncoders:
        """The pair whose styles are this base's voices.

        Raises:
            UsageError: the base does not bring it.
        """
        if self.shares_kokoro_space:
            return kokoro_encoders()
        assert self.folder is not None
        path = self.folder / "own_encoders.safetensors"
        if not path.is_file():
            raise UsageError(
                f"--finetune {self.which}: the base lacks own_encoders.safetensors, the encoders it was trained with"
            )
        return load_style_encoders(path, encoder_config(self.folder, read_info(self.folder)))

    def weights(self) -> tuple[dict[str, Tensor], Path]:
        """The model's weights, and where they are from.

        Raises:
            VoicecloneError: they cannot be had, or are damaged.
        """
        path = get_weights().path if self.folder is None else weight_file(self.folder)
        return read_state(path), path

    def load(self) -> Base:
        """The base, ready to speak."""
        return load_base(self.which if self.folder is None or self.which == NANO else self.folder)


def find_finetuned_base(which: str) -> FinetunedBase:
    """The base called ``which``, nothing of it loaded but its config.

    Raises:
        UsageError: there is none.
        VoicecloneError: its config is damaged.
    """
    if which == STOCK_KOKORO:
        config = read_config(presets.KOKORO_CONFIG)
        return FinetunedBase(which=which, name="Kokoro-82M", config=config, folder=None)
    folder = presets.NANO_FOLDER if which == NANO else Path(which)
    if not (folder / "config.json").is_file():
        raise UsageError(f"--finetune {which}: no base lies there: give nano, kokoro, or the folder of a base")
    name = str(read_info(folder).get("name", folder.name))
    return FinetunedBase(which=which, name=name, config=read_config(folder / "config.json"), folder=folder)
