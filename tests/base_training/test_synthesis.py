"""The synthetic corpus: speakers by seed, silence and level of an utterance, error messages."""

import json

import numpy as np
import pytest

from voiceclone.alignment.conditioning import LEAD_FRAMES, LEVEL_RMS, trim_and_level
from voiceclone.audio.io import read_audio
from voiceclone.base_training.synthesis import (
    SynthesisConfig,
    make_speakers,
    read_corpus_sentences,
)
from voiceclone.errors import UsageError
from voiceclone.text.espeak import PhonemeEvent


def test_speakers_follow_the_seed_and_differ():
    config = SynthesisConfig(speakers=60, held_out=8)
    speakers = make_speakers(config)
    assert speakers == make_speakers(config)
    assert speakers != make_speakers(SynthesisConfig(speakers=60, held_out=8, seed=1))
    assert len({speaker.name for speaker in speakers}) == 60
    assert any(speaker.variant_file is None for speaker in speakers)
    private = [speaker.variant_file for speaker in speakers if speaker.variant_file]
    assert len(set(private)) == len(private) > 30


def test_held_out_must_leave_a_training_speaker():
    with pytest.raises(ValueError, match="held_out"):
        SynthesisConfig(speakers=5, held_out=5)


def test_utterance_has_its_silences_its_level_and_moved_events():
    sound = np.concatenate([np.zeros(5000), 0.3 * np.ones(10_000), np.zeros(7000)]).astype(np.float32)
    audio, events = trim_and_level(sound, [PhonemeEvent(ipa="a", start=5000 / 24000)])
    assert len(audio) % 600 == 0
    lead = LEAD_FRAMES * 600
    assert np.abs(audio[:lead]).max() < 0.01 < np.abs(audio[lead : lead + 600]).max()
    assert events[0].start == pytest.approx(lead / 24000)
    assert np.sqrt(np.mean(audio[lead : lead + 10_000] ** 2)) == pytest.approx(LEVEL_RMS, rel=0.05)


def test_written_corpus_holds_what_its_metadata_says(spoken):
    rows = [json.loads(line) for line in (spoken / "train" / "metadata.jsonl").read_text().splitlines()]
    assert set(rows[0]) == {"file_name", "text", "speaker", "phonemes", "durations"}
    assert len(read_audio(spoken / "train" / rows[0]["file_name"])) == 600 * sum(rows[0]["durations"])


def test_sentences_are_filtered_and_too_few_refused(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("\n".join(["short", "x" * 400] + [f"This is sentence number {n}." for n in range(12)]))
    assert len(read_corpus_sentences(text, 170)) == 12
    text.write_text("Only one sentence here.\n")
    with pytest.raises(UsageError, match="at least 10"):
        read_corpus_sentences(text, 170)
    with pytest.raises(UsageError, match="cannot be read"):
        read_corpus_sentences(tmp_path / "none.txt", 170)
