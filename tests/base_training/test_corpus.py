"""Reading, validation and caching of the corpus."""

import dataclasses
import json
import os
import shutil
import tracemalloc

import numpy as np
import pytest

from voiceclone.alignment.learned import LearnedAligner
from voiceclone.audio.io import read_audio, write_wav
from voiceclone.base_training import corpus as corpus_module
from voiceclone.base_training.base_aligner import aligner_of
from voiceclone.base_training.caches import Preparation, prepare_caches
from voiceclone.base_training.corpus import Corpus, Utterance, prepare_corpus
from voiceclone.base_training.finetuned_base import find_finetuned_base
from voiceclone.data.rows import Row, read_rows
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.models.presets import tiny_config


def test_synthesised_rows_have_durations_and_phonemes(spoken):
    rows = read_rows([spoken / "train"])
    assert len({row.speaker for row in rows}) == 2
    assert all(len(row.durations) == len(row.phonemes) + 2 for row in rows)
    kept_out = {row.speaker for row in read_rows([spoken / "heldout"])}
    assert kept_out.isdisjoint({row.speaker for row in rows})


def test_features_fit_each_other(corpus):
    for index, utterance in enumerate(corpus.utterances):
        frames = int(corpus.frames[index])
        assert frames == sum(utterance.durations)
        assert corpus.audio(index).shape == (600 * frames,)
        assert corpus.mel(index).shape == (80, 2 * frames)
        assert corpus.f0(index).shape == corpus.energy(index).shape == (2 * frames,)
        assert len(utterance.tokens) == len(utterance.durations)
    part = corpus.audio(3, 5, 4)
    assert np.array_equal(part, corpus.audio(3)[3000:5400])


def test_cache_is_reused_for_the_same_rows_alone(spoken, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(corpus_module, "track_f0", lambda audio: calls.append(1) or np.zeros(1 + len(audio) // 300))
    rows = read_rows([spoken / "train"])[:3]
    vocab = tiny_config()["vocab"]
    prepare_corpus(rows, tmp_path, vocab)
    assert len(calls) == 3
    assert len(prepare_corpus(rows, tmp_path, vocab).utterances) == 3
    assert len(calls) == 3
    prepare_corpus(rows[:2], tmp_path, vocab)
    assert len(calls) == 5


@pytest.fixture
def two_rows(spoken, tmp_path):
    """Two recordings of their own, as WAV files."""
    rows = []
    for number, row in enumerate(read_rows([spoken / "train"])[:2]):
        write_wav(tmp_path / f"{number}.wav", read_audio(row.path))
        rows.append(dataclasses.replace(row, path=tmp_path / f"{number}.wav"))
    return rows


def levelled(row):
    """Change a WAV file in place, which keeps its size, some time after it was written."""
    before = row.path.stat()
    write_wav(row.path, 0.5 * read_audio(row.path))
    os.utime(row.path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
    assert row.path.stat().st_size == before.st_size


def moved_boundary(durations):
    longest = int(np.argmax(durations))
    other = (longest + 1) % len(durations)
    return tuple(d + {longest: -1, other: 1}.get(i, 0) for i, d in enumerate(durations))


@pytest.mark.parametrize("changed", ["audio", "phonemes", "speaker", "durations"])
def test_features_are_computed_again_where_what_they_come_from_has_changed(two_rows, tmp_path, changed):
    vocab, row = tiny_config()["vocab"], two_rows[0]
    before = prepare_corpus(two_rows, tmp_path / "cache", vocab)
    louder = float(np.abs(before.audio(0)).max())
    if changed == "audio":
        levelled(row)
    other = {
        "audio": {},
        "phonemes": {"phonemes": row.phonemes[::-1]},
        "speaker": {"speaker": "somebody else"},
        "durations": {"durations": moved_boundary(row.durations)},
    }[changed]
    after = prepare_corpus([dataclasses.replace(row, **other), two_rows[1]], tmp_path / "cache", vocab)
    if changed == "audio":
        assert float(np.abs(after.audio(0)).max()) == pytest.approx(0.5 * louder, rel=0.01)
    for name, value in other.items():
        assert getattr(after.utterances[0], name) == value


def test_another_language_is_phonemised_anew(spoken, tmp_path, monkeypatch):
    """``--lang a``, and then ``--lang f`` into the same folder."""
    said = {"a": "abc", "f": "def"}
    monkeypatch.setattr(
        "voiceclone.base_training.caches._phonemizer", lambda config: lambda text: said[config.language]
    )
    write_wav(tmp_path / "a.wav", 0.1 * np.sin(np.arange(12_000) / 20))
    row = {"file_name": "a.wav", "text": "x", "durations": [4, 4, 4, 4, 4]}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    for language in ("a", "f", "a"):
        config = Preparation(vocab=tiny_config()["vocab"], language=language)
        prepare_caches([(tmp_path, tmp_path / "cache")], [], tmp_path / "aligner", config)
        assert Corpus([tmp_path / "cache"]).utterances[0].phonemes == said[language]


def test_a_learned_aligner_is_of_its_recordings_and_its_language(two_rows, tmp_path):
    pytest.importorskip("monotonic_alignment_search")
    texts = [dataclasses.replace(row, phonemes=None, durations=None) for row in two_rows]

    def key(rows, language):
        return LearnedAligner(rows, tiny_config()["vocab"], tmp_path, language=language).key

    first = key(texts, "a")
    assert key(texts, "a") == first != key(texts, "f")
    assert key(two_rows, "a") == key(two_rows, "f")  # its phonemes are given
    levelled(texts[0])
    assert key(texts, "a") != first


def test_the_bases_aligner_knows_whether_it_compared_phones():
    base = find_finetuned_base("nano")
    assert aligner_of(base, "a").key == aligner_of(base, "b").key != aligner_of(base, "f").key


def test_the_hash_of_the_audio_follows_the_audio_and_not_its_place(two_rows, tmp_path):
    vocab = tiny_config()["vocab"]
    first = prepare_corpus(two_rows, tmp_path / "cache", vocab).audio_sha256
    elsewhere = [
        dataclasses.replace(row, path=shutil.copy(row.path, tmp_path / f"copy of {row.path.name}")) for row in two_rows
    ]
    assert prepare_corpus(elsewhere, tmp_path / "other", vocab).audio_sha256 == first
    levelled(elsewhere[1])
    assert prepare_corpus(elsewhere, tmp_path / "other", vocab).audio_sha256 != first


def test_folder_name_is_the_speaker_where_no_column_is(tmp_path):
    folder = tmp_path / "ann" / "train"
    folder.mkdir(parents=True)
    (folder / "metadata.jsonl").write_text(json.dumps({"file_name": "a.wav", "text": "Hello."}) + "\n")
    assert read_rows([tmp_path / "ann"])[0].speaker == "ann"


@pytest.mark.parametrize(
    "line", ["{", '{"text": "no file"}', "[1]", '{"file_name": "a", "text": "b", "durations": ["x"]}']
)
def test_broken_metadata_names_the_line(tmp_path, line):
    (tmp_path / "metadata.jsonl").write_text(line + "\n")
    with pytest.raises(VoicecloneError, match="metadata.jsonl line 1: "):
        read_rows([tmp_path])


def test_tables_and_their_speakers_are_read_as_for_a_clone(tmp_path):
    write_wav(tmp_path / "wavs" / "v1.2_a.wav", 0.1 * np.ones(6000))
    (tmp_path / "metadata.csv").write_text("v1.2_a|Come in.|ann\nv1.2_a|Go out.|ann\n")
    assert [(row.path.name, row.text, row.speaker) for row in read_rows([tmp_path])] == [
        ("v1.2_a.wav", "Come in.", "ann"), ("v1.2_a.wav", "Go out.", "ann")
    ]  # fmt: skip


def test_a_file_outside_the_dataset_is_refused(tmp_path):
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "../a.wav", "text": "x"}\n')
    with pytest.raises(VoicecloneError, match="leaves the dataset folder"):
        read_rows([tmp_path])


def test_a_file_shorter_than_its_header_says_is_skipped(tmp_path, caplog):
    write_wav(tmp_path / "a.wav", 0.1 * np.ones(24_000))
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:-24_000])
    row = {"file_name": "a.wav", "text": "x", "phonemes": "abc", "durations": [2, 6, 6, 6]}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(VoicecloneError, match="no utterance"):
        prepare_corpus(read_rows([tmp_path]), tmp_path / "cache", tiny_config()["vocab"])
    assert "shorter than its header says" in caplog.text


def test_missing_metadata_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="metadata.jsonl"):
        read_rows([tmp_path])


