"""A voice without training: complete output, usable by other commands, and clear errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from voiceclone.audio.io import read_audio, write_wav
from voiceclone.bases.base import load_base
from voiceclone.cli.main import main
from voiceclone.cloning import zero_shot as module
from voiceclone.cloning.zero_shot import PIECE_SECONDS, pieces_of, zero_shot
from voiceclone.cloning.zero_shot_config import ZeroShotConfig
from voiceclone.data.metadata import read_train
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.models.presets import NANO_FOLDER
from voiceclone.style.extraction import extract_styles
from voiceclone.tracking.progress import Reporter
from voiceclone.voice.library import own_voices
from voiceclone.voice.origin import base_for
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.profile import REFERENCE_ROW
from voiceclone.voice.space import KOKORO_SPACE


def made(out: Path, *clips: Path, **settings) -> Path:
    return zero_shot(
        ZeroShotConfig(clips=clips, out=out, **{"base": "nano", "offline": True, **settings}), Reporter(verbosity=0)
    )


@pytest.fixture(scope="module")
def clip(dataset_folder: Path) -> Path:
    return read_train(dataset_folder)[0].path


def test_the_voice_is_whole_speaks_and_is_found_in_the_library(tmp_path: Path, clip: Path) -> None:
    path = made(tmp_path, clip, name="v", consent="Ann agreed")
    pack = VoicePack.load(path)
    assert pack.tensor.shape == (510, 1, 256) and torch.isfinite(pack.tensor).all()
    assert not torch.equal(pack.row(5), pack.row(200))
    report = json.loads((path.parent / "report.json").read_text())
    assert report["recipe"] == "zero-shot" and report["stock_kokoro"] and report["consent"] == "Ann agreed"
    assert "not measured" in report["verdict"]
    assert np.abs(read_audio(path.parent / "v_test_1.wav")).max() > 0.05
    (found,) = own_voices(tmp_path)
    assert found.name == "v" and found.kind == "clone" and found.space == KOKORO_SPACE


def test_a_voice_of_a_students_folder_is_spoken_on_it_from_any_working_directory(
    tmp_path: Path, clip: Path, monkeypatch
) -> None:
    shutil.copytree(NANO_FOLDER, tmp_path / "student")
    monkeypatch.chdir(tmp_path)
    path = made(Path("out"), clip.resolve(), name="v", base="student", lang="f").resolve()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert base_for(str(path), "auto") == str((tmp_path / "student").resolve())
    settings = json.loads((path.parent / "config.json").read_text())
    assert Path(settings["clips"][0]).is_file() and Path(settings["out"], "v", "v.pt") == path


def test_another_speaker_gives_another_voice_and_the_same_clip_the_same(tmp_path: Path, clip: Path) -> None:
    rng = np.random.default_rng(0)
    other = tmp_path / "other.wav"
    write_wav(other, read_audio(clip)[::-1].copy() + rng.normal(0, 0.01, len(read_audio(clip))).astype(np.float32))
    a, again, b = (VoicePack.load(made(tmp_path / n, c)).tensor for n, c in (("a", clip), ("b", clip), ("c", other)))
    assert torch.equal(a, again) and (a - b).norm(dim=2).mean() > 0.5


def test_long_recordings_are_cut_and_folders_are_read(tmp_path: Path, dataset_folder: Path) -> None:
    long = np.concatenate([read_audio(entry.path) for entry in read_train(dataset_folder)] * 3)
    write_wav(tmp_path / "long.wav", long)
    pieces = json.loads((made(tmp_path / "a", tmp_path / "long.wav").parent / "report.json").read_text())["style"][
        "clips"
    ]
    assert abs(pieces - len(long) / 24_000 / PIECE_SECONDS) <= 1.5
    folder = json.loads((made(tmp_path / "b", dataset_folder).parent / "report.json").read_text())
    assert folder["dataset"]["train_clips"] == len(read_train(dataset_folder))


def test_clips_that_give_no_voice_are_refused(tmp_path: Path, clip: Path, base_folder: Path) -> None:
    write_wav(tmp_path / "short.wav", read_audio(clip)[:9000])
    write_wav(tmp_path / "silent.wav", np.zeros(48_000, dtype=np.float32))
    with pytest.raises(VoicecloneError, match="short.wav: .* too little"):
        made(tmp_path / "o", tmp_path / "short.wav")
    with pytest.raises(VoicecloneError, match="silent.wav"):
        made(tmp_path / "o", tmp_path / "silent.wav")
    with pytest.raises(VoicecloneError, match="nothing.wav"):
        made(tmp_path / "o", tmp_path / "nothing.wav")
    with pytest.raises(UsageError, match="space of their own"):
        made(tmp_path / "o", clip, base=str(base_folder))
    with pytest.raises(UsageError, match="name"):
        made(tmp_path / "o", clip, name="../v")
    assert not list((tmp_path / "o").glob("*/*.pt"))


def test_a_finished_voice_is_not_replaced_unasked(tmp_path: Path, clip: Path, capsys) -> None:
    command = [
        "zero-shot",
        str(clip),
        "--name",
        "v",
        "--out",
        str(tmp_path),
        "--base",
        "nano",
        "--offline",
        "--lang",
        "f",
    ]
    assert main(command) == 0 and not list(tmp_path.glob("v/*.wav")), "only English is spoken"
    assert main(command) == 2 and "--overwrite" in capsys.readouterr().err
    folder = tmp_path / "v"
    # What a clone in its place would leave; the artifacts, for one, are those that the command fidelity takes.
    of_a_clone = ("v_artifacts.pt", "v.style.safetensors", "v_test_1.wav", "v_test_2.wav", "dataset_report.json")
    for name in of_a_clone:
        (folder / name).touch()
    (folder / "evaluation.json").write_text(json.dumps({"verdict": {}}))
    assert main([*command, "--overwrite"]) == 0
    assert {path.name for path in folder.iterdir()} == {"v.pt", "config.json", "report.json"}


def test_a_language_is_named_by_code_or_alias_and_an_unknown_one_is_refused(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(UsageError, match="unknown language 'klingon'"):
        made(tmp_path / "o", clip, lang="klingon")
    assert not (tmp_path / "o").exists()
    assert (made(tmp_path / "o", clip, lang="EN-US").parent / "my_voice_test_1.wav").is_file(), "English is spoken"


def test_no_more_of_a_recording_is_read_than_is_used(tmp_path: Path, clip: Path, monkeypatch) -> None:
    write_wav(tmp_path / "long.wav", np.tile(read_audio(clip), 5))
    filtered: list[int] = []

    def without_rumble(samples: np.ndarray, rate: int) -> np.ndarray:
        filtered.append(len(samples))
        return samples

    monkeypatch.setattr(module, "MOST_SECONDS", 2.0)
    monkeypatch.setattr("voiceclone.audio.io.without_rumble", without_rumble)
    ((_, piece),) = pieces_of(tmp_path / "long.wav")
    assert filtered == [48_000] and len(piece) <= 48_000


@pytest.mark.parametrize("noise", [0.0, 0.002])
def test_pieces_without_speech_are_left_out(noise: float, tmp_path: Path, clip: Path) -> None:
    """Silence in the middle of a recording, digital or of a room, is no part of the voice."""
    speech = np.tile(read_audio(clip), 12)[: int(2 * PIECE_SECONDS * 24_000)]
    hiss = np.random.default_rng(0).standard_normal(len(speech)).astype(np.float32)
    write_wav(tmp_path / "paused.wav", np.concatenate([speech, noise * hiss, 0.5 * speech]))
    kept = [(int(name.split(":")[1]), piece) for name, piece in pieces_of(tmp_path / "paused.wav")]
    assert [number for number, _ in kept] == [0, 1, 4, 5]
    assert min(np.abs(piece).max() for _, piece in kept) > 0.05


class OneSpeaker:
    """Stands in for the speaker encoder: one unit vector for any audio."""

    def __init__(self, index: int) -> None:
        self.vector = np.eye(256, dtype=np.float32)[index]

    def embed(self, audio: np.ndarray) -> np.ndarray:
        return self.vector


def test_the_voice_depends_on_the_speaker_vector_and_a_missing_encoder_is_reported(
    tmp_path: Path, clip: Path, monkeypatch
) -> None:
    voices = []
    for name, index in (("a", 0), ("b", 1)):
        monkeypatch.setattr("voiceclone.cloning.zero_shot.load_resemblyzer", lambda index=index: OneSpeaker(index))
        monkeypatch.setattr("voiceclone.cloning.zero_shot.resemblyzer_is_installed", lambda: True)
        path = made(tmp_path / name, clip)
        voices.append(VoicePack.load(path).tensor)
        assert json.loads((path.parent / "report.json").read_text())["notices"] == []
    assert (voices[0] - voices[1]).norm() > 0.1
    monkeypatch.setattr("voiceclone.cloning.zero_shot.load_resemblyzer", lambda: None)
    monkeypatch.setattr("voiceclone.cloning.zero_shot.resemblyzer_is_installed", lambda: False)
    path = made(tmp_path / "without", clip)
    (notice,) = json.loads((path.parent / "report.json").read_text())["notices"]
    assert "Resemblyzer is not installed" in notice and "pip install" in notice
    base = load_base("nano")
    styles = extract_styles([("clip", lambda: read_audio(clip))], base.style_encoders, device=torch.device("cpu"))
    row = VoicePack.load(path).tensor[REFERENCE_ROW]
    assert torch.nn.functional.cosine_similarity(row, styles.mean).item() > 0.98, "the mean style is the voice"
