"""Word times compared with eSpeak-NG's own times, in a voice that the aligners do not use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from talks import SENTENCES, Talk, plain_words, speak_talk

from voiceclone.alignment.learning import Learned, learn
from voiceclone.alignment.rough_aligner import RoughAligner
from voiceclone.data.recordings import Script
from voiceclone.prepare.plan import Planned, plan_recording
from voiceclone.prepare.sources import find_recordings
from voiceclone.prepare.words import CutRules

RULES = CutRules(min_seconds=2.0, max_seconds=8.0, min_ready_seconds=1.0, min_score=0.5, min_weakest=0.35)


def aligner_of(talk: Talk, text: str) -> RoughAligner:
    return RoughAligner(find_recordings([talk.path])[0], Script(running=text), "a")


@pytest.fixture(scope="module")
def learned(talk: Talk) -> Learned:
    return learn(aligner_of(talk, talk.text))


def planned(talk: Talk, text: str, learned: Learned) -> Planned:
    return plan_recording(aligner_of(talk, text), 0, 0, learned, RULES)


def sure(found: Planned) -> list[tuple[float, float, str]]:
    return [(clip.start, clip.end, clip.text) for clip in found.clips if clip.problem is None]


def test_every_word_is_in_the_clip_that_holds_its_sound(talk: Talk, learned: Learned) -> None:
    found = planned(talk, talk.text, learned)
    # Half a minute is little training material: the fit of some words may be low, but not their position.
    assert len(sure(found)) >= len(found.clips) - 1
    clips = [(clip.start, clip.end, clip.text) for clip in found.clips]
    assert [word for _, _, text in clips for word in plain_words(text)] == plain_words(talk.text)
    at = 0
    for start, end, text in clips:
        inside = [(a, b) for a, b, _ in talk.spans[at : at + text.count(".")]]
        at += len(inside)
        # Cuts are in the pauses before and after: half a second of silence at a full stop.
        assert inside[0][0] - 0.5 <= start <= inside[0][0] + 0.02
        assert inside[-1][1] - 0.05 <= end <= inside[-1][1] + 0.5


def test_words_are_placed_to_a_fraction_of_a_second(talk: Talk, learned: Learned) -> None:
    from voiceclone.alignment.coarse import settled
    from voiceclone.alignment.fine import align_section

    aligner = aligner_of(talk, talk.text)
    voice = learned.voice(aligner, 0)
    times: dict[int, float] = {}
    for _, reading, section in aligner.rough(0, learned.variant, voice, learned.stretch, 0):
        for part in settled(section, reading):
            for word in align_section(part, aligner.features(0).part(part.start, part.end), reading, voice)[0]:
                times[reading.words[word.word].start] = word.start
    errors = [abs(times[place] - start) for place, start in talk.words if place in times]
    assert len(errors) > 0.9 * len(talk.words)
    assert np.median(errors) < 0.05 and np.percentile(errors, 95) < 0.2


def test_text_that_is_not_said_is_in_no_clip(talk: Talk, learned: Learned) -> None:
    lie = "The committee will publish seventeen recommendations about agricultural policy next Wednesday."
    texts = [text for _, _, text in talk.spans]
    found = planned(talk, " ".join([*texts[:4], lie, *texts[4:]]), learned)
    kept = " ".join(text for _, _, text in sure(found))
    assert "committee" not in kept and "agricultural" not in kept
    assert len(plain_words(kept)) > 0.6 * len(plain_words(talk.text))
    assert set(plain_words(kept)) <= set(plain_words(talk.text))


def test_sound_that_is_not_in_the_text_is_in_no_clip(talk: Talk, learned: Learned) -> None:
    start, end, _ = talk.spans[3]
    found = planned(talk, " ".join(text for _, _, text in talk.spans if text != talk.spans[3][2]), learned)
    clips = sure(found)
    assert len(clips) >= 3
    for a, b, _ in clips:
        assert min(b, end) - max(a, start) < 0.3, "a clip holds speech that its text does not say"


def test_another_text_fits_nowhere(talk: Talk, learned: Learned, tmp_path: Path) -> None:
    other = (Path(__file__).parents[2] / "datasets" / "README.md").read_text()
    assert sure(planned(talk, other, learned)) == []


def test_a_text_ends_with_its_last_words_even_if_they_are_faint(tmp_path: Path) -> None:
    import soundfile

    talk = speak_talk(tmp_path / "fades.wav", SENTENCES[:4])
    sound, rate = soundfile.read(talk.path, dtype="float32")
    fades = int((talk.spans[-1][1] - 0.8) * rate)
    sound[fades:] *= 0.25
    soundfile.write(talk.path, sound, rate)
    learned = learn(aligner_of(talk, talk.text))
    found = planned(talk, talk.text, learned)
    assert found.rest == "" and found.next_word > 0
    assert " ".join(clip.text for clip in found.clips).endswith("stopped that night.")


def test_learned_models_are_stored_bit_for_bit(talk: Talk, learned: Learned) -> None:
    again = Learned.from_bytes(learned.to_bytes())
    assert again.to_bytes() == learned.to_bytes()
    assert planned(talk, talk.text, again) == planned(talk, talk.text, learned)


@pytest.mark.slow
def test_minutes_of_little_variation_keep_their_words(tmp_path: Path) -> None:
    """The phone models of minutes of a formant synthesizer are narrow, so that small errors of the times cost much."""
    from voiceclone.recording.sentences import SENTENCES as MORE

    chance = np.random.default_rng(0)
    sentences = [sentence for _ in range(3) for sentence in chance.permutation([*SENTENCES, *MORE])]
    talk = speak_talk(tmp_path / "minutes.wav", sentences)
    found = planned(talk, talk.text, learn(aligner_of(talk, talk.text)))
    kept = [word for _, _, text in sure(found) for word in plain_words(text)]
    assert len(kept) >= 0.95 * len(plain_words(talk.text))