def test_rows_that_do_not_fit_are_skipped_and_none_left_is_an_error(tmp_path):
    write_wav(tmp_path / "a.wav", 0.1 * np.ones(6000))
    row = {"file_name": "a.wav", "text": "x", "phonemes": "abc", "durations": [1, 2, 3]}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(VoicecloneError, match="no utterance"):
        prepare_corpus(read_rows([tmp_path]), tmp_path / "cache", tiny_config()["vocab"])


def test_features_go_to_disk_as_they_are_made(tmp_path, monkeypatch):
    """40 utterances of 1.2 MB: a corpus in memory would exceed the limit."""
    rng = np.random.default_rng(0)
    made = []

    def features(row, vocab, log_mel, phonemize, align, start):
        frames = 1000
        utterance = Utterance(
            name=row.path.name, speaker="a", phonemes="a", tokens=(0, 1, 0), durations=(frames - 2, 1, 1), start=start
        )
        mel = np.round(rng.standard_normal((2 * frames, 80)), 2).astype(np.float32)
        made.append(float(mel[5, 7]))
        return utterance, {
            "audio": np.full(600 * frames, len(made)), "mel": mel, "f0": np.full(2 * frames, 100.0),
            "energy": np.zeros(2 * frames),
        }  # fmt: skip

    monkeypatch.setattr(corpus_module, "_features", features)
    rows = [Row(path=tmp_path / f"{i}.wav", speaker="a", text="a", phonemes="a", durations=None) for i in range(40)]
    tracemalloc.start()
    try:
        corpus = prepare_corpus(rows, tmp_path / "cache", {"a": 1})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 25e6  # one utterance as float64 audio and float32 mel, plus memory of the standard library
    assert [float(corpus._arrays[0]["mel"][2000 * i + 5, 7]) for i in range(40)] == [np.float16(v) for v in made]
    assert [round(float(corpus.audio(i)[0]) * 32767) for i in range(40)] == list(range(1, 41))
    assert {p.name for p in (tmp_path / "cache").iterdir()} == {
        "audio.npy", "mel.npy", "f0.npy", "energy.npy", "index.json"
    }  # fmt: skip


def test_no_usable_utterance_leaves_an_older_cache_alone(tmp_path, monkeypatch):
    def unusable(*_):
        raise VoicecloneError("made for this test")

    (tmp_path / "mel.npy").write_bytes(b"older")
    monkeypatch.setattr(corpus_module, "_features", unusable)
    with pytest.raises(VoicecloneError, match="no utterance"):
        prepare_corpus(
            [Row(path=tmp_path / "0.wav", speaker="a", text="a", phonemes="a", durations=None)], tmp_path, {}
        )
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("mel.npy", b"older")]
