"""Parts of the page without a browser: clips, events, the training process, mixes; and the message without gradio."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support import QUICK

from voiceclone import VoicePack
from voiceclone.bases.base import load_stock_voices
from voiceclone.cli.main import main
from voiceclone.data.metadata import read_dataset
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.tracking.tensorboard import TensorBoardTracker
from voiceclone.ui import shelf
from voiceclone.ui.clips import make_dataset, transcripts_of
from voiceclone.ui.desk import Desk
from voiceclone.ui.draft import DraftClip
from voiceclone.ui.events import EventReader
from voiceclone.ui.page import build_page
from voiceclone.ui.step_voice import _counted
from voiceclone.ui.studio import Studio
from voiceclone.ui.training import Training
from voiceclone.voice.library import own_voices
from voiceclone.voice.provenance import stored_provenance
from voiceclone.voice.space import KOKORO_SPACE


@pytest.fixture
def dropped(tmp_path: Path) -> list[str]:
    for name in ("b.wav", "a.flac", "c.mp3"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "b.txt").write_text("from a\n text file")
    (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "sub/a.flac", "text": "from metadata"}) + "\n\n")
    (tmp_path / "notes.pdf").write_bytes(b"ignored")
    return [str(path) for path in tmp_path.iterdir()]


def test_transcripts_come_from_metadata_and_text_files(dropped: list[str]) -> None:
    assert transcripts_of(dropped) == [("a.flac", "from metadata"), ("b.wav", "from a text file"), ("c.mp3", "")]
    assert transcripts_of([]) == []


def test_transcripts_come_from_tables_as_datasets_have_them(tmp_path: Path) -> None:
    (tmp_path / "v1.2_a.wav").touch()
    (tmp_path / "b.wav").touch()
    (tmp_path / "metadata.csv").write_text("v1.2_a|Come in.|ann\nwavs\\b.wav|Go out.|ann\n")
    assert transcripts_of(tmp_path.iterdir()) == [("b.wav", "Go out."), ("v1.2_a.wav", "Come in.")]


def test_a_dataset_has_clips_held_out_all_over_it(tmp_path: Path) -> None:
    clips = [(tmp_path / f"c{number:02d}.wav", f"text {number}") for number in range(12)]
    for path, text in clips:
        path.write_bytes(text.encode())
    folder = make_dataset(tmp_path / "made", clips)
    found = read_dataset(folder)
    assert [entry.name for entry in found["validation"]] == ["c02.wav", "c06.wav", "c10.wav"]
    assert len(found["train"]) == 9 and all(e.path.read_bytes() == e.text.encode() for e in found["train"])
    make_dataset(folder, clips[:4])  # what was there before is gone
    assert [len(read_dataset(folder)[split]) for split in ("train", "validation")] == [3, 1]
    with pytest.raises(UsageError, match="2 clips with a text are too few"):
        make_dataset(tmp_path / "none", clips[:2])
    assert not (tmp_path / "none").exists()


def test_bad_drops_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text("{broken")
    with pytest.raises(UsageError, match=r"metadata.jsonl line 1"):
        transcripts_of([tmp_path / "metadata.jsonl"])
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.wav").touch()
    with pytest.raises(UsageError, match=r"two clips are called a.wav"):
        transcripts_of([tmp_path / "x" / "a.wav", tmp_path / "y" / "a.wav"])


def test_events_are_read_as_they_are_written(tmp_path: Path) -> None:
    reader = EventReader(tmp_path)
    assert reader.read().losses == ()
    tracker = TensorBoardTracker(tmp_path)
    tracker.scalars({"train/loss": 2.0, "val/loss": 3.0, "train/epoch": 1.0}, 1)
    assert set(reader.read().losses) == {(1, 2.0, "training"), (1, 3.0, "validation")}
    tone = np.linspace(-0.5, 0.5, 2400, dtype=np.float32)
    for step, level in ((1, 0.1), (5, 1.0)):
        tracker.scalars({"train/loss": float("nan")}, step)
        tracker.audio("audio/clone", level * tone, step)
        tracker.image("mel/target_and_clone", np.full((4, 6, 3), 10 * step, np.uint8), step)
    tracker.close()
    snapshot = reader.read()
    assert snapshot.epochs == 1 and len(snapshot.losses) == 2 and snapshot.clone_step == 5 and snapshot.target is None
    rate, samples = snapshot.clone
    assert rate == 24000 and samples.dtype == np.int16 and abs(int(samples.max()) - 16384) < 50
    assert snapshot.mel.shape == (4, 6, 3) and (snapshot.mel == 50).all()


def test_events_of_an_older_run_are_not_shown(tmp_path: Path) -> None:
    tracker = TensorBoardTracker(tmp_path)
    tracker.scalars({"train/loss": 2.0}, 1)
    tracker.close()
    assert EventReader(tmp_path, since=time.time() + 1).read().losses == ()
    assert len(EventReader(tmp_path).read().losses) == 1


def test_a_training_that_cannot_begin_says_why(tmp_path: Path) -> None:
    training = Training()
    assert not training.running and training.snapshot().mel is None
    training.start(["--data", str(tmp_path / "none")], tmp_path / "v" / "v.pt")
    with pytest.raises(UsageError, match="a training is going on"):
        training.start([], tmp_path / "v.pt")
    deadline = time.monotonic() + 400
    while training.running and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not training.succeeded and training.lines()[-1].startswith("error:")
    assert "no such dataset folder" in training.lines()[-1]
    training.close()
    assert training.lines() == []


def test_what_is_stopped_before_it_begins_does_not_begin(tmp_path: Path) -> None:
    training = Training()
    training.stop()
    training.start(["--data", str(tmp_path)], tmp_path / "v" / "v.pt")
    assert not training.running and not training.succeeded and training.stopped


@pytest.mark.slow
def test_a_stopped_training_keeps_its_epochs(tmp_path: Path, base_folder: Path, dataset_folder: Path) -> None:
    training = Training()
    voice = tmp_path / "v" / "v.pt"
    arguments = ["--data", str(dataset_folder), "--base", str(base_folder), "--name", "v", "--out", str(tmp_path)]
    training.start(
        [*arguments, "--epochs-projection", "5000", "--device", "cpu", "--offline", "--without", QUICK], voice
    )
    deadline = time.monotonic() + 300
    while not training.snapshot().losses and time.monotonic() < deadline:
        assert training.running, training.lines()
        time.sleep(0.2)
    assert training.snapshot().losses
    training.stop()
    lines = "\n".join(training.lines())
    assert not training.running and "--resume" in lines and "Traceback" not in lines and not voice.exists()
    training.close()


@pytest.fixture
def studio(tmp_path: Path, base_folder: Path) -> Studio:
    voice = load_stock_voices(base_folder)["stock_1"]
    voice.save(tmp_path / "anna" / "anna.pt")
    voice.save(tmp_path / "anna" / "anna_artifacts.pt")
    return Studio(tmp_path, base=str(base_folder), offline=True)


def test_voices_are_the_finished_ones_and_the_stock_ones(studio: Studio, tmp_path: Path, base_folder: Path) -> None:
    assert studio.own_voices() == [str(tmp_path / "anna" / "anna.pt")]
    assert studio.all_voices() == [str(tmp_path / "anna" / "anna.pt"), *load_stock_voices(base_folder)]


def test_sliders_say_how_much_of_the_second_voice_each_half_has(studio: Studio, base_folder: Path) -> None:
    stock = load_stock_voices(base_folder)
    mixed = studio.mix(("stock_0", "stock_2"), 0.25, 1.0)
    torch.testing.assert_close(mixed.acoustic, 0.75 * stock["stock_0"].acoustic + 0.25 * stock["stock_2"].acoustic)
    assert torch.equal(mixed.prosodic, stock["stock_2"].prosodic)
    assert torch.equal(studio.mix(("stock_0", "stock_0"), 0.3, 0.7).tensor, stock["stock_0"].tensor)


def test_voices_in_other_programs_files_are_taken_by_their_path(studio: Studio, tmp_path: Path) -> None:
    from voiceclone.voice.formats import write_voices

    stock = load_stock_voices(studio.base)
    write_voices(tmp_path / "two.bin", {"a": stock["stock_0"], "b": stock["stock_2"]}, "bin")
    mixed = studio.mix((f"{tmp_path / 'two.bin'}:a", f"{tmp_path / 'two.bin'}:b"), 1.0, 0.0)
    assert torch.equal(mixed.acoustic, stock["stock_2"].acoustic)
    assert torch.equal(mixed.prosodic, stock["stock_0"].prosodic)
    for one, other in ((f"{tmp_path / 'two.bin'}:a", "stock_0"), ("stock_0+stock_2", "0.5*stock_0 + 0.5*stock_2")):
        assert np.array_equal(studio.speak("Hi.", one)[1], studio.speak("Hi.", other)[1])


def test_a_mix_is_saved_once_and_under_a_proper_name(studio: Studio, tmp_path: Path) -> None:
    path = studio.save_mix("half", ("stock_0", str(tmp_path / "anna" / "anna.pt")), 0.5, 0.5)
    assert path == tmp_path / "half" / "half.pt" and VoicePack.load(path)
    with pytest.raises(UsageError, match="already"):
        studio.save_mix("half", ("stock_0", "stock_1"), 0.5, 0.5)
    with pytest.raises(UsageError, match="name="):
        studio.save_mix("../evil", ("stock_0", "stock_1"), 0.5, 0.5)


def test_voices_of_two_bases_are_not_mixed(studio: Studio, tmp_path: Path) -> None:
    for name, kind in (("x", "nano"), ("y", "kokoro")):
        load_stock_voices(studio.base)["stock_0"].save(tmp_path / name / f"{name}.pt")
        (tmp_path / name / "report.json").write_text(json.dumps({"name": name, "base": {"kind": kind}}))
    with pytest.raises(UsageError, match="voices of two bases cannot be mixed"):
        studio.mix((str(tmp_path / "x" / "x.pt"), str(tmp_path / "y" / "y.pt")), 0.5, 0.5)


def test_a_mix_remembers_the_custom_base_of_its_voices(studio: Studio, tmp_path: Path, base_folder: Path) -> None:
    """The page speaks with the mix on that base, though its own is another one."""
    report = {"name": "anna", "consent": "Anna agrees.", "base": {"kind": "custom", "name": "tiny", "sha256": "x"}}
    (tmp_path / "anna" / "report.json").write_text(json.dumps(report))
    (tmp_path / "anna" / "config.json").write_text(json.dumps({"base": str(base_folder)}))
    other = Studio(tmp_path, base="nano", offline=True)
    anna = str(tmp_path / "anna" / "anna.pt")
    mix = str(other.save_mix("half", (anna, "stock_0"), 0.5, 0.25))
    assert other.base_of(mix) == str(base_folder)
    known = next(voice for voice in own_voices(tmp_path) if voice.name == "half")
    assert (known.kind, known.base, known.base_kind) == ("other", "tiny", "custom") and not known.fits(KOKORO_SPACE)
    facts = stored_provenance(Path(mix))["half"]
    assert facts["consent"] == "Anna agrees." and str(tmp_path) not in str(facts)
    assert facts["source"] == "timbre(0.5*anna + 0.5*stock_0) + prosody(0.75*anna + 0.25*stock_0)"
    renamed = shelf.rename(other, mix, "quarter")
    assert other.base_of(str(renamed)) == str(base_folder)


def test_clips_of_a_voice_are_those_of_its_dataset(studio: Studio, tmp_path: Path, dataset_folder: Path) -> None:
    voice = str(tmp_path / "anna" / "anna.pt")
    assert studio.clips_of(voice) == []
    (tmp_path / "anna" / "config.json").write_text(json.dumps({"data": str(dataset_folder)}))
    clips = studio.clips_of(voice)
    assert len(clips) == 4 and clips[0] == (str(dataset_folder / "train" / "clip_0.wav"), "hello there my friend")


def test_a_base_is_loaded_once_under_each_of_its_names(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """``auto`` and the name that the report of a voice gives are one base."""
    loaded: list[str] = []

    def load(which: str, offline: bool) -> SimpleNamespace:
        loaded.append(which)
        return SimpleNamespace(kind={"auto": "kokoro"}.get(which, which))

    monkeypatch.setattr("voiceclone.bases.base.load_base", load)
    planned = iter(["auto", "kokoro", "kokoro", "nano", "kokoro", "own", "kokoro", "nano"])
    monkeypatch.setattr("voiceclone.bases.stock_names.planned_base", lambda which, offline: next(planned))
    for _ in range(8):
        studio.load_base("any")
    assert loaded == ["auto", "nano", "own", "nano"]  # two are kept


def test_a_voice_that_fits_several_bases_is_spoken_on_the_pages_own(tmp_path: Path, studio: Studio) -> None:
    anna = str(tmp_path / "anna" / "anna.pt")
    for kind, space, expected in (("nano", KOKORO_SPACE, studio.base), ("kokoro", KOKORO_SPACE, "kokoro")):
        report = {"name": "anna", "base": {"kind": kind, "name": kind, "voice_space": space}}
        (tmp_path / "anna" / "report.json").write_text(json.dumps(report))
        assert studio.base_of(anna) == expected


def test_the_base_is_loaded_from_the_first_clip_on(studio: Studio, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("gradio", reason="gradio is not installed: pip install '.[ui]'")
    loaded: list[str] = []
    monkeypatch.setattr(Studio, "load_base", lambda self, which: loaded.append(which) or pytest.fail("not to be used"))
    monkeypatch.setattr(threading.Thread, "start", lambda thread: loaded.append(thread.name))
    desk = SimpleNamespace(studio=studio)
    draft = SimpleNamespace(clips=[])
    _counted(desk, draft)
    assert loaded == []
    draft.clips = [DraftClip(file="a.wav", label="a", seconds=2.0)]
    for _ in range(2):
        _counted(desk, draft)
    assert loaded == ["voiceclone-warm-up"]


@pytest.mark.parametrize(("planned", "loads"), [("kokoro", 1), ("auto", 0)])
def test_nothing_is_fetched_ahead(studio: Studio, monkeypatch, planned: str, loads: int) -> None:
    loaded: list[str] = []

    def load(which: str) -> None:
        loaded.append(which)
        raise VoicecloneError("damaged")  # told to the visitor who needs it, not here

    monkeypatch.setattr(studio, "load_base", load)
    monkeypatch.setattr("voiceclone.bases.stock_names.planned_base", lambda which, offline: planned)
    studio._warm_up()
    assert len(loaded) == loads


def test_speech_is_16_bit(studio: Studio) -> None:
    rate, samples = studio.speak("Good morning.", "stock_1")
    assert rate == 24000 and samples.dtype == np.int16 and len(samples) > 2400
    with pytest.raises(UsageError, match="empty"):
        studio.speak("  ", "stock_1")


def test_unspeakable_text_is_reported(studio: Studio) -> None:
    told: list[str] = []
    studio.warn = told.append
    studio.speak("Good morning, мой friend.", "stock_1")
    assert len(told) == 1 and "'мой'" in told[0]


def test_without_gradio_one_line_says_how_to_get_it(monkeypatch, capsys) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["ui"]) == 1
    assert "needs gradio, which is not installed: pip install '.[ui]' in a checkout" in capsys.readouterr().err
    assert main(["ui", "--port", "70000"]) == 2


def test_an_old_gradio_is_refused_in_one_line(monkeypatch, capsys) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr("importlib.metadata.version", lambda name: "4.44.1")
    assert main(["ui"]) == 1
    assert "needs gradio 6, and 4.44.1 is installed: pip install" in capsys.readouterr().err


def test_the_page_sends_no_telemetry(studio: Studio, monkeypatch) -> None:
    """No statistics, no version check, no history in the browser, no upload button for audio."""
    pytest.importorskip("gradio", reason="gradio is not installed: pip install '.[ui]'")
    for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_RUN_HISTORY"):
        monkeypatch.setenv(name, "True")
    desk = Desk.of(studio)
    page = build_page(desk)
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == os.environ["GRADIO_RUN_HISTORY"] == "False"
    assert page.analytics_enabled is False
    assert not any("share" in (getattr(part, "buttons", None) or []) for part in page.blocks.values())
    desk.close()


def test_a_page_for_others_takes_no_folders_of_this_machine(studio: Studio) -> None:
    pytest.importorskip("gradio", reason="gradio is not installed: pip install '.[ui]'")
    for local in (True, False):
        desk = Desk.of(studio, local=local)
        ids = {part.elem_id for part in build_page(desk).blocks.values()}
        assert ("folder" in ids) is local
        desk.close()
