"""Clips whose speech does not fit their transcript."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import pytest
import torch
from support import benchmark

from voiceclone.alignment.base_warp import Alignment
from voiceclone.audio.features import LogMel
from voiceclone.audio.io import read_audio
from voiceclone.bases.base import load_base
from voiceclone.errors import VoicecloneError
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.phone_classifier import load_phone_classifier
from voiceclone.projection.config import ProjectionConfig
from voiceclone.projection.initialization import neutral_initialization
from voiceclone.projection.misfits import misaligned, unfitting_clips
from voiceclone.projection.preparation import _fitting
from voiceclone.projection.targets import Target, align_all, prepare_target
from voiceclone.voice.profile import LengthProfile

OWN_GAP = 0.25  # nats, as of English on nano
KOKORO_SPEECH = Path(__file__).resolve().parents[1] / "data" / "kokoro_speech"


def scored(targets, *scores: float, gaps: Sequence[float | None] = (), frames: int = 240) -> list:
    alignments = [
        Alignment(durations=torch.full((3,), frames // 3), score=score, phone_gap=gap)
        for score, gap in zip_longest(scores, gaps)
    ]
    return [
        replace(targets[i % len(targets)], name=f"c{i}", alignment=alignment) for i, alignment in enumerate(alignments)
    ]


def test_a_clip_far_below_the_others_is_dropped_with_the_reason(targets) -> None:
    splits = {"train": scored(targets, 0.7, 0.72, 0.69, 0.35, 0.71), "validation": scored(targets, 0.7)}
    dropped = misaligned(splits, OWN_GAP)
    assert set(dropped) == {"train/c3"} and "does not fit the transcript" in dropped["train/c3"]
    assert not misaligned({"train": scored(targets, 0.7, 0.66, 0.74, 0.62, 0.71), "validation": []}, OWN_GAP)
    assert not misaligned({"train": scored(targets, 0.7, 0.1)}, OWN_GAP)  # too few to tell
    with pytest.raises(VoicecloneError, match="no validation clip fits"):
        misaligned({"train": scored(targets, 0.7, 0.72, 0.69, 0.7), "validation": scored(targets, 0.2)}, OWN_GAP)


def test_phones_that_are_not_those_of_the_text_are_dropped_from_the_first_clip_on(targets) -> None:
    """The scores are all good: the gap decides where there is one for every clip."""
    assert set(misaligned({"train": scored(targets, 0.7, 0.7, gaps=(0.9, 4.1))}, OWN_GAP)) == {"train/c1"}
    usual = (0.7, 0.8, 0.6, 0.75, 0.7)
    splits = {"train": scored(targets, *[0.7] * 6, gaps=(*usual, 1.6)), "validation": []}
    dropped = misaligned(splits, OWN_GAP)
    assert set(dropped) == {"train/c5"} and "misfit 1.60, limit 1.3" in dropped["train/c5"]
    assert not misaligned({"train": scored(targets, *[0.7] * 6, gaps=(*usual, 1.2)), "validation": []}, OWN_GAP)
    with pytest.raises(VoicecloneError, match="no train clip fits"):
        misaligned({"train": scored(targets, *[0.7] * 6, gaps=(4.0, 4.2, 3.9, 4.4, 3.0, 5.0))}, OWN_GAP)
    assert not misaligned({"train": scored(targets, 0.7, 0.7, gaps=(0.9, None))}, OWN_GAP)


@pytest.fixture(scope="module")
def align():
    """Aligns targets as a clone does: on nano, with the phone classifier."""
    base, phone_classifier = load_base("nano", offline=True), load_phone_classifier()
    kokoro = FrozenKokoro(base.kmodel, torch.device("cpu"))
    rows = neutral_initialization(base.stock_voices).rows(LengthProfile.of(base.stock_voices.values()), kokoro.device)

    def align(texts: Sequence[str], audio: Sequence) -> dict[str, list]:
        made = [prepare_target(str(i), text, sound, kokoro) for i, (text, sound) in enumerate(zip(texts, audio))]
        assert all(isinstance(target, Target) for target in made)
        return {"train": align_all(made, kokoro, rows, LogMel(), seed=0, phone_classifier=phone_classifier)[0]}

    return align


@pytest.fixture(scope="module")
def speech() -> tuple[list[str], list]:
    """Phonemes and audio of six utterances by Kokoro-82M."""
    rows = [json.loads(line) for line in (KOKORO_SPEECH / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row["phonemes"] for row in rows], [read_audio(KOKORO_SPEECH / row["file_name"]) for row in rows]


def test_a_language_that_the_classifier_hears_less_well_has_a_higher_limit(targets) -> None:
    """Spanish by nano itself has 1.3, Spanish clips by Kokoro up to 2.1, exchanged ones 3.4 and more."""
    spanish = {"train": scored(targets, *[0.7] * 3, gaps=(1.7, 2.1, 3.4))}
    assert set(misaligned(spanish, 1.3)) == {"train/c2"}
    assert set(misaligned(spanish, OWN_GAP)) == {"train/c1", "train/c2"}


def test_level_and_initialization_do_without_clips_that_do_not_fit(targets) -> None:
    config, spoken = ProjectionConfig(), [torch.zeros(1), torch.ones(1)]
    one = scored(targets, 0.7, 0.7, gaps=(4.0, 0.7))
    assert _fitting(config, OWN_GAP, one, spoken) == ([one[1]], [spoken[1]])
    none = scored(targets, 0.7, 0.7, gaps=(4.0, 4.2))
    with pytest.raises(VoicecloneError, match="none of the first 2 train clips fits its transcript"):
        _fitting(config, OWN_GAP, none, spoken)
    assert _fitting(ProjectionConfig(without=frozenset({"alignment"})), OWN_GAP, one, spoken) == (one, spoken)


def test_a_short_clip_is_dropped_only_where_it_fits_far_worse(targets) -> None:
    """The fewer phones a clip has, the larger the error of their mean."""
    usual = {"train": scored(targets, *[0.7] * 5, gaps=(0.7, 0.8, 0.6, 0.75, 0.7))}
    for gap, frames, dropped in (
        (2.2, 240, True),
        (2.2, 48, False),
        (2.8, 48, True),
        (1.6, 240, True),
        (1.6, 99, False),
    ):
        one = {"validation": scored(targets, 0.7, gaps=(gap,), frames=frames)}
        assert bool(unfitting_clips({**usual, **one}, OWN_GAP)) == dropped, (gap, frames)


def test_the_benchmark_changes_words_and_judges_by_both_rules(targets) -> None:
    bench = benchmark("wrong_transcripts")
    own, other = ["a", "b", "c", "d", "e", "f", "g", "h"], ["s", "t", "u", "v", "w", "x", "y", "z"]
    changed = {kind: " ".join(change(own, other)) for kind, change in bench.KINDS.items()}
    assert changed == {
        "right": "a b c d e f g h",
        "another": "s t u v w x y z",
        "second half of another": "a b c d w x y z",
        "a quarter of another": "a b s t e f g h",
        "last quarter missing": "a b c d e f",
        "half of another added": "a b c d e f g h s t u v",
        "one word exchanged": "a b c d umbrella f g h",
    }
    first, *others = scored(targets, 0.65, *[0.7] * 5, gaps=(3.0, 0.7, 0.6, 0.8, 0.7, 0.7))
    assert bench.is_dropped(first, others, OWN_GAP)
    assert not bench.is_dropped(*bench.without_phones([first, *others]), OWN_GAP)


@pytest.fixture(scope="module")
def right(align, speech) -> list:
    """The utterances with their own texts."""
    return align(*speech)["train"]


def test_right_transcripts_are_kept(right) -> None:
    assert not misaligned({"train": right}, OWN_GAP)


def test_transcripts_shifted_by_a_line_are_refused(align, speech) -> None:
    """No clip fits, so that a median says nothing."""
    texts, audio = speech
    with pytest.raises(VoicecloneError, match="no train clip fits"):
        misaligned(align(texts[1:4], audio[:3]), OWN_GAP)


def test_a_transcript_that_ends_too_early_or_goes_on_is_found(align, speech, right) -> None:
    texts, audio = speech
    words = [text.split() for text in texts]
    half, more = " ".join(words[0][: len(words[0]) // 2]), " ".join(words[1] + words[2][: len(words[2]) // 2])
    assert set(unfitting_clips({"changed": align([half, more], audio[:2])["train"], "train": right[2:]}, OWN_GAP)) == {
        "changed/0", "changed/1",
    }  # fmt: skip
