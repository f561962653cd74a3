"""The two style encoders: built from a config, loaded from the base's file or StyleTTS2's checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from voiceclone.errors import VoicecloneError
from voiceclone.models.checkpoint import load_strictly, read_safetensors
from voiceclone.models.tensor_only import load_tensors
from voiceclone.style.style_encoder import HalvingBlock, StyleEncoder

# Names in StyleTTS2's checkpoint (``train_second.py``) for the two encoders.
CHECKPOINT_NAMES = {"acoustic": "style_encoder", "prosodic": "predictor_encoder"}


@dataclass(frozen=True, kw_only=True)
class StyleEncoderConfig:
    """Widths of a ``StyleEncoder``; the defaults are those of StyleTTS2-LibriTTS (13.85 M parameters each)."""

    dim_in: int = 64  # channels of the first convolution
    style_dim: int = 128  # values of a style vector
    max_conv_dim: int = 512  # channels at most

    def __post_init__(self) -> None:
        for name in ("dim_in", "style_dim", "max_conv_dim"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"style encoder: {name} must be a positive whole number")


class StyleEncoders(nn.Module):
    """The acoustic and the prosodic encoder; both get the same log-mel."""

    def __init__(self, config: StyleEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.acoustic = StyleEncoder(**asdict(config))
        self.prosodic = StyleEncoder(**asdict(config))

    def forward(self, log_mel: Tensor) -> Tensor:
        """Log-mel ``(B, 80, T)`` of one length, T >= 65, to style vectors ``(B, 256)``: acoustic, then prosodic."""
        image = log_mel.unsqueeze(1)
        return torch.cat([self.acoustic(image), self.prosodic(image)], dim=1)


def build_style_encoders(config: StyleEncoderConfig) -> StyleEncoders:
    """Build the pair with random weights, in eval mode (in use, spectral norm must not update its vectors)."""
    return StyleEncoders(config).eval()


def load_style_encoders(path: Path, config: StyleEncoderConfig) -> StyleEncoders:
    """Load the pair from safetensors with keys ``acoustic.*`` and ``prosodic.*``."""
    encoders = build_style_encoders(config)
    state = {key: value.float() for key, value in read_safetensors(Path(path)).items()}
    load_strictly(encoders, state, Path(path))
    return encoders


def load_styletts2_checkpoint(path: Path, config: StyleEncoderConfig) -> StyleEncoders:
    """Load only the two encoders from a StyleTTS2 checkpoint (``epochs_2nd_*.pth``); no code in it is run.

    Raises:
        VoicecloneError: the file is not such a checkpoint.
    """
    checkpoint = load_tensors(Path(path))
    nets = checkpoint.get("net") if isinstance(checkpoint, Mapping) else None
    if not isinstance(nets, Mapping) or any(name not in nets for name in CHECKPOINT_NAMES.values()):
        raise VoicecloneError(
            f"{path} is not a StyleTTS2 checkpoint: it lacks net/style_encoder or net/predictor_encoder"
        )
    state = {}
    for role, name in CHECKPOINT_NAMES.items():
        if not isinstance(nets[name], Mapping):
            raise VoicecloneError(f"{path} is not a StyleTTS2 checkpoint: net/{name} is not a state dict")
        for key, value in nets[name].items():
            if not isinstance(value, Tensor):
                raise VoicecloneError(f"{path} is not a StyleTTS2 checkpoint: net/{name}/{key} is not a tensor")
            state[f"{role}.{str(key).removeprefix('module.')}"] = value.float()
    encoders = build_style_encoders(config)
    load_strictly(encoders, state, Path(path))
    return encoders


def for_inference(encoders: StyleEncoders, device: torch.device) -> StyleEncoders:
    """A copy on ``device`` that computes the same styles (up to rounding) faster; it cannot be trained.

    Spectral norm is folded into the weights instead of being applied at every pass; the memory format is channels-last,
    which is faster for small images of many channels; an average that follows a convolution is taken before it, so that
    the convolution is smaller; and activations work in place, because nothing else reads their input.
    """
    fast = copy.deepcopy(encoders).eval().requires_grad_(False)
    if not isinstance(encoders, StyleEncoders):  # of another system, without these layers
        return fast.to(device)
    for module in fast.modules():
        for hook in list(module._forward_pre_hooks.values()):
            if type(hook).__name__ == "SpectralNorm":
                nn.utils.remove_spectral_norm(module, hook.name)
        if isinstance(module, HalvingBlock) and module.learned_sc:
            module.shortcut = partial(_averaged_first, module)  # type: ignore[method-assign]
        if isinstance(module, nn.LeakyReLU):
            module.inplace = True
    for encoder in (fast.acoustic, fast.prosodic):
        place = next(i for i, layer in enumerate(encoder.shared) if isinstance(layer, nn.AdaptiveAvgPool2d))
        encoder.shared[place - 1] = _AveragedConvolution(encoder.shared[place - 1])
    return fast.to(device, memory_format=torch.channels_last)


def _averaged_first(block: HalvingBlock, image: Tensor) -> Tensor:
    """The shortcut of a block with its two linear parts exchanged, which commute because they act on different axes."""
    return block.conv1x1(block.downsample(image))


class _AveragedConvolution(nn.Module):
    """The spatial mean of a convolution's output, computed as the convolution of the mean patch."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, image: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C', 1, 1)``."""
        places = [size - kernel + 1 for size, kernel in zip(image.shape[2:], self.convolution.kernel_size)]
        return self.convolution(nn.functional.avg_pool2d(image, places, stride=1))
