"""The aligner learns phone boundaries from recordings and phonemes, and is cached for a whole run."""

import json
import shutil

import numpy as np
import pytest
from synthesized import SENTENCES

from voiceclone.alignment import learned as aligner_module
from voiceclone.alignment.conditioning import trim_and_level
from voiceclone.alignment.durations import PAUSES, STRESSES, durations_from_events, units_of_events, whole_frames
from voiceclone.alignment.learned import AlignerConfig, LearnedAligner, durations_with_stresses
from voiceclone.audio.io import resample, write_wav
from voiceclone.cli import main as command_line
from voiceclone.data.rows import Row
from voiceclone.errors import VoicecloneError
from voiceclone.models.presets import tiny_config
from voiceclone.text.espeak import EspeakSynthesizer

pytest.importorskip("monotonic_alignment_search")
VOICES = (("en-us+f2", 150), ("en-us+m3", 130), ("en-us+f4", 165), ("en-us+m1", 140))
VOCAB = tiny_config()["vocab"]


@pytest.fixture(scope="module")
def readings(tmp_path_factory):
    """(row, audio, true durations) of eSpeak-NG's synthesis, with the phonemes that it reports."""
    folder, engine, found = tmp_path_factory.mktemp("readings"), EspeakSynthesizer(), []
    for voice, rate in VOICES:
        for sentence in SENTENCES:
            speech = engine.speak(sentence, voice, rate_wpm=rate)
            audio, events = trim_and_level(resample(speech.audio, speech.sample_rate), speech.events)
            seconds = len(audio) / 24000
            units = "".join(" " if name == "_" else name for name, _, _ in units_of_events(events, seconds))
            phonemes = "".join(c for c in units.strip() if c in VOCAB)
            durations, _ = durations_from_events(phonemes, events, seconds)
            path = folder / f"{len(found)}.wav"
            write_wav(path, audio)
            row = Row(path=path, speaker=voice, text=sentence, phonemes=phonemes, durations=None)
            found.append((row, audio, durations))
    return found


def share_within(readings, durations, milliseconds=50):
    """Fraction of the phones whose start is within a tolerance of the true one."""
    errors = []
    for (row, _, truth), found in zip(readings, durations):
        phones = [i for i, c in enumerate(row.phonemes) if c not in PAUSES and c not in STRESSES]
        errors.append(np.abs(np.cumsum(found)[phones] - np.cumsum(truth)[phones]) * 25)
    return float(np.mean(np.concatenate(errors) <= milliseconds))


def evenly(truth):
    """Baseline: equal durations between the (known) silences at both ends."""
    inner = np.linspace(truth[0], truth[:-1].sum(), len(truth) - 1)
    return whole_frames(np.concatenate([[0], inner, [truth.sum()]]), int(truth.sum()))


def test_boundaries_are_learned(readings, tmp_path):
    align = LearnedAligner([row for row, _, _ in readings], VOCAB, tmp_path, config=AlignerConfig())
    found = [align(audio, row.text, row.phonemes) for row, audio, _ in readings]
    assert all(f.sum() == truth.sum() and f.min() >= 1 for f, (_, _, truth) in zip(found, readings))
    even = share_within(readings, [evenly(truth) for _, _, truth in readings])
    learned = share_within(readings, found)
    assert learned > 0.75
    assert learned > even + 0.25


def test_trained_aligner_is_kept_for_the_same_rows(readings, tmp_path, monkeypatch):
    rows, few = [row for row, _, _ in readings[:6]], AlignerConfig(rounds=2)
    row, audio, _ = readings[0]
    first = LearnedAligner(rows, VOCAB, tmp_path, config=few)(audio, row.text, row.phonemes)

    def forbidden(*_):
        raise VoicecloneError("trained again")

    monkeypatch.setattr(aligner_module, "train_aligner", forbidden)
    again = LearnedAligner(rows, VOCAB, tmp_path, config=few)(audio, row.text, row.phonemes)
    assert again.tolist() == first.tolist()
    with pytest.raises(VoicecloneError, match="trained again"):
        LearnedAligner(rows[:5], VOCAB, tmp_path, config=few)(audio, row.text, row.phonemes)


def test_unreadable_rows_are_skipped_and_no_readable_row_is_an_error(readings, tmp_path):
    row, audio, _ = readings[0]
    missing = Row(path=tmp_path / "no.wav", speaker="a", text="x", phonemes="x", durations=None)
    align = LearnedAligner([missing], VOCAB, tmp_path)
    for _ in range(2):
        with pytest.raises(VoicecloneError, match="no utterance can be aligned"):
            align(audio, row.text, row.phonemes)
    both = LearnedAligner([missing, row], VOCAB, tmp_path, config=AlignerConfig(rounds=1))
    assert both(audio, row.text, row.phonemes).sum() == len(audio) // 600


def test_a_stress_mark_gets_frames_of_the_preceding_token():
    assert durations_with_stresses("aˈb", np.array([2.0, 6.0, 4.0, 3.0]), 15).tolist() == [2, 3, 3, 4, 3]
    with pytest.raises(ValueError, match="4 frames cannot hold 5 tokens"):
        durations_with_stresses("aˈb", np.array([1.0, 1.0, 1.0, 1.0]), 4)


def test_a_run_learns_its_alignment_and_given_refuses(spoken, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("voiceclone.base_training.recipe.resemblyzer_embed", lambda: None)
    monkeypatch.setattr("voiceclone.base_training.recipe.load_recognizer", lambda: None)
    data = tmp_path / "plain"
    shutil.copytree(spoken / "train", data)
    lines = [json.loads(line) for line in (data / "metadata.jsonl").read_text().splitlines()]
    plain = [{k: v for k, v in entry.items() if k != "durations"} for entry in lines]
    (data / "metadata.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in plain))
    command = ["train-base", "--data", str(data), "--preset", "tiny", "--out", str(tmp_path / "run"), "--quiet",
               "--steps", "1", "--surrogate-share", "1", "--voices", "1"]  # fmt: skip
    assert command_line.main([*command, "--alignment", "given"]) == 2
    assert "have no durations" in capsys.readouterr().err
    assert command_line.main([*command, "--alignment", "learned"]) == 0
    cache = tmp_path / "run" / "cache"
    assert (cache / "aligner.safetensors").is_file()
    index = json.loads((cache / "data-000-plain" / "index.json").read_text())
    assert len(index["utterances"]) == len(lines)
    assert (tmp_path / "run" / "base" / "model.safetensors").is_file()
    stamp = (cache / "data-000-plain" / "mel.npy").stat().st_mtime_ns
    assert command_line.main([*command, "--alignment", "learned", "--pack-only"]) == 0
    assert (cache / "data-000-plain" / "mel.npy").stat().st_mtime_ns == stamp
