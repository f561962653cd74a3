"""How far a clone goes from its initialization to the trained voice: likeness against naturalness.

Training begins at a blend of stock voices, which speaks as naturally as they do but is not the speaker. Each step
towards the trained voice makes it more like the speaker and, past some point, less natural. The artifacts of a run
hold both ends, so that the point between them can be chosen again without training.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from voiceclone.cloning.folder import RunFolder
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.voice.pack import ROWS, VOICE_DIM, VoicePack
from voiceclone.voice.profile import LengthProfile


def between(initialization: Tensor, trained: Tensor, fidelity: float) -> Tensor:
    """The vector at ``fidelity`` (0-1) on the line from ``initialization`` to ``trained``, both ``(1, 256)``."""
    return torch.lerp(initialization.float(), trained.float(), fidelity)


def at_fidelity(voice: Path, fidelity: float) -> VoicePack:
    """The clone ``voice`` at another fidelity, from the artifacts beside it.

    Args:
        voice: ``OUT/NAME/NAME.pt`` of a finished run.
        fidelity: 0 (initialization) to 1 (trained voice).

    Raises:
        UsageError: ``fidelity`` is out of range, or the voice has no artifacts.
        VoicecloneError: the artifacts are damaged.
    """
    if not 0.0 <= fidelity <= 1.0:
        raise UsageError(f"fidelity {fidelity:g}: use a number from 0 (initialization) to 1 (trained voice)")
    path = RunFolder(Path(voice).parent).artifacts
    if Path(voice).name != RunFolder(Path(voice).parent).voice.name or not path.is_file():
        raise UsageError(f"{voice}: has no artifacts of a clone beside it: give OUT/NAME/NAME.pt of a finished run")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        initialization, trained = (content[name] for name in ("anchor", "base_vector"))
        scale, delta = (content[name].reshape(ROWS, VOICE_DIM) for name in ("length_scale", "length_delta"))
        vector = between(initialization.reshape(1, VOICE_DIM), trained.reshape(1, VOICE_DIM), fidelity)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise VoicecloneError(f"{path}: is damaged ({type(error).__name__}): clone again with --overwrite") from error
    return LengthProfile(scale, delta, "of the clone").expand(vector, Path(voice).stem)
