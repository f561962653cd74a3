import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone.data.dataset import TooLittleData, hold_out, load_dataset
from voiceclone.errors import UsageError

SPEECH = Path(__file__).parents[2].parent / "shared" / "data" / "speech"
REAL = sorted(path.parents[1] for path in SPEECH.glob("*_*/train/metadata.jsonl"))


@pytest.fixture
def load(vocab):
    def load(root, **settings):
        return load_dataset(root, vocab=vocab, **settings)

    return load


def test_clips_report_and_progress(builder, load):
    builder.split("train", 4)
    builder.split("validation", 2, seed=100)
    seen = []
    dataset = load(builder.root, progress=lambda done, total: seen.append((done, total)))
    assert [clip.name for clip in dataset.train] == ["000.wav", "001.wav", "002.wav", "003.wav"]
    assert [clip.split for clip in dataset.validation] == ["validation"] * 2
    first = dataset.train[0]
    assert first.path.is_file() and first.seconds == 2.0 and first.text == builder.texts[0]
    assert first.phonemes == "ðə bˈOt wˈɛnt ˈWt tə sˈi."
    assert seen == [(number, 6) for number in range(1, 7)]
    report = json.loads(json.dumps(dataset.report, allow_nan=False))
    assert report["summary"]["kept"] == {"train": 4, "validation": 2}
    assert {row["status"] for row in report["clips"]} == {"kept"}
    assert not any("held out" in notice for notice in dataset.notices)


def test_a_transcript_that_cannot_be_read_whole_is_refused_with_its_reason(builder, load):
    builder.split("train", 6)
    path = builder.root / "train/metadata.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[1]["text"] = "She said 你好 in the garden."
    rows[2]["text"] = "Old boats and new boats. " * 40
    rows[3]["text"] = "… — !"
    builder.lines("train", rows)
    report = {row["name"]: row["reason"] for row in load(builder.root).report["clips"] if row["reason"]}
    assert report["001.wav"].startswith("not speakable: American English (language a) cannot read the script of '你好'")
    assert report["002.wav"].startswith("transcript too long: ")
    assert report["003.wav"].startswith("not speakable: ")
    assert len(report) == 3


def test_symbols_that_the_model_does_not_know_are_said(builder, load):
    builder.split("train", 4)
    path = builder.root / "train/metadata.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["text"] = "The [boat](/bˈʘt/) went out to sea."
    builder.lines("train", rows)
    assert any("symbols 'ʘ', left out of 1 transcripts" in notice for notice in load(builder.root).notices)


def test_bad_clips_are_skipped_with_their_reasons(builder, load):
    builder.split("train", 4)
    builder.clip("train/short.wav", builder.speech_like(0.3))
    builder.clip("train/twin.wav", seed=1)
    builder.clip("train/mute.wav", seed=9)
    lines = (builder.root / "train/metadata.jsonl").read_text()
    rows = [json.loads(line) for line in lines.splitlines()] + [
        {"file_name": "short.wav", "text": "Hello."},
        {"file_name": "missing.wav", "text": "Hello."},
        {"file_name": "./000.wav", "text": "The boat went out to sea."},
        {"file_name": "twin.wav", "text": "She sings in the garden."},
        {"file_name": "mute.wav", "text": " "},
    ]
    builder.lines("train", rows)
    dataset = load(builder.root)
    report = {row["name"]: row for row in dataset.report["clips"]}
    assert len(dataset.train) + len(dataset.validation) == 4
    assert {name: row["reason"].split(": ")[0] for name, row in report.items() if row["reason"]} == {
        "short.wav": "too short",
        "missing.wav": "unreadable",
        "./000.wav": "duplicate",
        "twin.wav": "duplicate",
        "mute.wav": "no transcript",
    }
    assert report["twin.wav"]["reason"].endswith("train/001.wav")
    assert dataset.report["summary"]["skipped_reasons"]["duplicate"] == 2
    assert any("5 of 9 clips skipped" in notice for notice in dataset.notices)


def test_a_file_that_is_listed_again_with_a_better_text_is_used(builder, load):
    builder.split("train", 4)
    rows = [json.loads(line) for line in (builder.root / "train/metadata.jsonl").read_text().splitlines()]
    builder.lines("train", [{**rows[0], "text": ""}, *rows, rows[0]])
    first, better, *_, again = load(builder.root).report["clips"]
    assert first["reason"].startswith("no transcript") and better["status"] == "kept"
    assert again["reason"] == "duplicate: the same file as train/000.wav"


