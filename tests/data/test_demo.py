import json

import pytest
import soundfile

from voiceclone.data.dataset import load_dataset
from voiceclone.data.demo import SENTENCES, make_demo_dataset
from voiceclone.errors import UsageError


def contents(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_every_clip_of_the_largest_set_is_fit(tmp_path, vocab):
    root = make_demo_dataset(tmp_path / "demo", clips=len(SENTENCES))
    dataset = load_dataset(root, vocab=vocab)
    assert dataset.report["summary"]["kept"] == {"train": 20, "validation": 4}
    assert dataset.report["summary"]["skipped"] == 0
    assert {row["sample_rate"] for row in dataset.report["clips"]} == {24_000}
    lengths = [clip.seconds for clip in dataset.train]
    assert min(lengths) > 1.0 and max(lengths) > 2 * min(lengths)
    warned = [row for row in dataset.report["clips"] if row.get("warnings")]
    assert not warned, "a newcomer's first run warns of what this program spoke itself"


def test_the_file_set(tmp_path):
    root = make_demo_dataset(tmp_path / "new" / "demo", clips=4)
    assert sorted(contents(root)) == [
        "demo.json",
        "train/clip_001.wav",
        "train/clip_002.wav",
        "train/clip_003.wav",
        "train/metadata.jsonl",
        "validation/clip_004.wav",
        "validation/metadata.jsonl",
    ]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["demo"]
    info = soundfile.info(root / "train/clip_001.wav")
    assert (info.samplerate, info.channels, info.subtype) == (24_000, 1, "PCM_16")


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    first = contents(make_demo_dataset(tmp_path / "a", clips=4, voice="en-us+f3"))
    assert contents(make_demo_dataset(tmp_path / "b", clips=4, voice="en-us+f3")) == first
    assert contents(make_demo_dataset(tmp_path / "c", clips=4, voice="en-us+f3", seed=1)) != first


def test_the_same_set_is_left_and_another_demo_set_replaced(tmp_path):
    root = make_demo_dataset(tmp_path / "demo", clips=4)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    make_demo_dataset(root, clips=4)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    make_demo_dataset(root, clips=5)
    assert len(list(root.rglob("*.wav"))) == 5
    assert json.loads((root / "demo.json").read_text())["settings"]["clips"] == 5


def test_foreign_files_are_safe(tmp_path):
    root = make_demo_dataset(tmp_path / "demo", clips=4)
    (root / "mine.txt").write_text("mine")
    (root / "train/clip_001.wav").unlink()
    with pytest.raises(UsageError, match="holds other files"):
        make_demo_dataset(root, clips=4)
    make_demo_dataset(root, clips=4, overwrite=True)
    assert (root / "mine.txt").read_text() == "mine"
    assert (root / "train/clip_001.wav").is_file()


@pytest.mark.parametrize("settings", [{"clips": 3}, {"clips": 25}, {"voice": "nonsense"}])
def test_bad_settings_leave_nothing(tmp_path, settings):
    with pytest.raises(UsageError):
        make_demo_dataset(tmp_path / "demo", **settings)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_said(tmp_path):
    (tmp_path / "demo").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        make_demo_dataset(tmp_path / "demo")


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "demo").mkdir()
    root = make_demo_dataset(tmp_path / "demo", clips=4)
    assert (root / "validation/clip_004.wav").is_file()
