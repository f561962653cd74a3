"""The verdict and its intervals, for given scores."""

from dataclasses import replace

import numpy as np
import pytest

from voiceclone.evaluation.bootstrap import RESAMPLES, difference_interval, mean_interval, ratio_interval
from voiceclone.evaluation.report_measuring import Scores
from voiceclone.evaluation.report_verdict import MIN_PHONEMES, deciding_encoder, doubts_about_judges, reach_verdict

ENCODERS = ("xvector", "resemblyzer")


def voice(xvector: float, resemblyzer: float | None = None, errors: float = 5, *, noise: float = 0.01, clips: int = 8):
    """Scores of ``clips`` utterances of 50 phones around the given means; the same noise for every voice."""
    wobble = noise * np.random.default_rng(0).standard_normal(clips)
    rows = []
    for number in range(clips):
        similarity = {"xvector": xvector + wobble[number]}
        if resemblyzer is not None:
            similarity["resemblyzer"] = resemblyzer + wobble[number]
        rows.append(
            Scores(
                utterance=str(number),
                phonemes=50,
                length=None,
                seconds=3.0,
                similarity=similarity,
                phone_errors=errors + number % 2,
                phones=50,
            )
        )
    return tuple(rows)


def verdict(**voices):
    return reach_verdict(voices, ENCODERS, seed=0)


def test_a_clear_win():
    found = verdict(clone=voice(0.8, 0.9), best_stock=voice(0.6, 0.7), best_blend=voice(0.7, 0.8))
    assert found.outcome == "better" and found.best == "clone"
    assert found.line.startswith("The clone wins over the best stock voice and the best blend of stock voices")
    assert "likeness by xvector 0.80 against 0.60 (best stock voice) and 0.70 (best blend of stock " in found.line
    assert {c["result"] for c in found.as_json()["comparisons"] if "rate" not in c["measure"]} == {"better"}


def test_a_loss_is_said_first_and_the_better_voice_is_kept():
    found = verdict(clone=voice(0.65, 0.7), best_stock=voice(0.6, 0.6), best_blend=voice(0.7, 0.75))
    assert found.outcome == "worse" and found.best == "best_blend"
    assert found.line.startswith("THE CLONE LOSES to the best blend of stock voices: likeness by xvector 0.65 against")
    assert "best stock" not in found.line


def test_a_score_that_training_may_have_used_makes_no_win():
    found = verdict(clone=voice(0.7, 0.9), best_stock=voice(0.7, 0.7))
    assert found.outcome == "unclear" and found.best == "clone"
    assert "NO CLEAR WIN over the best stock voice" in found.line and "Better: likeness by resemblyzer" in found.line
    gamed = verdict(clone=voice(0.6, 0.9), best_stock=voice(0.7, 0.7))
    assert gamed.outcome == "mixed" and gamed.line.startswith("The clone does not simply win")
    assert "Worse: likeness by xvector 0.60 against 0.70" in gamed.line
    # It is used where it is the only encoder.
    alone = reach_verdict({"clone": voice(0.7, 0.9), "best_stock": voice(0.7, 0.7)}, ["resemblyzer"], seed=0)
    assert alone.outcome == "better"


def test_the_most_accurate_untrained_encoder_decides():
    def heard(campplus: float, xvector: float):
        rows = voice(xvector, 0.9)
        return tuple(replace(row, similarity={"campplus": campplus, **row.similarity}) for row in rows)

    voices = {"clone": heard(0.5, 0.8), "best_stock": heard(0.5, 0.6)}
    found = reach_verdict(voices, ("campplus", *ENCODERS), seed=0)
    assert found.outcome == "unclear" and "Better: likeness by xvector" in found.line
    found = reach_verdict({**voices, "clone": heard(0.6, 0.8)}, ("campplus", *ENCODERS), seed=0)
    assert found.outcome == "better"
    assert deciding_encoder(("resemblyzer", "xvector", "campplus")) == "campplus"
    assert deciding_encoder(("resemblyzer",)) == "resemblyzer" and deciding_encoder(()) == ""


def test_more_wrong_phones_are_a_loss_unless_likeness_is_won():
    assert verdict(clone=voice(0.7, 0.7, 9), best_stock=voice(0.7, 0.7, 5)).outcome == "worse"
    mixed = verdict(clone=voice(0.8, 0.8, 9), best_stock=voice(0.7, 0.7, 5))
    assert mixed.outcome == "mixed" and "Worse: phone error rate 19% against 11%" in mixed.line


def test_an_unintelligible_clone_is_said_first_whatever_else_it_wins():
    found = verdict(clone=voice(0.9, 0.9, 40), best_stock=voice(0.7, 0.7, 5), recordings=voice(0.95, 0.95, 2))
    assert found.outcome == "unintelligible" and found.best == "best_stock"
    assert found.line == "THE CLONE IS UNINTELLIGIBLE: phone error rate 81% against 5% (recordings)."
    # With no voice to compare it to, the recordings are enough.
    alone = verdict(clone=voice(0.9, 0.9, 40), recordings=voice(0.95, 0.95, 2))
    assert alone.outcome == "unintelligible" and alone.best == "clone"
    assert verdict(clone=voice(0.9, 0.9, 40), best_stock=voice(0.7, 0.7, 5)).outcome == "unintelligible"


