"""A projection that is a real map: pre-trained, once a base, on speech whose voice vector is known.

Stock voices are mixed and moved about, the base speaks with them, the style encoders encode that speech: pairs of style
and voice. The network fitted to them turns the style of an unseen speaker into a voice at once (zero-shot), and
is where the training of a voice starts from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from voiceclone.bases.base import Base
from voiceclone.errors import VoicecloneError
from voiceclone.models.checkpoint import load_strictly, read_safetensors, save_state
from voiceclone.models.frozen_kokoro import STYLE_DIM, FrozenKokoro
from voiceclone.models.store import cache_root
from voiceclone.projection.initialization import whitening
from voiceclone.projection.mlp import Projection
from voiceclone.style.extraction import extract_styles
from voiceclone.voice.pack import VOICE_DIM
from voiceclone.voice.profile import REFERENCE_ROW, LengthProfile

FILE = "prior.safetensors"
MIN_VOICES = 5  # stock voices below which there is nothing to learn a map from
SENTENCES = (
    "The boat came slowly round the bend, and everybody on the bank began to wave.",
    "How much would you pay for a house with a garden and a view of the sea?",
    "She put the letters back into the drawer, locked it, and dropped the key into her pocket.",
    "Nothing is quite so quiet as a village street at noon in the middle of August.",
    "Please bring three chairs, a long rope, and whatever food there is left in the kitchen.",
    "He thought the judge would laugh, but the whole room stayed perfectly still.",
    "Yesterday's frost has ruined the early peaches, though the apples may yet be saved.",
    "Why should anyone choose a narrow road when there is such a broad one beside it?",
)


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """How the map is made."""

    voices: int = 300  # made-up voices; each speaks two sentences
    mixed: int = 3  # stock voices in a mixture at most
    moved: float = 0.5  # size of the random move, in standard deviations of the stock voices
    apart: float = 0.5  # share of the voices whose halves come from different mixtures
    steps: int = 2000
    batch: int = 64
    lr: float = 1e-3
    held_out: float = 0.1  # share of the voices the map is tested on
    seed: int = 0


def load_prior(base: Base) -> Projection | None:
    """The map of a base, from its folder or from the cache; None where none has been made.

    Raises:
        VoicecloneError: the file is damaged or belongs to another network.
    """
    places = [] if base.folder is None else [base.folder / FILE]
    path = next((place for place in (*places, cache_path(base)) if place.is_file()), None)
    if path is None:
        return None
    projection = _untrained(0)
    load_strictly(projection, {key: value.float() for key, value in read_safetensors(path).items()}, path)
    return projection.eval().requires_grad_(False)


def save_prior(projection: Projection, path: Path) -> None:
    """Write the map, float16."""
    save_state(projection, path, half=True)


def cache_path(base: Base) -> Path:
    """Where the map of a base is kept that has none in its folder."""
    return cache_root() / "priors" / f"{base.sha256[:16]}.safetensors"


@torch.no_grad()
def zero_shot(prior: Projection, styles: Tensor) -> Tensor:
    """The voice ``(1, 256)`` of a speaker: the mean of what the map makes of each clip's style ``(clips, 256)``."""
    return prior(styles).mean(dim=0, keepdim=True)


def make_pairs(
    base: Base,
    config: PriorConfig,
    phonemize: Callable[[str], str],
    *,
    advance: Callable[[], None] = lambda: None,
) -> tuple[Tensor, Tensor]:
    """Styles ``(voices, 2, 256)`` of two sentences spoken with each of the made-up voices ``(voices, 256)``.

    Raises:
        VoicecloneError: the base has fewer than ``MIN_VOICES`` stock voices.
    """
    if len(base.stock_voices) < MIN_VOICES:
        raise VoicecloneError(f"{base.name} has {len(base.stock_voices)} stock voices: a prior needs {MIN_VOICES}")
    rng = np.random.default_rng(config.seed)
    device = torch.device("cpu")
    kokoro = FrozenKokoro(base.kmodel, device)
    profile = LengthProfile.of(base.stock_voices.values())
    texts = [kokoro.text(phonemize(sentence)) for sentence in SENTENCES]
    vectors = made_up_voices(base, config)
    styles = []
    for number, vector in enumerate(vectors):
        spoken = []
        for pick in rng.choice(len(texts), size=2, replace=False):
            row = profile.row(vector[None], texts[pick].phoneme_count)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(config.seed + number)
                audio = kokoro.speak(texts[pick], row)[0].numpy()
            # The level of a recording is nobody's style: it is varied, so that the map learns to leave it out.
            spoken.append(audio * 10 ** (rng.uniform(-9, 6) / 20))
        clips = [(str(i), lambda a=a: a) for i, a in enumerate(spoken)]
        styles.append(extract_styles(clips, base.style_encoders, device=device).vectors)
        advance()
    return torch.stack(styles), vectors


