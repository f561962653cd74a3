"""The verdict in words and as bars, for given metrics."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from voiceclone.evaluation.bars import bars_of, three_bars
from voiceclone.evaluation.in_words import SOUNDS, Findings, verdict_in_words
from voiceclone.evaluation.metrics_opinion import load_opinion_judge
from voiceclone.evaluation.pages import render_html
from voiceclone.evaluation.report_measuring import Scores
from voiceclone.evaluation.report_results import summed_up
from voiceclone.evaluation.report_verdict import reach_verdict
from voiceclone.evaluation.report_words import findings_of

FOUND = {"clone": 0.7, "stranger": 0.0, "recordings": 0.8, "nearest": 0.5, "nearest_name": "af_heart"}


def test_the_verdict_is_said_in_words() -> None:
    good = verdict_in_words(Findings(**FOUND, understood=1.0, slower_percent=-6.2, natural=4.2, natural_recordings=4.3))
    assert good == [
        "Much nearer to you than the stock voice af_heart: 9/10 of the way to a second recording of yours.",
        "0/10 is a stranger. The stock voice af_heart, chosen as the nearest, goes 6/10.",
        "Every word was understood.",
        "It speaks 6 % faster than you.",
        "It sounds as natural as your recordings: 4.2 of 5 as a judge of naturalness estimates it, and they 4.3.",
    ]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"clone": 0.58}, "Nearer to you than"),
        (
            {"clone": 0.3, "nearest": 0.1},
            "Nearer to you than the stock voice af_heart, but still far from you: 4/10 of the way",
        ),
        ({"nearest_clear": False}, "Not clearly nearer to you than the stock voice af_heart on these sentences: 9/10"),
        ({"clone": 0.5}, "No nearer to you than the stock voice af_heart: 6/10 of the way"),
        ({"clone": 0.52, "nearest_clear": True}, "Nearer to you than the stock voice af_heart: 6/10"),
        ({"clone": 0.95, "nearest": 0.79, "nearest_clear": True}, "Nearer to you than the stock voice af_heart: 10/10"),
        ({"clone": 0.48, "nearest_clear": True}, "Further from you than the stock voice af_heart: 6/10"),
        ({"clone": 0.2}, "Further from you than the stock voice af_heart"),
        ({"nearest": None}, "The voice goes 9/10"),
        ({"stranger": 0.75}, "cannot be said: the judge hardly tells your recordings from a stranger's"),
        ({"nearest": 0.85, "clone": 0.9}, "hardly tells your recordings from the stock voice af_heart"),
        ({"clone": 0.85}, "10/10 of the way to a second recording of yours"),
        ({"clone": 0.85}, "Nearer than 10/10 the judge cannot tell."),
        ({"understood": 0.85, "understood_recordings": 0.95}, "fewer than in your recordings (95)"),
        ({"understood": 0.85, "understood_recordings": 0.86}, "as many as in your recordings"),
        ({"understood": 0.9, "understood_recordings": 0.3}, "of your recordings only 30: it hardly knows such speech"),
        ({"understood": 0.9, "counted": SOUNDS}, "90 of 100 sounds were understood"),
        ({"slower_percent": 2.0}, "as fast as you"),
        ({"natural": 3.0, "natural_recordings": 4.0}, "less natural than your recordings"),
    ],
)
def test_each_finding_has_its_words(changed: dict, says: str) -> None:
    assert any(says in line for line in verdict_in_words(Findings(**FOUND | changed)))


def test_unintelligible_speech_is_reported_first() -> None:
    lines = verdict_in_words(Findings(**FOUND, understood=0.3, understood_recordings=0.9))
    assert lines[0].startswith("It can hardly be understood: only 30 of 100 words")
    # If the recogniser does not understand the speaker either, its result does not apply to the clone.
    lines = verdict_in_words(Findings(**FOUND, understood=0.3, understood_recordings=0.31))
    assert lines[0].startswith("Much nearer")


def test_bars_agree_with_the_words() -> None:
    found = Findings(**FOUND, understood=0.9, understood_recordings=0.95, natural=4.0, natural_nearest=4.4)
    likeness, understood, natural = bars_of(found)
    assert (likeness.value, likeness.share, likeness.marks[0].share) == ("9 of 10", pytest.approx(0.875), 0.625)
    assert (likeness.low, likeness.high) == ("a stranger", "a second recording of you")
    assert (understood.value, understood.marks[0].value) == ("90 %", "95 %")
    assert natural.share == pytest.approx(0.75) and natural.marks[0].title == "best stock voice, af_heart"
    found = Findings(**FOUND, natural=4.0, natural_nearest=4.4, natural_recordings=4.6)
    likeness, natural = bars_of(found)
    assert [mark.kind for mark in (*likeness.marks, *natural.marks)] == ["stock", "recordings", "stock"]
    html = render_html("verdict.html.j2", in_words=["<b>"], bars=[likeness])
    assert "gauge-key-stock" in html and "gauge-mark-stock" in html and "recordings" not in html
    assert 'width="87.5"' in html and "<b>&lt;" not in html and "<p>&lt;b&gt;</p>" in html
    assert 'aria-label="Likeness: 9 of 10; best stock voice, af_heart: 6 of 10"' in html


def test_a_bar_that_cannot_be_drawn_says_why() -> None:
    bars = three_bars(Findings(**FOUND | {"stranger": 0.79}), ["naturalness: x is not installed", "word error rate: y"])
    assert [bar.share for bar in bars] == [None] * 3
    assert [bar.value.partition(": ")[2] for bar in bars[1:]] == ["y", "x is not installed"]
    assert len(bars_of(Findings(**FOUND))) == 1


def voice(similarity: float, *, words: bool, wobble: float = 0.01) -> tuple[Scores, ...]:
    counted = {"word_errors": 1.0, "words": 10.0} if words else {}
    return tuple(
        Scores(
            utterance=str(n), phonemes=40, length=None, seconds=2.0, phone_errors=4.0, phones=20.0,
            similarity={"xvector": similarity + wobble * (-1) ** n, "resemblyzer": 0.9}, **counted,
        )
        for n in range(6)
    )  # fmt: skip


def found_of(scores: dict[str, tuple[Scores, ...]]) -> Findings | None:
    encoders = ("resemblyzer", "xvector")
    return findings_of(
        {name: summed_up(rows, encoders, seed=0) for name, rows in scores.items()},
        reach_verdict(scores, encoders, seed=0),
        encoders,
        "words",
    )


def test_findings_come_from_the_encoder_that_was_never_trained_on_and_from_words_where_they_are_counted() -> None:
    scores = {name: voice(s, words=True) for name, s in (("clone", 0.7), ("best_stock", 0.5), ("stranger", 0.1))}
    assert found_of(scores) is None  # no recordings
    scores["recordings"] = voice(0.8, words=True)
    found = found_of(scores)
    assert (found.clone, found.nearest, found.stranger, found.recordings) == pytest.approx((0.7, 0.5, 0.1, 0.8))
    assert found.understood == pytest.approx(0.9) and found.counted == "words" and found.nearest_clear is True
    found = found_of({name: voice(s, words=False) for name, s in zip(scores, (0.7, 0.7, 0.1, 0.8))})
    assert found.understood == pytest.approx(0.8) and found.counted == SOUNDS
    assert found.nearest_clear is False


def test_the_mos_predictor_gets_16_khz_and_stays_on_its_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distillmos", None)
    judge, why = load_opinion_judge()
    assert judge is None and why.startswith("naturalness: distillmos is not installed")

    class Model(torch.nn.Module):
        def forward(self, audio: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[audio.shape[1] / 16_000]])

    monkeypatch.setitem(sys.modules, "distillmos", SimpleNamespace(ConvTransformerSQAModel=Model))
    judge, _ = load_opinion_judge()
    assert judge.score(np.zeros(2 * 24_000, np.float32)) == pytest.approx(2.0, abs=0.01)
    assert judge.score(np.zeros(9 * 24_000, np.float32)) == 5.0
