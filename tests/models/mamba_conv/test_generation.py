"""Token generation in rounds: which tokens are kept when, order of levels, early stopping, and order of words."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from voiceclone.models.mamba_conv.config import GenerationConfig, presets
from voiceclone.models.mamba_conv.controller import AdaptiveGenerationController, is_enough
from voiceclone.models.mamba_conv.generation import Conditions, coarse_rounds, generate, kept_after
from voiceclone.models.mamba_conv.length import expand_tokens
from voiceclone.models.mamba_conv.model import MambaConvTTS
from voiceclone.models.mamba_conv.token_decoder import TokenDecoder

FRAMES, LEVELS, SIZE = 50, 4, 32
TINY = presets("tiny")[1]


class Oracle(nn.Module):
    """A decoder that knows the codes and records the requested levels and masked fractions."""

    def __init__(self, codes: torch.Tensor, trust: float = 0.0) -> None:
        super().__init__()
        self.codes, self.levels, self.mask_id, self.all_levels, self.trust = codes, LEVELS, SIZE, LEVELS, trust
        self.asked: list[tuple[int, int]] = []

    def forward(self, codes, text, style, mask, *, level, share_masked):
        masked = int((codes[:, min(level, LEVELS - 1)] == SIZE).sum())
        self.asked.append((level, masked))
        # Levels below are known, levels above are not.
        if level < LEVELS:
            assert (codes[:, :level] != SIZE).all() and (codes[:, level + 1 :] == SIZE).all()
        return torch.zeros(len(text), text.shape[1], 3)

    def logits(self, features, level):
        return 100.0 * nn.functional.one_hot(self.codes[:, level], SIZE).float()

    def all_logits(self, features):
        return torch.stack([self.logits(features, level) for level in range(LEVELS)], 1)

    def confidences(self, features):
        return torch.full((len(features), LEVELS, features.shape[1]), self.trust)


class Fixed(nn.Module):
    """A controller with fixed answers."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logit = logit

    def forward(self, features, mask, text, figures):
        return torch.full((len(features),), self.logit)


def conditions(rows: int = 1, frames: int = FRAMES) -> Conditions:
    return Conditions(
        text=torch.zeros(rows, frames, 3), context=torch.zeros(rows, 3), style=torch.zeros(rows, 4),
        mask=torch.ones(rows, frames, 1),
    )  # fmt: skip


@pytest.fixture
def codes() -> torch.Tensor:
    return torch.randint(SIZE, (1, LEVELS, FRAMES), generator=torch.Generator().manual_seed(0))


def test_an_oracle_is_followed_exactly_level_by_level(codes: torch.Tensor) -> None:
    oracle = Oracle(codes)
    found, info = generate(oracle, None, conditions(), GenerationConfig(rounds=8))
    assert torch.equal(found, codes)
    assert [level for level, _ in oracle.asked] == [0] * 8 + [1] * 4 + [2, 3]
    assert info["iterations"] == 8 and info["updates"] == LEVELS * FRAMES
    masked = [count for level, count in oracle.asked if level == 0]
    assert masked == [FRAMES - (math.ceil(FRAMES * (1 - math.cos(math.pi * i / 16)) - 1e-9)) for i in range(8)]


def test_the_cosine_keeps_nothing_at_first_and_all_at_the_last() -> None:
    lengths = torch.tensor([50, 7])
    kept = [kept_after(number, 12, lengths).tolist() for number in range(13)]
    assert kept[0] == [0, 0] and kept[12] == [50, 7]
    assert all(b[0] >= a[0] for a, b in zip(kept, kept[1:]))
    assert kept[6] == [math.ceil(50 * (1 - math.cos(math.pi / 4))), math.ceil(7 * (1 - math.cos(math.pi / 4)))]