def test_without_validation_a_tenth_is_held_out_and_said(builder, load):
    builder.split("", 12)
    dataset = load(builder.root, seed=3)
    assert (len(dataset.train), len(dataset.validation)) == (11, 1)
    assert any("held out" in notice and "seed 3" in notice for notice in dataset.notices)
    assert load(builder.root, seed=3).validation == dataset.validation
    others = {load(builder.root, seed=seed).validation[0].name for seed in range(4)}
    assert len(others) > 1
    by_name = {row["name"]: row["split"] for row in dataset.report["clips"]}
    assert by_name[dataset.validation[0].name] == "validation"


def test_a_validation_split_of_bad_clips_is_replaced(builder, load):
    builder.split("train", 5)
    builder.lines("validation", [{"file_name": "missing.wav", "text": "Hello."}])
    dataset = load(builder.root)
    assert (len(dataset.train), len(dataset.validation)) == (4, 1)
    assert any("no usable clip in validation/" in notice for notice in dataset.notices)


def test_too_little_stops_with_how_much_and_why(builder, load):
    builder.split("train", 2)
    builder.clip("train/short.wav", builder.speech_like(0.3))
    rows = [{"file_name": f"{name}.wav", "text": "Hello there, my friend."} for name in ("000", "001", "short")]
    builder.lines("train", rows)
    with pytest.raises(TooLittleData) as caught:
        load(builder.root)
    message = str(caught.value)
    assert "2 of 3 clips are usable" in message and "1 too short" in message and "\n" not in message
    assert [row["status"] for row in caught.value.report["clips"]] == ["kept", "kept", "skipped"]
    assert caught.value.exit_code == 1


def test_all_bad_stops(builder, load):
    builder.lines("train", [{"file_name": "a.wav", "text": "x"}, {"file_name": "b.wav", "text": "x"}])
    with pytest.raises(TooLittleData, match="0 of 2 clips.*2 unreadable.*a.wav"):
        load(builder.root)


def test_the_language_is_checked_before_the_clips(builder, load):
    with pytest.raises(UsageError, match="unknown language"):
        load(builder.root, lang="q")


def test_the_fingerprint_follows_names_texts_and_audio_only(builder, load, tmp_path):
    builder.split("train", 4)
    builder.split("validation", 1, seed=50)
    first = load(builder.root).fingerprint
    shutil.copytree(builder.root, tmp_path / "copy")
    assert load(tmp_path / "copy").fingerprint == first
    builder.clip("train/001.wav", seed=77)
    changed_audio = load(builder.root).fingerprint
    lines = (tmp_path / "copy/train/metadata.jsonl").read_text()
    (tmp_path / "copy/train/metadata.jsonl").write_text(lines.replace("sea", "shore"))
    changed_text = load(tmp_path / "copy").fingerprint
    assert len({first, changed_audio, changed_text}) == 3
    assert len(first) == 64


@settings(max_examples=60, deadline=None)
@given(names=st.lists(st.text(max_size=6), unique=True, max_size=40), seed=st.integers(0, 2**32), data=st.data())
def test_holding_out(names, seed, data):
    state = np.random.get_state()[1].copy()
    held = hold_out(names, seed)
    assert held == hold_out(data.draw(st.permutations(names)), seed)
    assert held <= set(names)
    assert len(held) == (max(1, round(0.1 * len(names))) if len(names) > 1 else 0)
    assert np.array_equal(np.random.get_state()[1], state)


@pytest.mark.skipif(not REAL, reason="needs the recordings in ../shared/data/speech")
@pytest.mark.parametrize("root", REAL, ids=[path.name for path in REAL])
def test_real_recordings_are_all_kept(load, root):
    dataset = load(root)
    assert dataset.report["summary"]["skipped"] == 0
    assert dataset.train and dataset.validation


def test_narrow_bandwidth_is_reported_once_and_stored_with_the_clips(builder, vocab):
    rows = []
    for index in range(4):
        builder.clip(f"{index}.wav", builder.speech_like(2.0, 16_000, seed=index), rate=16_000)
        rows.append({"file_name": f"{index}.wav", "text": builder.texts[index]})
    builder.lines("", rows)
    found = load_dataset(builder.root, vocab=vocab)
    assert {clip.bandwidth_hz for clip in (*found.train, *found.validation)} == {8_000.0}
    assert sum("4 of 4 clips hold no speech above 8.0 kHz" in notice for notice in found.notices) == 1
    assert found.report["clips"][0]["bandwidth_hz"] == 8_000.0
    json.dumps(found.report, allow_nan=False)


def test_a_few_seconds_of_speech_are_warned_of(builder, load):
    builder.split("train", 4)
    builder.split("validation", 1, seed=100)
    assert any("only 8 s of speech to learn from" in notice for notice in load(builder.root).notices)
    builder.split("train", 10)
    assert not any("to learn from" in notice for notice in load(builder.root).notices)
