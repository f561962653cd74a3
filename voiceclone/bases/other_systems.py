"""Load bases of other systems than Kokoro's, which ``base.json`` names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voiceclone.bases.folder import read_info, read_stock_voices, weight_file
from voiceclone.bases.loaded import CUSTOM, Base
from voiceclone.errors import VoicecloneError
from voiceclone.models.store import stamped_sha256
from voiceclone.style.encoders import StyleEncoders
from voiceclone.voice.pack import VoicePack

VITS2 = "vits2"  # value of ``system`` in such a base's ``base.json``


def load_mamba_conv(folder: Path) -> Base:
    """Load a Mamba-Conv base.

    Its style extractor replaces the pair of encoders; its space is the base's voice space.
    """
    from voiceclone.bases.mamba_conv import read_mamba_conv
    from voiceclone.models.mamba_conv.speaking import StylePair

    bundle = read_mamba_conv(folder)
    kmodel, sha256 = bundle.kmodel(), stamped_sha256(weight_file(folder))
    return Base(
        name=str(bundle.facts.get("name", folder.name)),
        kind=CUSTOM,
        kmodel=kmodel,
        load_encoders=lambda: StylePair(kmodel.model),
        load_own_encoders=lambda: StylePair(kmodel.model),
        stock_voices={name: VoicePack(tensor=tensor, name=name) for name, tensor in bundle.voices.items()},
        config=bundle.config_json(),
        info={**bundle.facts, "styles_are_voices": True},
        sha256=sha256,
        folder=folder,
    )


def is_vits2(folder: Path) -> bool:
    """Whether a folder holds a VITS2, by its ``base.json``; False where that cannot be read."""
    try:
        return read_info(folder).get("system") == VITS2
    except (VoicecloneError, OSError, ValueError):  # ValueError: a path with a NUL character
        return False


def load_vits2_base(folder: Path, weights: Path, info: Mapping[str, Any]) -> Base:
    """Load a VITS2, with the interface of Kokoro's model. Its voices are its speaker vectors."""
    from voiceclone.models.vits2.speaking import Vits2KModel, load_vits2

    def no_encoders() -> StyleEncoders:
        raise VoicecloneError(
            f"{folder} is a VITS2, which has no style encoders: a new voice is fitted by `voiceclone clone --base`"
        )

    model, vocab = load_vits2(folder, weights)
    return Base(
        name=str(info.get("name", folder.name)),
        kind=CUSTOM,
        kmodel=Vits2KModel(model, vocab).eval(),
        load_encoders=no_encoders,
        stock_voices=read_stock_voices(folder),
        config=model.config.to_json(),
        info=info,
        sha256=stamped_sha256(weights),
        folder=folder,
    )
