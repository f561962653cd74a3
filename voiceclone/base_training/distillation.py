"""Feature distillation: compare a student's activations with those of its teacher's channels.

The student's channels are a subset of the teacher's (:mod:`voiceclone.base_training.narrowing`), so that activations
can be compared one to one, as in FitNets (Romero et al. 2015) without the projection. Distances of the audio alone
hardly teach harmonics above 1 kHz: their gradient is small wherever the phases differ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from kokoro.model import KModel
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from voiceclone.base_training.batch import VectorBatch
from voiceclone.models.batched_forward import decode_frames, hidden_frames, text_features
from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.models.fused import fused

FLOOR = 0.05
"""Of a channel's variance, relative to the mean variance of all channels."""


class Distillation:
    """Distances between the activations of a student's decoder and of its teacher's, in one forward pass each.

    Args:
        student: the narrow model.
        teacher: the wide model, with weight norm folded, in eval mode.
        channels: the teacher's channel for each of the student's, int64, by tap (a name of :func:`taps`).
        convolutions: dtype of the teacher's convolutions; None for its own.
    """

    def __init__(
        self,
        student: KModel,
        teacher: KModel,
        channels: Mapping[str, Tensor],
        *,
        convolutions: torch.dtype | None = None,
    ) -> None:
        self.student, self.teacher = student, teacher.requires_grad_(False)
        self.convolutions = convolutions
        device = next(teacher.parameters()).device
        self.channels = {name: index.to(device) for name, index in channels.items()}
        self._source: Any = None
        self._ours: dict[str, Tensor] = {}
        self._theirs: dict[str, Tensor] = {}
        self._hooks = [
            *_watch(student, self._ours),
            *_watch(teacher, self._theirs),
            teacher.decoder.generator.m_source.register_forward_hook(self._keep_source),
            student.decoder.generator.m_source.register_forward_hook(self._reuse_source),
        ]

    def close(self) -> None:
        """Stop watching the models."""
        for hook in self._hooks:
            hook.remove()

    @torch.no_grad()
    def taught(self, batch: VectorBatch) -> VectorBatch:
        """Let the teacher decode a batch; the batch with the teacher's audio.

        The student's next forward pass gets the same harmonic source with the same noise.
        """
        features = text_features(self.teacher, batch.tokens, batch.lengths)
        style = batch.vectors[:, :STYLE_DIM]
        with fused(self.teacher.decoder, self.convolutions):
            audio = decode_frames(self.teacher, features, batch.frame_tokens, batch.f0, batch.energy, style)
        return dataclasses.replace(batch, audio=audio)

    def distance_before_generator(self, batch: VectorBatch) -> Tensor:
        """:meth:`distance` of the taps before the generator, for which neither generator runs.

        They have 40 and 80 frames a second, where the generator's last stage has 4,800: a step takes a fraction of the
        time.
        """
        given = (batch.frame_tokens, batch.f0, batch.energy, batch.vectors[:, :STYLE_DIM])
        precision = self.convolutions
        reduced = nullcontext() if precision is None else torch.autocast(batch.f0.device.type, dtype=precision)
        with torch.no_grad(), reduced:
            hidden_frames(self.teacher, text_features(self.teacher, batch.tokens, batch.lengths), *given)
        hidden_frames(self.student, text_features(self.student, batch.tokens, batch.lengths), *given)
        return self.distance()

    def distance(self) -> Tensor:
        """Mean over the taps of the relative error of the last forward passes, a scalar; 1 for a constant output."""
        return torch.stack([self._distance(name) for name in list(self._ours)]).mean()

    def _distance(self, name: str) -> Tensor:
        ours, theirs = self._ours.pop(name).float(), self._theirs[name].float()
        if name in self.channels:
            theirs = theirs[:, self.channels[name]]
        return waveform_error(ours, theirs) if name.startswith("generator.") else relative_error(ours, theirs)

    def _keep_source(self, module: nn.Module, given: Any, output: Any) -> None:
        self._source = output

    def _reuse_source(self, module: nn.Module, given: Any, output: Any) -> Any:
        source, self._source = self._source, None
        return output if source is None else source


def taps(model: KModel) -> dict[str, tuple[nn.Module, bool]]:
    """The places that are compared, by name: a module of the decoder, and whether its input counts or its output."""
    decoder, generator = model.decoder, model.decoder.generator
    found: dict[str, tuple[nn.Module, bool]] = {"encode": (decoder.encode, False)}
    found.update({f"decode.{i}": (block, False) for i, block in enumerate(decoder.decode)})
    for i in range(generator.num_upsamples):
        found[f"generator.source.{i}"] = (generator.noise_res[i], False)
        after = generator.ups[i + 1] if i + 1 < generator.num_upsamples else generator.conv_post
        found[f"generator.stage.{i}"] = (after, True)
    found["generator.spectrum"] = (generator.conv_post, False)
    return found


def relative_error(ours: Tensor, theirs: Tensor) -> Tensor:
    """Root mean square error over the standard deviation of each channel of ``(B, C, T)``, averaged; a scalar."""
    variance = theirs.var(dim=-1, unbiased=False)
    error = (ours - theirs).square().mean(dim=-1)
    return ((error + 1e-8) / (variance + FLOOR * variance.mean() + 1e-8)).sqrt().mean()


def waveform_error(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean of :func:`relative_error` of ``(B, C, T)`` and of its differences in time, which weight upper harmonics."""
    return 0.5 * (relative_error(ours, theirs) + relative_error(ours.diff(dim=-1), theirs.diff(dim=-1)))


def _watch(model: KModel, found: dict[str, Tensor]) -> list[RemovableHandle]:
    """Let every forward pass of the decoder store the activations at the taps in ``found``."""

    def keep_input(name: str, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        found[name] = given[0]

    def keep_output(name: str, module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        found[name] = output

    return [
        module.register_forward_pre_hook(partial(keep_input, name))
        if is_input
        else module.register_forward_hook(partial(keep_output, name))
        for name, (module, is_input) in taps(model).items()
    ]