def made_up_voices(base: Base, config: PriorConfig) -> Tensor:
    """Mixtures of stock voices, moved at random along the directions in which stock voices differ; ``(V, 256)``."""
    rng = np.random.default_rng([config.seed, 1])
    stock = torch.stack([pack.tensor[REFERENCE_ROW, 0] for pack in base.stock_voices.values()])
    colour = torch.linalg.inv(whitening(base.stock_voices))

    def mixture() -> Tensor:
        count = int(rng.integers(1, config.mixed + 1))
        picked = rng.choice(len(stock), size=min(count, len(stock)), replace=False)
        weights = torch.from_numpy(rng.dirichlet(np.ones(len(picked)))).float()
        return weights @ stock[torch.from_numpy(picked)]

    voices = []
    for _ in range(config.voices):
        voice = mixture()
        if rng.random() < config.apart:
            voice = torch.cat([voice[:STYLE_DIM], mixture()[STYLE_DIM:]])
        noise = torch.from_numpy(rng.standard_normal(VOICE_DIM)).float()
        voices.append(voice + config.moved * (colour @ noise))
    return torch.stack(voices).clamp(-0.95, 0.95)


def fit_prior(styles: Tensor, vectors: Tensor, config: PriorConfig) -> tuple[Projection, dict[str, float]]:
    """Fit the network to pairs; it and its figures on voices it was not fitted to.

    Returns:
        The network, and ``explained`` (share of the variance of the voices, 1 is perfect) by half.
    """
    held = max(int(len(vectors) * config.held_out), 1)
    spread = vectors.std(dim=0).clamp(min=1e-3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        projection = _untrained(config.seed)
        _standardise(projection, styles[held:].flatten(0, 1))
        optimizer = torch.optim.AdamW(projection.parameters(), lr=config.lr, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, total_steps=config.steps)
        projection.train()
        for _ in range(config.steps):
            index = torch.randint(held, len(vectors), (config.batch,))
            # Some see one sentence, some the mean of two: a speaker's style is a mean of many.
            share = torch.rand(config.batch, 1).round() * 0.5
            heard = styles[index, 0] * (1 - share) + styles[index, 1] * share
            loss = (((projection(heard) - vectors[index]) / spread) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    projection.eval().requires_grad_(False)
    return projection, _explained(projection(styles[:held].mean(dim=1)), vectors[:held], vectors[held:].mean(dim=0))


def _explained(ours: Tensor, theirs: Tensor, mean: Tensor) -> Mapping[str, float]:
    halves = {"timbre": slice(0, STYLE_DIM), "prosody": slice(STYLE_DIM, VOICE_DIM)}
    return {
        name: 1.0
        - float(functional.mse_loss(ours[:, half], theirs[:, half]) / (theirs - mean)[:, half].square().mean())
        for name, half in halves.items()
    }


def _untrained(seed: int) -> Projection:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Projection()


@torch.no_grad()
def _standardise(projection: Projection, styles: Tensor) -> None:
    """Fold the standardisation of the styles ``(N, 256)`` into the first layer."""
    first = projection.layers[0]
    scale = 1.0 / styles.std(dim=0).clamp(min=1e-3)
    first.weight.mul_(scale)
    first.bias.sub_(first.weight @ styles.mean(dim=0))
