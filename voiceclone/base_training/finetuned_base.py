"""The base from which fine-tuning starts: its model, its style encoders, and which of them are trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voiceclone.bases.base import NANO, STOCK_KOKORO, Base, kokoro_encoders, load_base
from voiceclone.bases.folder import encoder_config, read_config, read_info, weight_file
from voiceclone.bases.kokoro_weights import get_weights
from voiceclone.distributed import convolution_dtype
from voiceclone.errors import UsageError
from voiceclone.models import presets
from voiceclone.models.checkpoint import read_state
from voiceclone.style.encoders import StyleEncoders, load_style_encoders
from voiceclone.voice.space import KOKORO_SPACE, named_space


@dataclass(frozen=True, kw_only=True)
class FinetunedBase:
    """The parts of a base that are needed for fine-tuning it."""

    which: str
    """``nano``, ``kokoro``, or a folder."""
    name: str
    config: dict[str, Any] = field(repr=False)
    folder: Path | None
    """None for Kokoro-82M."""

    @property
    def shares_kokoro_space(self) -> bool:
        """True where its voices are Kokoro's. The encoders for such voices are then not trained."""
        return self.folder is None or named_space(self.folder) == KOKORO_SPACE

    @property
    def preset(self) -> str:
        """``full`` for models of Kokoro's size, else ``nano``.

        It determines the sizes of the discriminators and other parts.
        """
        return "nano" if "nano" in self.config else "full"

    def encoders(self) -> StyleEncoders:
        """The encoders whose styles are this base's voices.

        Raises:
            UsageError: the base does not include them.
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
        """The model's weights and the file they were read from.

        Raises:
            VoicecloneError: they are not available, or are damaged.
        """
        path = get_weights().path if self.folder is None else weight_file(self.folder)
        return read_state(path), path

    def load(self) -> Base:
        """Load the base for synthesis."""
        return load_base(self.which if self.folder is None or self.which == NANO else self.folder)

    def load_for_alignment(self) -> Base:
        """The base to align recordings with. For Kokoro it is nano, which has learned its durations and is faster."""
        return load_base(NANO) if self.shares_kokoro_space else self.load()

    def convolutions(self, device: str) -> torch.dtype | None:
        """The dtype of the vocoder's convolutions: bfloat16 for Kokoro's size on CPUs with matrix units, else float32.

        None means float32.
        """
        return convolution_dtype("auto", torch.device(device)) if self.preset == "full" else None


def find_finetuned_base(which: str) -> FinetunedBase:
    """Find the base called ``which``. Only its config is loaded.

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
