"""Kokoro's weight files: five sub-state-dicts, read strictly, from ``.pth`` or safetensors.

``kokoro.KModel`` silently falls back to a non-strict load; here every missing or unexpected tensor and every wrong
shape is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from voiceclone.errors import VoicecloneError
from voiceclone.files import write_bytes

PARTS = ("bert", "bert_encoder", "predictor", "text_encoder", "decoder")
# transformers registers it in some versions and not in others; it is a range, not a weight.
_BUFFERS_NOT_WEIGHTS = ("embeddings.position_ids",)


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a weight file into one flat float32 dict with keys such as ``decoder.encode.conv1.bias``.

    ``.pth``/``.pt`` files hold Kokoro's dict of five state dicts (keys may carry ``module.``), safetensors a flat one.

    Raises:
        VoicecloneError: the file cannot be read or is not of that form.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        flat = read_safetensors(path)
    else:
        try:
            nested = torch.load(path, map_location="cpu", weights_only=True)
        except OSError as error:
            raise VoicecloneError(f"cannot read {path}: {error.strerror or error}") from error
        except Exception as error:  # torch raises many exception types for damaged or unsafe files
            raise VoicecloneError(
                f"{path} is not a Kokoro weight file ({type(error).__name__}): download it again"
            ) from error
        flat = _flatten(path, nested)
    return {key: value.float() if value.is_floating_point() else value for key, value in flat.items()}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; raises one clear error if that fails."""
    try:
        return load_file(path)
    except OSError as error:
        raise VoicecloneError(f"cannot read {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise VoicecloneError(f"{path} is not a safetensors file or is damaged: download it again") from error


def _flatten(path: Path, nested: object) -> dict[str, Tensor]:
    if not isinstance(nested, dict) or set(nested) != set(PARTS):
        raise VoicecloneError(f"{path} is not a Kokoro weight file: it must hold exactly {', '.join(PARTS)}")
    flat = {}
    for part, state in nested.items():
        if not isinstance(state, Mapping):
            raise VoicecloneError(f"{path} is not a Kokoro weight file: '{part}' is not a state dict")
        for key, value in state.items():
            flat[f"{part}.{str(key).removeprefix('module.')}"] = value
    if not all(isinstance(value, Tensor) for value in flat.values()):
        raise VoicecloneError(f"{path} is not a Kokoro weight file: it holds things that are not tensors")
    return flat


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], source: Path) -> None:
    """Load ``state`` into ``module``; every tensor must exist, have the right shape and be finite.

    Raises:
        VoicecloneError: naming the first tensor that does not fit.
    """
    own = {key: value for key, value in module.state_dict().items() if not key.endswith(_BUFFERS_NOT_WEIGHTS)}
    state = {key: value for key, value in state.items() if not key.endswith(_BUFFERS_NOT_WEIGHTS)}
    hint = "do the weights belong to this config?"
    if missing := sorted(own.keys() - state.keys()):
        raise VoicecloneError(f"{source} lacks {len(missing)} tensors (first: {missing[0]}): {hint}")
    if unexpected := sorted(state.keys() - own.keys()):
        raise VoicecloneError(f"{source} holds {len(unexpected)} unknown tensors (first: {unexpected[0]}): {hint}")
    for key, value in state.items():
        if value.shape != own[key].shape:
            shapes = f"{tuple(value.shape)} instead of {tuple(own[key].shape)}"
            raise VoicecloneError(f"{source}: {key} has shape {shapes}: {hint}")
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise VoicecloneError(f"{source}: {key} holds NaN or infinite values: download or train it again")
    module.load_state_dict(state, strict=len(own) == len(module.state_dict()))


def save_state(module: nn.Module, path: Path, *, half: bool = False, metadata: dict[str, str] | None = None) -> None:
    """Write a module's state as safetensors, float16 if ``half``; atomic."""
    state = {}
    for key, value in module.state_dict().items():
        value = value.detach().cpu()
        state[key] = (value.half() if half and value.is_floating_point() else value).contiguous().clone()
    write_bytes(path, save(state, metadata=metadata))


def fold_weight_norm(module: nn.Module) -> int:
    """Replace every weight-normalised weight by its value, in place; return how many.

    A frozen model would recompute the normalisation at each pass.
    """
    folded = 0
    for child in module.modules():
        for hook in list(child._forward_pre_hooks.values()):
            if type(hook).__name__ == "WeightNorm":
                nn.utils.remove_weight_norm(child, hook.name)
                folded += 1
    return folded