def test_refinement_replaces_what_it_does_not_trust(codes: torch.Tensor) -> None:
    torch.manual_seed(1)  # the random tokens must not be the right ones
    found, info = generate(Oracle(codes), None, conditions(), GenerationConfig(mode="refine", rounds=3))
    assert torch.equal(found, codes)
    assert info["mode"] == "refine" and info["history"][0]["updates"] > 0.9 * LEVELS * FRAMES
    assert info["history"][1]["updates"] == 0


@pytest.mark.parametrize("mode", ["masked", "refine"])
def test_the_controller_stops_at_the_least_number_and_never_before(codes: torch.Tensor, mode: str) -> None:
    for logit, expected in ((-9.0, 3), (9.0, 10)):
        settings = GenerationConfig(mode=mode, rounds=10, min_rounds=3)
        found, info = generate(Oracle(codes), Fixed(logit), conditions(), settings)
        assert info["iterations"] == expected and torch.equal(found, codes)
    settings = GenerationConfig(mode=mode, rounds=10, min_rounds=3, stop=False)
    assert generate(Oracle(codes), Fixed(-9.0), conditions(), settings)[1]["iterations"] == 10
    sure = generate(Oracle(codes, trust=9.0), Fixed(9.0), conditions(), GenerationConfig(mode=mode, min_rounds=4))
    assert sure[1]["iterations"] == 4


def test_stopping_thresholds_depend_on_the_round() -> None:
    assert is_enough(0.14, 1.0 - 1e-9, 0, 12) and not is_enough(0.30, 0.5, 12, 12)
    assert is_enough(0.15 + 0.015 + 0.05 - 1e-6, 0.5, 6, 12) and not is_enough(0.15 + 0.015 + 0.05 + 1e-6, 0.5, 6, 12)
    assert is_enough(0.99, 0.96, 1, 12)


def test_random_weights_never_go_beyond_the_rounds() -> None:
    torch.manual_seed(0)
    decoder, controller = TokenDecoder(TINY).eval(), AdaptiveGenerationController(TINY).eval()
    given = Conditions(
        text=torch.randn(1, 30, 32), context=torch.randn(1, 32), style=torch.randn(1, 128), mask=torch.ones(1, 30, 1)
    )
    with torch.no_grad():
        for mode in ("masked", "refine"):
            found, info = generate(decoder, controller, given, GenerationConfig(mode=mode, rounds=7, min_rounds=2))
            assert 2 <= info["iterations"] <= 7 and int(found.max()) < 32 and int(found.min()) >= 0
        plain = generate(decoder, None, given, GenerationConfig(rounds=2, temperature=0.0))[0]
        strong = generate(decoder, None, given, GenerationConfig(rounds=2, temperature=0.0, guidance=5.0))[0]
        # FiLM is initialized to the identity: without training the style has no effect
        assert torch.equal(plain, strong)
        for film in decoder.films:
            film.project.weight.normal_()
        strong = generate(decoder, None, given, GenerationConfig(rounds=2, temperature=0.0, guidance=5.0))[0]
        assert not torch.equal(generate(decoder, None, given, GenerationConfig(rounds=2, temperature=0.0))[0], strong)


def test_guidance_is_away_from_speech_without_any_style() -> None:
    """The style is dropped in the text encoder too, as in training."""
    torch.manual_seed(0)
    model = MambaConvTTS(TINY).eval()
    for film in (model.text.film, *model.decoder.films):
        film.project.weight.data.normal_(std=0.3)
    tokens, style = torch.randint(1, 100, (1, 8)), torch.randn(1, 128)
    asked: list[tuple[torch.Tensor, torch.Tensor]] = []
    model.decoder.register_forward_pre_hook(lambda _, given: asked.append((given[1], given[2])))
    settings = GenerationConfig(rounds=1, finer_rounds=(1,), guidance=2.0, stop=False)
    model.speak(tokens, style, style, settings=settings)
    (styled, _), (unstyled, none) = asked[:2]
    with torch.no_grad():
        mask = torch.ones(1, 8, 1)
        moved = model.text(tokens, torch.zeros_like(style), mask) - model.text(tokens, style, mask)
    assert not none.any() and float(moved.abs().max()) > 0.1
    # The prosody that is added is the same: the difference of each frame is that of its token.
    expected = moved[0][(unstyled - styled)[0, :, None].sub(moved[0]).abs().amax(-1).argmin(1)]
    assert torch.allclose((unstyled - styled)[0], expected, atol=1e-5)