def test_phone_errors_of_the_recordings_are_not_charged_to_the_clone():
    voices = {"clone": voice(0.9, 0.9, 28), "best_stock": voice(0.7, 0.7, 5), "recordings": voice(0.95, 0.95, 30)}
    found = verdict(**voices)
    assert found.outcome == "better"
    assert [c.result for c in found.comparisons] == ["better", "better", "as the speaker"]
    assert verdict(**{**voices, "clone": voice(0.9, 0.9, 34)}).outcome == "mixed"
    doubts = doubts_about_judges(voices, ENCODERS)
    assert len(doubts) == 1 and "hardly understands this speaker (61% wrong" in doubts[0]


def test_an_encoder_that_confuses_the_speaker_with_a_stock_voice_is_reported():
    voices = {"clone": voice(0.9, 0.9), "best_stock": voice(0.9, 0.7), "recordings": voice(0.85, 0.95)}
    doubts = doubts_about_judges(voices, ENCODERS)
    assert len(doubts) == 1 and doubts[0].startswith(
        "to xvector, the best stock voice (0.90) is nearer to the speaker than the speaker's own recordings are to one "
        "another (0.85): "
    )
    doubts = doubts_about_judges({**voices, "oracle": voice(0.95, 0.6)}, ["resemblyzer"])
    assert len(doubts) == 1 and "nearer to the speaker than the oracle is (0.60)" in doubts[0]
    doubts = doubts_about_judges({"best_stock": voice(0.8), "recordings": voice(0.8)}, ["xvector"])
    assert "(0.80) is as near to the speaker as the speaker's own recordings" in doubts[0]
    assert doubts_about_judges({"clone": voice(0.9)}, ENCODERS) == []


def test_the_same_voice_twice_is_no_win():
    found = verdict(clone=voice(0.7, 0.7), best_stock=voice(0.7, 0.7))
    assert found.outcome == "unclear"
    assert all(c.advantage.low == c.advantage.high == 0 for c in found.comparisons)


def test_one_utterance_gives_no_verdict():
    found = verdict(clone=voice(0.9, clips=1), best_stock=voice(0.1, clips=1))
    assert found.outcome == "unclear"
    assert found.comparisons[0].advantage.low is None


def test_short_utterances_do_not_count_for_likeness():
    short = Scores(utterance="s", phonemes=MIN_PHONEMES - 1, length=5, seconds=0.4, similarity={"xvector": -1.0})
    found = verdict(clone=(*voice(0.8), short), best_stock=(*voice(0.6), short))
    assert found.comparisons[0].clone == pytest.approx(verdict(clone=voice(0.8), b=voice(0.6)).comparisons[0].clone)


def test_without_stock_voices_the_others_are_rivals_and_the_ceiling_never_is():
    assert verdict(clone=voice(0.8), mine=voice(0.6), oracle=voice(0.9)).outcome == "better"
    alone = verdict(clone=voice(0.8), oracle=voice(0.9), recordings=voice(0.95))
    assert alone.outcome == "not compared" and alone.best == "clone"


def test_other_voices_that_are_ahead_are_named():
    found = verdict(clone=voice(0.8), best_stock=voice(0.6), zero_shot=voice(0.85), plain_recipe=voice(0.5))
    assert found.outcome == "better" and found.also_ahead == ("zero_shot",)
    assert found.line.endswith("More like the speaker than the clone: zero-shot clone.")


def test_intervals():
    values = np.random.default_rng(3).normal(5.0, 1.0, 400)
    interval = mean_interval(values, seed=1)
    assert interval == mean_interval(values, seed=1) != mean_interval(values, seed=2)
    # The standard error of 400 values of deviation 1 is 1/20; 95 % lie within 1.96 of them.
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert interval.low < interval.mean < interval.high
    assert ratio_interval([1, 9], [10, 90], seed=0).mean == pytest.approx(0.1)
    assert mean_interval([0.5], seed=0).rounded() == {"mean": 0.5, "low": None, "high": None}
    with pytest.raises(ValueError, match="not empty"):
        mean_interval([], seed=0)
    # Common variance of both does not widen the interval of the difference.
    ones = np.ones(400)
    paired = difference_interval((values + 0.1, ones), (values, ones), seed=0)
    assert paired.low == pytest.approx(0.1) and paired.high == pytest.approx(0.1)
    with pytest.raises(ValueError, match="pairs"):
        difference_interval(([1.0], [1.0]), ([1.0, 2.0], [1.0, 1.0]), seed=0)


@pytest.mark.parametrize("count", [2, 7, 40])
def test_the_interval_is_a_percentile_bootstrap_over_clips(count: int) -> None:
    """The resampling is seeded, so that earlier reports can be reproduced."""
    rng = np.random.default_rng(count)
    amounts, sizes, others = rng.random(count), 1 + rng.random(count), rng.random(count)
    drawn = np.random.default_rng(3).integers(0, count, (RESAMPLES, count))
    ratios = amounts[drawn].sum(1) / sizes[drawn].sum(1)
    found = ratio_interval(amounts, sizes, seed=3)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(ratios, [2.5, 97.5])))
    found = difference_interval((amounts, sizes), (others, sizes), seed=3)
    ratios -= others[drawn].sum(1) / sizes[drawn].sum(1)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(ratios, [2.5, 97.5])))
