"""A voice with varied prosody: a deviation of its prosodic half is drawn for every sentence.

``NAME.style.safetensors`` is stored beside the voice's file. It contains the directions, the deviations fitted to the
speaker's clips with features of their texts, and, where it scored best, a small diffusion sampler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from voiceclone.errors import VoicecloneError
from voiceclone.files import write_bytes
from voiceclone.models.checkpoint import load_strictly, read_safetensors
from voiceclone.models.frozen_kokoro import STYLE_DIM
from voiceclone.models.styletts2.denoiser import DenoiserConfig
from voiceclone.models.styletts2.diffusion import StyleDiffusion
from voiceclone.models.styletts2.sampler import sample_styles

SUFFIX = ".style.safetensors"
MEAN, GAUSSIAN, NEAREST, DIFFUSION, WITH_TEXT = KINDS = ("mean", "gaussian", "nearest", "diffusion", "text")
"""No deviation, one drawn from a Gaussian, that of the clip with the nearest text, or one drawn by a small diffusion
model without or with the text."""
TEXT_DIM = 32
SAMPLER_STEPS = 10
_SAMPLER = "sampler."


def sampler_config(size: int) -> DenoiserConfig:
    """Sizes of the small diffusion model for ``size`` coefficients."""
    return DenoiserConfig(
        text_dim=TEXT_DIM, style_dim=size, blocks=2, heads=2, head_dim=16, reference=False, max_tokens=3
    )  # fmt: skip


def text_summary(hidden: Tensor) -> Tensor:
    """PL-BERT's features of a text's tokens ``(N, width)`` to ``(3, width)``: mean, first symbol, last symbol.

    BOS and EOS are ignored unless there is nothing else.
    """
    inner = hidden[1:-1] if len(hidden) > 2 else hidden
    return torch.stack([inner.mean(0), inner[0], inner[-1]])


@dataclass(frozen=True, kw_only=True, eq=False)
class Deviations:
    """Data from which deviations are drawn."""

    kind: str
    directions: Tensor = field(repr=False)  # (k, 128)
    fitted: Tensor = field(repr=False)  # (n, k), mean 0
    texts: Tensor = field(repr=False)  # (n, 3, 32)
    text_mean: Tensor = field(repr=False)  # (width,)
    text_basis: Tensor = field(repr=False)  # (width, 32)
    limit: float
    """Maximum norm of a drawn deviation."""
    sampler: StyleDiffusion | None = field(default=None, repr=False)

    @property
    def uses_text(self) -> bool:
        """Whether a text's features decide what is drawn for it."""
        return self.kind in (NEAREST, WITH_TEXT)

    @property
    def text_width(self) -> int:
        """Width of the text features that they were fitted with: that of the base's PL-BERT."""
        return len(self.text_mean)

    def project(self, summary: Tensor) -> Tensor:
        """Project a text's summary ``(3, width)`` to the condition of the deviations ``(3, 32)``."""
        return (summary - self.text_mean) @ self.text_basis

    def draw(self, text: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a deviation ``(128,)`` for a projected text ``(3, 32)``."""
        return self.coefficients(text, generator)[0] @ self.directions

    @torch.no_grad()
    def coefficients(self, text: Tensor, generator: torch.Generator, *, count: int = 1) -> Tensor:
        """Draw coefficients ``(count, k)`` of the directions for one text, each with a norm within the limit."""
        size = self.fitted.shape[1]
        if self.kind == NEAREST:
            nearest = int((self.texts[:, 0] - text[0]).square().sum(1).argmin())
            found = self.fitted[nearest].expand(count, size)
        elif self.kind == GAUSSIAN:
            weights = torch.randn(count, len(self.fitted), generator=generator)
            found = weights @ self.fitted / max(len(self.fitted), 1) ** 0.5
        elif self.sampler is not None:
            given = text if self.kind == WITH_TEXT else self.sampler.no_text(torch.arange(3))
            mask = torch.ones(count, 3, dtype=torch.bool)
            found = sample_styles(
                self.sampler, given.expand(count, -1, -1), mask, steps=SAMPLER_STEPS, generator=generator
            )  # fmt: skip
        else:
            found = torch.zeros(count, size)
        return found * (self.limit / found.norm(dim=1, keepdim=True).clamp(min=1e-9)).clamp(max=1.0)

    def save(self, path: Path) -> None:
        """Write the file.

        Raises:
            VoicecloneError: it cannot be written.
        """
        names = ("directions", "fitted", "texts", "text_mean", "text_basis")
        tensors = {name: getattr(self, name).float().contiguous().clone() for name in names}
        tensors["limit"] = torch.tensor(self.limit)
        if self.sampler is not None:
            tensors |= {f"{_SAMPLER}{n}": v.contiguous().clone() for n, v in self.sampler.state_dict().items()}
        write_bytes(path, save(tensors, metadata={"kind": self.kind}))

    @classmethod
    def load(cls, path: Path) -> Deviations:
        """Read a file written by :meth:`save`.

        Raises:
            VoicecloneError: it is not such a file.
        """
        tensors = read_safetensors(path)
        with safe_open(path, framework="pt") as file:
            kind = (file.metadata() or {}).get("kind", "")
        state = {n.removeprefix(_SAMPLER): tensors.pop(n) for n in list(tensors) if n.startswith(_SAMPLER)}
        wanted = {"directions", "fitted", "texts", "text_mean", "text_basis", "limit"}
        if kind not in KINDS or set(tensors) != wanted or (kind in (DIFFUSION, WITH_TEXT)) != bool(state):
            raise VoicecloneError(f"{path} holds no deviations of a voice: make it again with clone --expressive")
        sampler = None
        if state:
            with torch.random.fork_rng(devices=[]):
                sampler = StyleDiffusion(sampler_config(tensors["fitted"].shape[1])).eval().requires_grad_(False)
            load_strictly(sampler, state, path)
        return cls(kind=kind, limit=float(tensors.pop("limit")), sampler=sampler, **tensors)


class ExpressiveVoice:
    """A voice with a deviation drawn for every piece. Call it with the phonemes to be synthesised.

    Args:
        rows: the voice, ``(510, 1, 256)``.
        deviations: what deviations are drawn from.
        strength: 0 is the unmodified voice, 1 the full deviations.
        text_features: a text's phonemes to PL-BERT's features ``(N, text_width)`` of the base that the deviations were
            fitted on; used by the kinds that depend on the text.
        seed: random seed.
    """

    QUIET, LOUD = 10, 50
    """Phonemes below which a text is spoken plainly, and from which on the deviation counts in full."""

    def __init__(
        self,
        deviations: Deviations,
        rows: Tensor,
        *,
        strength: float,
        text_features: Callable[[str], Tensor],
        seed: int = 0,
        carry: float = 0.7,
    ) -> None:
        self.deviations, self.rows, self.strength, self.text_features, self.carry = (
            deviations,
            rows,
            strength,
            text_features,
            carry,
        )
        self._generator = torch.Generator().manual_seed(seed)
        self._before: Tensor | None = None

    def __call__(self, phonemes: str) -> Tensor:
        """The voice ``(510, 1, 256)`` for synthesising ``phonemes``."""
        text = torch.zeros(3, TEXT_DIM)
        if self.deviations.uses_text:
            text = self.deviations.project(text_summary(self.text_features(phonemes)))
        drawn = self.deviations.draw(text, self._generator)
        if self._before is not None:
            # The weights keep the variance: with weights that sum to 1 the spread of a text of many sentences would be
            # less than half of that of the clips.
            drawn = self.carry * self._before + (1.0 - self.carry**2) ** 0.5 * drawn
        self._before = drawn
        share = min(max((len(phonemes) - self.QUIET) / (self.LOUD - self.QUIET), 0.0), 1.0)
        return deviated(self.rows, self.strength * share * drawn)


def deviated(rows: Tensor, deviation: Tensor) -> Tensor:
    """A voice ``(510, 1, 256)`` with ``deviation`` ``(128,)`` added to its prosodic half."""
    moved = rows.clone()
    moved[..., STYLE_DIM:] += deviation
    return moved


def deviations_beside(voice: Path) -> Path:
    """Path of the deviations that belong to a voice's file."""
    return voice.with_name(f"{voice.stem}{SUFFIX}")