def test_padding_is_never_counted() -> None:
    torch.manual_seed(0)
    decoder = TokenDecoder(TINY).eval()
    text, style = torch.randn(1, 20, 32), torch.randn(1, 128)
    mask = (torch.arange(30) < 20).float()[None, :, None]
    padded = Conditions(
        text=torch.cat([text, torch.randn(1, 10, 32)], 1), context=torch.zeros(1, 32), style=style, mask=mask
    )
    alone = Conditions(text=text, context=torch.zeros(1, 32), style=style, mask=torch.ones(1, 20, 1))
    settings = GenerationConfig(rounds=5, temperature=0.0)
    with torch.no_grad():
        ours, theirs = (list(coarse_rounds(decoder, given, settings)) for given in (alone, padded))
    for a, b in zip(ours, theirs):
        assert torch.equal(a.codes[:, 0], b.codes[:, 0, :20]) and a.updates == b.updates
        assert torch.allclose(a.figures, b.figures, atol=1e-6)


def test_swapped_words_are_swapped_in_the_tokens() -> None:
    """A model trained on two words speaks "one two" and "two one" in the right order."""
    torch.manual_seed(0)
    words, long = 4, 4  # each word lasts so many frames
    sounds = torch.randint(SIZE, (words + 1, LEVELS, long))
    model = MambaConvTTS(TINY)
    optimizer = torch.optim.Adam(model.parameters(), lr=8e-3)
    mask, style = torch.ones(8, 4, 1), torch.zeros(8, 128)
    places = torch.arange(4).repeat_interleave(long).expand(8, -1)

    def conditions_of(texts: torch.Tensor) -> Conditions:
        rows = len(texts)
        features = model.text(texts, style[:rows], mask[:rows])
        text = expand_tokens(features, places[:rows])
        return Conditions(
            text=text, context=model.text.pooled(features, mask[:rows]), style=style[:rows],
            mask=torch.ones_like(text[..., :1]),
        )  # fmt: skip

    for step in range(160):
        texts = torch.randint(1, words + 1, (8, 4))
        codes = sounds[texts].transpose(1, 2).flatten(2)  # (8, LEVELS, frames)
        level = step % LEVELS
        hidden = torch.rand(8, 4 * long) < torch.rand(8, 1).clamp(min=0.3)
        shown = codes.clone()
        shown[:, level][hidden] = SIZE
        shown[:, level + 1 :] = SIZE
        given = conditions_of(texts)
        features = model.decoder(
            shown, given.text, given.style, given.mask, level=level, share_masked=hidden.float().mean(1)
        )
        loss = nn.functional.cross_entropy(model.decoder.logits(features, level)[hidden], codes[:, level][hidden])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()

    def said(*words: int) -> torch.Tensor:
        with torch.no_grad():
            given = conditions_of(torch.tensor([words]))
            return generate(model.decoder, None, given, GenerationConfig(rounds=4, temperature=0.0))[0][0]

    for text in ((1, 2, 3, 4), (1, 3, 2, 4), (4, 3, 2, 1)):
        expected = sounds[list(text)].transpose(0, 1).flatten(1)
        assert float((said(*text) == expected).float().mean()) > 0.9
    one, other = said(1, 2, 3, 4), said(1, 3, 2, 4)
    agree = (one[:, long : 2 * long] == other[:, 2 * long : 3 * long]).float().mean()
    assert float(agree) > 0.9 and float((one[:, long:] == other[:, long:]).float().mean()) < 0.7
