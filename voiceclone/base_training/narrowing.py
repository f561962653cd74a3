"""Initialize a narrow student from its wide teacher, with the weights of the most important channels.

This is structured pruning as in Minitron (Muralidharan et al. 2024). Activations on some of the teacher's speech
determine how much each channel contributes to the layers that read it. The student gets the teacher's weights between
the kept channels, scaled up to compensate for the removed inputs. Decoder and text encoder are initialized in this way.
The prosody predictor keeps its random weights, because its few recurrent layers train quickly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from kokoro.model import KModel
from torch import Tensor, nn

from voiceclone.base_training.batch import VectorBatch
from voiceclone.errors import UsageError
from voiceclone.models.batched_forward import decode_frames, text_features
from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.models.nano import NanoKModel

MOST_GAIN = 2.0  # maximum factor by which weights are scaled up
_GENERATOR = "decoder.generator"


@torch.no_grad()
def initialize_from_teacher(student: NanoKModel, teacher: KModel, batches: Iterable[VectorBatch]) -> dict[str, Tensor]:
    """Overwrite decoder and text encoder of ``student`` by parts of the teacher's.

    Args:
        student: the narrow model.
        teacher: the wide model, with weight norm folded, in eval mode.
        batches: the teacher's speech for measuring activations; about 20 s are enough.

    Returns:
        The teacher's channel for each of the student's, int64, by tap of :mod:`voiceclone.base_training.distillation`.

    Raises:
        UsageError: the student's decoder has another number of blocks than the teacher's, is wider, or has residual
            blocks of other kernel sizes.
    """
    if missing := set(_kernel_sizes(student)) - set(_kernel_sizes(teacher)):
        raise UsageError(f"the teacher has no residual blocks of kernel size {min(missing)} to take")
    dims = [student.decoder.encode.conv2.out_channels, *(b.conv2.out_channels for b in student.decoder.decode)]
    wide = [teacher.decoder.encode.conv2.out_channels, *(b.conv2.out_channels for b in teacher.decoder.decode)]
    if len(dims) != len(wide) or any(ours > theirs for ours, theirs in zip(dims, wide, strict=False)):
        raise UsageError(f"decoder blocks of widths {dims} cannot be taken from blocks of widths {wide}")
    narrowing = _Narrowing(student, teacher, _energies(teacher, batches))
    narrowing.text_encoder()
    narrowing.decoder()
    student.load_state_dict(narrowing.state)
    return narrowing.channels


def _energies(teacher: KModel, batches: Iterable[VectorBatch]) -> dict[str, Tensor]:
    """Mean square of every input channel of the named layers, ``(channels,)``."""
    decoder = teacher.decoder
    watched: dict[str, nn.Module] = {"encode": decoder.encode.conv1x1, "post": decoder.generator.conv_post}
    watched.update({f"decode.{i}": block.conv1x1 for i, block in enumerate(decoder.decode)})
    watched.update({f"ups.{i}": layer for i, layer in enumerate(decoder.generator.ups)})
    sums: dict[str, list[Tensor]] = {name: [] for name in watched}
    hooks = [
        layer.register_forward_pre_hook(lambda _, given, name=name: sums[name].append(_mean_square(given[0])))
        for name, layer in watched.items()
    ]
    try:
        for batch in batches:
            features = text_features(teacher, batch.tokens, batch.lengths)
            style = batch.vectors[:, :STYLE_DIM]
            decode_frames(teacher, features, batch.frame_tokens, batch.f0, batch.energy, style)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.stack(values).mean(dim=0) for name, values in sums.items()}


def _mean_square(x: Tensor) -> Tensor:
    return x.detach().float().square().mean(dim=(0, 2))


@dataclass(kw_only=False)
class _Narrowing:
    """Copies kept channels from the teacher's state dict to the student's."""

    student: NanoKModel
    teacher: KModel
    energies: dict[str, Tensor]
    state: dict[str, Tensor] = field(init=False)
    source: dict[str, Tensor] = field(init=False)
    text: Tensor = field(init=False)  # indices of the kept channels of the text features
    channels: dict[str, Tensor] = field(init=False, default_factory=dict)  # those of the taps

    def __post_init__(self) -> None:
        self.state = {name: value.clone() for name, value in self.student.state_dict().items()}
        self.source = self.teacher.state_dict()
        hidden, wide = self.student.text_encoder.lstm.hidden_size, self.teacher.text_encoder.lstm.hidden_size
        carried = self.energies["encode"] * _by_input(self._weight("decoder.encode.conv1x1"))
        # The channels of the two directions of the LSTM are concatenated.
        self.text = torch.cat([_strongest(carried[:wide], hidden), wide + _strongest(carried[wide : 2 * wide], hidden)])

    def text_encoder(self) -> None:
        """Embedding, convolutions (the first ones and the last one) and LSTM."""
        ours, theirs = len(self.student.text_encoder.cnn), len(self.teacher.text_encoder.cnn)
        hidden, source = self.student.text_encoder.lstm.hidden_size, self.source
        read = sum(source[f"text_encoder.lstm.weight_ih_l0{end}"].square().sum(dim=0) for end in ("", "_reverse"))
        kept = _strongest(read * source[f"text_encoder.cnn.{theirs - 1}.1.gamma"].square(), 2 * hidden)
        embedding = source["text_encoder.embedding.weight"]
        before = _strongest(_by_input(self._weight("text_encoder.cnn.0.0")) * embedding.square().mean(0), 2 * hidden)
        self.state["text_encoder.embedding.weight"].copy_(embedding[:, before])
        for i in range(ours):
            j = theirs - 1 if i == ours - 1 else i
            self._convolution(f"text_encoder.cnn.{i}.0", kept, before, source=f"text_encoder.cnn.{j}.0")
            for name in ("gamma", "beta"):
                self.state[f"text_encoder.cnn.{i}.1.{name}"].copy_(source[f"text_encoder.cnn.{j}.1.{name}"][kept])
            before = kept
        wide = self.teacher.text_encoder.lstm.hidden_size
        for end, units in (("", self.text[:hidden]), ("_reverse", self.text[hidden:] - wide)):
            self._lstm("text_encoder.lstm", end, units, kept, wide)

    def decoder(self) -> None:
        """Blocks at the frame rate, then the generator."""
        widths = [block.conv2.out_channels for block in (self.student.decoder.encode, *self.student.decoder.decode)]
        sides = self.energies["decode.0"].numel() - self.source["decoder.encode.conv2.bias"].numel()
        kept = [
            _strongest(
                (self.energies[f"decode.{i}"] * _by_input(self._weight(f"decoder.decode.{i}.conv1x1")))[:-sides], width
            )
            for i, width in enumerate(widths[:-1])
        ]
        first_up = self._weight(f"{_GENERATOR}.ups.0")
        kept.append(_strongest(self.energies["ups.0"] * first_up.square().sum(dim=(1, 2)), widths[-1]))
        self.channels.update({"encode" if i == 0 else f"decode.{i - 1}": index for i, index in enumerate(kept)})
        f0_and_energy = torch.arange(2) + len(self.energies["encode"]) - 2
        self._block("decoder.encode", torch.cat([self.text, f0_and_energy]), kept[0], self.energies["encode"])
        for i in range(len(kept) - 1):
            energy = self.energies[f"decode.{i}"]
            given = torch.cat([kept[i], torch.arange(len(energy) - sides, len(energy))])
            self._block(f"decoder.decode.{i}", given, kept[i + 1], energy)
        self._whole("decoder.F0_conv", "decoder.N_conv")
        self._put("decoder.asr_res.0", self._weight("decoder.asr_res.0")[:, self.text])
        self.state["decoder.asr_res.0.bias"].copy_(self.source["decoder.asr_res.0.bias"])
        self._generator(kept[-1])

    def _generator(self, given: Tensor) -> None:
        for name in ("weight", "bias"):
            self.state[f"{_GENERATOR}.m_source.l_linear.{name}"].copy_(
                self.source[f"{_GENERATOR}.m_source.l_linear.{name}"]
            )
        ours, theirs = (_kernel_sizes(model) for model in (self.student, self.teacher))
        stages = self.student.decoder.generator.num_upsamples
        for stage in range(stages):
            name, width = f"{_GENERATOR}.ups.{stage}", self.student.decoder.generator.ups[stage].out_channels
            reader = f"ups.{stage + 1}" if stage + 1 < stages else "post"
            weight = self._weight(f"{_GENERATOR}.{'conv_post' if reader == 'post' else reader}")
            by_input = _by_input(weight) if reader == "post" else weight.square().sum(dim=(1, 2))
            kept = _strongest(self.energies[reader] * by_input, width)
            gain = _gain(self._weight(name).square().sum(dim=(1, 2)) * self.energies[f"ups.{stage}"], given)
            self._put(name, gain * self._weight(name)[given][:, kept])
            self.state[f"{name}.bias"].copy_(self.source[f"{name}.bias"][kept])
            for k, size in enumerate(ours):
                self._residual(f"{_GENERATOR}.resblocks.{stage * len(ours) + k}", kept,
                               f"{_GENERATOR}.resblocks.{stage * len(theirs) + theirs.index(size)}")  # fmt: skip
            self.channels.update({f"generator.source.{stage}": kept, f"generator.stage.{stage}": kept})
            self._residual(f"{_GENERATOR}.noise_res.{stage}", kept, f"{_GENERATOR}.noise_res.{stage}")
            noise = f"{_GENERATOR}.noise_convs.{stage}"
            self._put(noise, self._weight(noise)[kept])
            self.state[f"{noise}.bias"].copy_(self.source[f"{noise}.bias"][kept])
            given = kept
        everything = torch.arange(self.state[f"{_GENERATOR}.conv_post.bias"].numel())
        self._convolution(f"{_GENERATOR}.conv_post", everything, given, energy=self.energies["post"])

    def _block(self, name: str, given: Tensor, kept: Tensor, energy: Tensor) -> None:
        self._convolution(f"{name}.conv1", kept, given)
        self._convolution(f"{name}.conv2", kept, kept)
        self._convolution(f"{name}.conv1x1", kept, given, energy=energy)
        self._adain(f"{name}.norm1", given)
        self._adain(f"{name}.norm2", kept)
        if f"{name}.pool.bias" in self.state:
            self._put(f"{name}.pool", self._weight(f"{name}.pool")[given])
            self.state[f"{name}.pool.bias"].copy_(self.source[f"{name}.pool.bias"][given])

    def _residual(self, name: str, kept: Tensor, source: str) -> None:
        for i in range(3):
            for part in ("convs1", "convs2"):
                self._convolution(f"{name}.{part}.{i}", kept, kept, source=f"{source}.{part}.{i}")
            for part in ("adain1", "adain2"):
                self._adain(f"{name}.{part}.{i}", kept, source=f"{source}.{part}.{i}")
            for part in ("alpha1", "alpha2"):
                self.state[f"{name}.{part}.{i}"].copy_(self.source[f"{source}.{part}.{i}"][:, kept])

    def _convolution(
        self, name: str, kept: Tensor, given: Tensor, *, source: str = "", energy: Tensor | None = None
    ) -> None:
        source = source or name
        weight = self._weight(source)
        carried = _by_input(weight) * (1.0 if energy is None else energy)
        self._put(name, _gain(carried, given) * weight[kept][:, given])
        if f"{name}.bias" in self.state and f"{source}.bias" in self.source:
            self.state[f"{name}.bias"].copy_(self.source[f"{source}.bias"][kept])

    def _adain(self, name: str, kept: Tensor, *, source: str = "") -> None:
        source = source or name
        channels = self.source[f"{source}.fc.bias"].numel() // 2
        rows = torch.cat([kept, channels + kept])  # scale, then shift
        for part in ("weight", "bias"):
            self.state[f"{name}.fc.{part}"].copy_(self.source[f"{source}.fc.{part}"][rows])
            if f"{source}.norm.{part}" in self.source:
                self.state[f"{name}.norm.{part}"].copy_(self.source[f"{source}.norm.{part}"][kept])

    def _lstm(self, name: str, end: str, units: Tensor, given: Tensor, wide: int) -> None:
        gates = torch.cat([wide * gate + units for gate in range(4)])
        for kind, columns in (("weight_ih_l0", given), ("weight_hh_l0", units)):
            weight = self.source[f"{name}.{kind}{end}"]
            gain = _gain(weight.square().sum(dim=0), columns)
            self.state[f"{name}.{kind}{end}"].copy_(gain * weight[gates][:, columns])
        for kind in ("bias_ih_l0", "bias_hh_l0"):
            self.state[f"{name}.{kind}{end}"].copy_(self.source[f"{name}.{kind}{end}"][gates])

    def _whole(self, *names: str) -> None:
        for name in names:
            self._put(name, self._weight(name))
            self.state[f"{name}.bias"].copy_(self.source[f"{name}.bias"])

    def _weight(self, name: str) -> Tensor:
        return self.source[f"{name}.weight"].float()

    def _put(self, name: str, weight: Tensor) -> None:
        """Store a weight; with weight norm as direction and magnitude, where an all-zero row keeps its direction."""
        if f"{name}.weight_v" not in self.state:
            self.state[f"{name}.weight"].copy_(weight)
            return
        length = weight.flatten(1).norm(dim=1)[:, None, None]
        self.state[f"{name}.weight_g"].copy_(length)
        self.state[f"{name}.weight_v"].copy_(torch.where(length > 0, weight, torch.ones_like(weight)))


def _kernel_sizes(model: KModel) -> list[int]:
    """Of the residual blocks of one stage."""
    generator = model.decoder.generator
    return [block.convs1[0].kernel_size[0] for block in generator.resblocks[: generator.num_kernels]]


def _by_input(weight: Tensor) -> Tensor:
    """Sum of squares by input channel of a convolution's weight ``(out, in, k)``."""
    return weight.square().sum(dim=(0, 2))


def _strongest(carried: Tensor, count: int) -> Tensor:
    return carried.topk(count).indices.sort().values


def _gain(carried: Tensor, kept: Tensor) -> float:
    """Factor that preserves the magnitude of a sum without the removed inputs, assuming independent inputs."""
    return float((carried.sum() / carried[kept].sum().clamp(min=1e-12)).sqrt().clamp(max=MOST_GAIN))
