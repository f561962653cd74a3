"""A whole clone on a tiny base: file set, determinism, interruption and resuming, tracking."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from support import QUICK

from voiceclone import CloneReport, VoicePack, clone, load_base
from voiceclone.cli.main import main
from voiceclone.cloning import pipeline
from voiceclone.cloning.config import CloneConfig
from voiceclone.cloning.fidelity import at_fidelity
from voiceclone.cloning.outputs import TEST_SENTENCES
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.projection import initialization
from voiceclone.projection.losses import LossWeights
from voiceclone.projection.trainer import ProjectionTrainer
from voiceclone.tracking.progress import Reporter
from voiceclone.voice.library import own_voices
from voiceclone.voice.origin import base_for
from voiceclone.voice.provenance import stored_provenance

FILES = {
    "artifacts/candidates.safetensors",
    "README.md", "checkpoints/initial.pt", "checkpoints/last.pt", "config.json", "dataset_report.json", "report.json",
    "training.png", "v.pt", "v_artifacts.pt", "v_test_1.wav", "v_test_2.wav", "v_test_3.wav",
}  # fmt: skip
EPOCHS = 4
VALIDATED = 2  # the first and the last of them
pytestmark = pytest.mark.usefixtures("quick_clones")


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> Iterator[None]:
    """A search for a blend takes as long as all the rest of a run here; its result is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(initialization, "BLEND_STEPS", 3)
        yield


def settings(dataset: Path, base: Path, out: Path, **more) -> dict:
    return {"data": dataset, "name": "v", "out": out, "base": base, "epochs_projection": EPOCHS,
            "device": "cpu", "offline": True, **more}  # fmt: skip


def files_in(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, dataset_folder: Path, base_folder: Path) -> Path:
    """An uninterrupted run with TensorBoard."""
    out = tmp_path_factory.mktemp("out")
    result = clone(**settings(dataset_folder, base_folder, out, tensorboard=True))
    assert result.folder == out / "v"
    return out / "v"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, dataset_folder: Path, base_folder: Path) -> Path:
    """A run of one epoch without the parts that take time, with relative paths; tests change copies of its folder."""
    out = tmp_path_factory.mktemp("quick")
    data, base = (Path(os.path.relpath(folder, out)) for folder in (dataset_folder, base_folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(out)
        return clone(**settings(data, base, Path(), epochs_projection=1, without=QUICK)).folder.resolve()


def test_it_leaves_exactly_these_files(finished: Path) -> None:
    found = files_in(finished)
    events = {name for name in found if name.startswith("tensorboard/")}
    assert found - events == FILES and len(events) == 1


def test_fidelity_moves_between_initialization_and_trained_voice(
    finished: Path, dataset_folder: Path, base_folder: Path, tmp_path: Path
) -> None:
    """Chosen before the training or after it, the voice is the same; nothing else of the training depends on it."""
    first, half, last = (at_fidelity(finished / "v.pt", fidelity).tensor for fidelity in (0.0, 0.5, 1.0))
    torch.testing.assert_close(last, VoicePack.load(finished / "v.pt").tensor)
    assert (last - first).abs().max() > 1e-3
    torch.testing.assert_close(half, (first + last) / 2)
    shutil.copytree(finished, tmp_path / "v")
    for unwritten in ("report.json", "v.pt"):  # as after the last epoch
        (tmp_path / "v" / unwritten).unlink()
    result = clone(**settings(dataset_folder, base_folder, tmp_path, fidelity=0.5, resume="auto"))
    torch.testing.assert_close(VoicePack.load(result.folder / "v.pt").tensor, half)
    assert result.report["fidelity"] == 0.5
    torch.testing.assert_close(at_fidelity(result.folder / "v.pt", 1.0).tensor, last)


def test_fidelity_as_a_command(finished: Path, tmp_path: Path, capsys) -> None:
    call = ["fidelity", str(finished / "v.pt"), "0.25", "--out"]
    assert main([*call, str(tmp_path / "softer.pt")]) == 0
    report = json.loads((finished / "report.json").read_text())
    facts = stored_provenance(tmp_path / "softer.pt")["softer"]
    assert facts["base_sha256"] == report["base"]["sha256"] and facts["base_kind"] == "custom"
    assert facts["consent"] == report["consent"] and facts["source"] == "v.pt at fidelity 0.25"
    assert "voice_sha256" not in facts, "that is the other voice's"
    wanted = at_fidelity(finished / "v.pt", 0.25).tensor
    torch.testing.assert_close(VoicePack.load(tmp_path / "softer.pt").tensor, wanted)
    stray = tmp_path / "v" / "v.pt"
    stray.parent.mkdir()
    shutil.copy(finished / "v.pt", stray)
    broken = tmp_path / "b" / "b.pt"
    broken.parent.mkdir()
    (broken.parent / "b_artifacts.pt").write_bytes(b"no archive")
    for wrong, code, says in (
        ([*call, str(tmp_path / "softer.pt")], 2, "exists"),
        ([*call, str(tmp_path / "softer.wav")], 2, "ends in .pt"),
        (["fidelity", str(finished / "v.pt"), "1.5", "--out", str(tmp_path / "o.pt")], 2, "use a number from 0"),
        (["fidelity", str(stray), "0.5", "--out", str(tmp_path / "o.pt")], 2, "has no artifacts of a clone"),
        (["fidelity", str(broken), "0.5", "--out", str(tmp_path / "o.pt")], 1, "is damaged"),
    ):
        assert main(wrong) == code
        assert says in capsys.readouterr().err.splitlines()[-1]
        assert not (tmp_path / "o.pt").exists()
    with pytest.raises(UsageError, match=r"-0\.1"):
        CloneConfig(data="d", fidelity=-0.1)


def test_the_voice_is_what_stock_kokoro_loads(finished: Path, base_folder: Path) -> None:
    tensor = torch.load(finished / "v.pt", weights_only=True)
    assert isinstance(tensor, torch.FloatTensor) and tuple(tensor.shape) == (510, 1, 256) and tensor.is_contiguous()
    pipeline = load_base(base_folder).pipeline("a")
    audio = [r.audio for r in pipeline("Good morning.", voice=str(finished / "v.pt"))]
    assert audio and all(torch.isfinite(a).all() and a.numel() for a in audio)


def test_report_artifacts_and_config_say_what_was_done(finished: Path) -> None:
    report = json.loads((finished / "report.json").read_text())
    assert report["stock_kokoro"] is False and report["epochs"] == EPOCHS and report["consent"] == "not stated"
    assert set(report) == set(CloneReport.__annotations__)
    assert set(report["metrics"]) == {"before", "after"}
    assert report["phone_classifier"]["accuracy"] < 0.3 and report["phone_classifier"]["used"] is False, (
        "random weights speak no phones"
    )
    assert report["metrics"]["after"]["validation_loss"] < report["metrics"]["before"]["validation_loss"]
    artifacts = torch.load(finished / "v_artifacts.pt", weights_only=True)
    assert artifacts["style_vectors"].shape == (len(artifacts["style_names"]), 256)
    torch.testing.assert_close(artifacts["style_mean"][0], artifacts["style_vectors"].mean(dim=0))
    voice = VoicePack.load(finished / "v.pt")
    rebuilt = artifacts["base_vector"] * artifacts["length_scale"] + artifacts["length_delta"]
    torch.testing.assert_close(voice.tensor[:, 0], rebuilt)
    config = json.loads((finished / "config.json").read_text())
    assert config["seed"] == 0 and config["versions"]["kokoro"] and config["base_sha256"] == report["base"]["sha256"]
    assert "not stated" in (finished / "README.md").read_text()
    listed = json.loads((finished / "dataset_report.json").read_text())
    assert len(listed["clips"]) == 4


class CountingEncoder(torch.nn.Module):
    """In place of Resemblyzer: the vector of the ``n``-th clip is the ``n``-th axis."""

    name = "counting"

    def __init__(self) -> None:
        super().__init__()
        self.known: list[bytes] = []

    def embed(self, audio: np.ndarray) -> np.ndarray:
        if audio.tobytes() not in self.known:
            self.known.append(audio.tobytes())
        return np.eye(256, dtype=np.float32)[self.known.index(audio.tobytes())]

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(audio[:, :256], dim=1)


def test_dropped_clips_have_no_part_in_the_speakers_vector(
    dataset_folder: Path, base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_state, found = pipeline.first_state, {}

    def dropping(*arguments: Any, **named: Any) -> Any:
        state = first_state(*arguments, **named)
        clips = [name for name in state.alignments if name.startswith("train/")]
        found["clips"], state.dropped[clips[0]] = len(clips), "another speaker"
        return state

    class Seen(ProjectionTrainer):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            found["vector"] = named["speaker"].vector
            super().__init__(*arguments, **named)

    monkeypatch.setattr(pipeline, "load_resemblyzer", lambda device: CountingEncoder())
    monkeypatch.setattr(pipeline, "first_state", dropping)
    monkeypatch.setattr(pipeline, "ProjectionTrainer", Seen)
    parts = "initialization,blend"
    clone(**settings(dataset_folder, base_folder, tmp_path, epochs_projection=1, without=parts))
    axes = int((found["vector"] > 0).sum())
    assert axes >= 1 and axes == found["clips"] - 1


def test_its_config_names_data_and_base_for_any_working_directory(
    quick: Path, dataset_folder: Path, base_folder: Path
) -> None:
    config = json.loads((quick / "config.json").read_text())
    assert config["data"] == str(dataset_folder.resolve())
    assert base_for(str(quick / "v.pt"), "auto") == str(base_folder.resolve())


def test_the_test_wavs_are_24_khz_speech_of_some_length(finished: Path) -> None:
    for number in (1, 2, 3):
        samples, rate = soundfile.read(finished / f"v_test_{number}.wav")
        assert rate == 24000 and len(samples) > 2400 and abs(samples).max() > 0


def test_tensorboard_read_back_with_its_own_reader(finished: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    tags = events.Tags()
    terms = {"loss", "mel_mse", "mel", "duration", "rate", "f0", "f0_level", "f0_spread", "energy"}
    assert {f"train/{t}" for t in terms} | {f"val/{t}" for t in terms} <= set(tags["scalars"])
    assert {"train/lr", "train/gradient_norm", "train/step_seconds", "system/memory_mib"} <= set(tags["scalars"])
    assert {"audio/target", "audio/clone"} <= set(tags["audio"])
    assert "mel/target_and_clone" in tags["images"] and "projection/base_vector" in tags["histograms"]
    assert len(events.Scalars("val/loss")) == VALIDATED
    beside = sorted(tag for tag in tags["scalars"] if tag.startswith("better_than_stock/"))
    assert min(tags["scalars"]) == beside[0]  # shown first
    assert {tag.split("_of_")[1] for tag in beside} >= {"clone", "best_stock", "initialization"}
    assert len(events.Scalars(beside[0])) == VALIDATED


def test_an_interrupted_run_resumes_to_the_same_voice(
    finished: Path, tmp_path: Path, dataset_folder: Path, base_folder: Path, monkeypatch
) -> None:
    """Whatever the caller's random state is, which is left alone."""
    train_epoch = ProjectionTrainer._train_epoch

    def interrupted(self, number, observer):
        if number == 2:
            raise KeyboardInterrupt
        return train_epoch(self, number, observer)

    torch.manual_seed(int(time.time()))
    state = torch.random.get_rng_state()
    options = settings(dataset_folder, base_folder, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(ProjectionTrainer, "_train_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            clone(**options)
    assert not (tmp_path / "v" / "v.pt").exists() and (tmp_path / "v" / "checkpoints" / "last.pt").exists()
    with pytest.raises(UsageError, match='unfinished run.*resume="auto"'):
        clone(**options)
    (tmp_path / "v" / ".partial-stray").write_bytes(b"half a file")
    resumed = clone(**options, resume="auto")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(resumed.voice.tensor, VoicePack.load(finished / "v.pt").tensor)
    assert (tmp_path / "v" / "v_test_1.wav").read_bytes() == (finished / "v_test_1.wav").read_bytes()
    assert files_in(tmp_path / "v") == FILES


def test_a_finished_voice_is_never_overwritten_unasked(finished: Path, dataset_folder: Path, base_folder: Path) -> None:
    options = settings(dataset_folder, base_folder, finished.parent)
    before = {p: p.read_bytes() for p in finished.rglob("*") if p.is_file()}
    with pytest.raises(UsageError, match="overwrite=True"):
        clone(**options)
    assert clone(**options, resume="auto").report["epochs"] == EPOCHS
    with pytest.raises(UsageError, match="overwrite=True"):
        clone(**options, resume=str(finished / "checkpoints" / "last.pt"))
    assert {p: p.read_bytes() for p in finished.rglob("*") if p.is_file()} == before


def test_overwrite_replaces_it_and_another_seed_gives_another_voice(
    quick: Path, tmp_path: Path, dataset_folder: Path, base_folder: Path
) -> None:
    shutil.copytree(quick, tmp_path / "v")
    judged = {"verdict": {}, "voices": {"clone": {"similarity": {"encoder": {"mean": 0.8}}}}}
    (tmp_path / "v" / "evaluation.json").write_text(json.dumps(judged))
    assert [voice.likeness for voice in own_voices(tmp_path)] == [0.8]
    options = settings(dataset_folder, base_folder, tmp_path, epochs_projection=1, without=QUICK)
    second = clone(**options, seed=3, overwrite=True)
    assert [voice.likeness for voice in own_voices(tmp_path)] == [None], "the evaluation was of the old voice"
    assert not torch.equal(VoicePack.load(quick / "v.pt").tensor, second.voice.tensor)
    assert json.loads((tmp_path / "v" / "report.json").read_text())["seed"] == 3


def test_resuming_with_other_settings_or_data_is_refused(
    quick: Path, tmp_path: Path, dataset_folder: Path, base_folder: Path
) -> None:
    shutil.copytree(quick, tmp_path / "v")
    (tmp_path / "v" / "report.json").unlink()
    with pytest.raises(UsageError, match="different settings"):
        clone(**settings(dataset_folder, base_folder, tmp_path, epochs_projection=2, without=QUICK), resume="auto")


def test_two_runs_into_one_folder_at_once_are_refused(tmp_path: Path, dataset_folder: Path, base_folder: Path) -> None:
    from voiceclone.cloning.folder import RunFolder

    with RunFolder(tmp_path / "v").locked(), pytest.raises(UsageError, match="another run is writing"):
        clone(**settings(dataset_folder, base_folder, tmp_path))
    assert files_in(tmp_path / "v") <= {".lock"}


def test_no_epochs_give_the_start(tmp_path: Path, dataset_folder: Path, base_folder: Path) -> None:
    given = settings(dataset_folder, base_folder, tmp_path, epochs_projection=0, without=QUICK, lang="en-us")
    result = clone(**given)
    artifacts = torch.load(tmp_path / "v" / "v_artifacts.pt", weights_only=True)
    assert torch.equal(artifacts["base_vector"], artifacts["anchor"]) and result.report["epochs"] == 0
    # The alias means the same run as its code.
    assert json.loads((tmp_path / "v" / "config.json").read_text())["lang"] == "a"
    assert tuple(result.report["test_sentences"]) == TEST_SENTENCES
    assert 'language:\n- "en"' in (tmp_path / "v" / "README.md").read_text()


def test_the_report_has_the_seconds_of_each_task_of_this_clone_alone(
    tmp_path: Path, dataset_folder: Path, base_folder: Path
) -> None:
    reporter = Reporter(verbosity=-1)
    reporter.elapsed["Projection"] = 1e6  # of another clone
    given = settings(dataset_folder, base_folder, tmp_path, epochs_projection=1, without=QUICK)
    report = clone(**given, reporter=reporter).report
    spent = report["task_seconds"]
    assert {"Checking clips", "Style extraction", "Measuring clips", "Projection", "Speaking"} <= set(spent)
    trained = sum(spent.values()) - spent["Checking clips"] - spent["Speaking"]  # these two are not in "seconds"
    assert 0.0 < trained < report["seconds"] + 0.5  # rounded to 0.1 each


def test_wandb_offline_leaves_a_run_to_sync(
    tmp_path: Path, dataset_folder: Path, base_folder: Path, monkeypatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    clone(**settings(dataset_folder, base_folder, tmp_path, epochs_projection=1, wandb=True, without=QUICK))
    runs = list((tmp_path / "v").rglob("*.wandb"))
    assert len(runs) == 1 and runs[0].stat().st_size > 1000


def test_a_voice_whose_folder_cannot_be_written_is_one_clear_error(
    tmp_path: Path, dataset_folder: Path, base_folder: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(VoicecloneError, match="cannot write"):
        clone(**settings(dataset_folder, base_folder, blocked))
    assert os.listdir(tmp_path) == ["file"]


def test_a_losing_clone_is_reported() -> None:
    from voiceclone.cloning.verdict import likeness_line, verdict_line

    def verdict(before: float, after: float, *, pitch: tuple[float, float] = (1.0, 1.0), clips: int = 4) -> str:
        metrics = {
            when: {"validation_loss": loss, "f0_error_semitones": semitones, "rate_error_percent": 2.0}
            for when, loss, semitones in zip(("before", "after"), (before, after), pitch, strict=True)
        }
        return verdict_line(metrics, "stock_1", clips, likeness)

    likeness: dict[str, Any] = {"measure": "loss", "clone": 1.0, "initialization": 2.0}

    assert verdict(2.0, 1.0) == "better than its initialization (stock_1) on 4 held-out clips: loss 2.000 -> 1.000"
    assert verdict(1.0, 1.0).startswith("no better than its initialization (stock_1)")
    assert verdict(3.425, 3.415, clips=1).startswith("no better than its initialization (stock_1) on 1 held-out clip:")
    assert verdict(1.0, 1.1).startswith("worse than its initialization")
    mixed = verdict(2.0, 1.0, pitch=(0.4, 1.9))
    assert mixed.startswith("mixed") and mixed.endswith("but further off in F0 0.4 -> 1.9 semitones")
    assert likeness_line(likeness) == ""
    likeness = {"measure": "likeness", "encoder": "e", "stock_name": "s", "clone": 0.6, "initialization": 0.7,
                "best_stock": 0.8, "recordings": 0.9}  # fmt: skip
    assert verdict(2.0, 1.0).endswith("but further off in likeness 0.70 -> 0.60")
    end = ", the recordings 0.90, by e, the encoder that the training itself uses"
    assert likeness_line(likeness) == (
        f"further from the speaker than the best stock voice s: likeness 0.60 against 0.80{end}"
    )
    assert likeness_line(likeness | {"clone": 0.85}).startswith("nearer to the speaker than")
    assert likeness_line(likeness | {"clone": 0.81}).startswith("no nearer to the speaker than")


def test_terms_without_a_weight_are_not_drawn() -> None:
    from voiceclone.cloning.outputs import _curves

    losses = {"loss": 3.0, "mel": 1.0, "energy": 4.0}
    curves = _curves([{"epoch": 1, "train": losses, "validation": losses}], LossWeights(energy=0.0))
    assert curves == [{"epoch": 1, "train/loss": 3.0, "train/mel": 1.0, "val/loss": 3.0, "val/mel": 1.0}]


def test_a_run_that_ends_before_it_wrote_anything_leaves_no_folder(tmp_path: Path, dataset_folder: Path) -> None:
    with pytest.raises(UsageError, match="no base"):
        clone(**settings(dataset_folder, tmp_path / "nowhere", tmp_path))
    assert os.listdir(tmp_path) == []


def test_the_card_repeats_verdict_base_and_health(finished: Path) -> None:
    card, report = (finished / "README.md").read_text(), json.loads((finished / "report.json").read_text())
    assert report["base"]["sha256"] in card and report["dataset"]["fingerprint"] in card
    title, verdict = card.split("---\n")[2].strip().splitlines()[:3:2]
    assert title.startswith("# ") and report["verdict"].split(":")[0].lower() in verdict.lower() and "health" in card
    assert list(report)[:3] == ["name", "verdict", "likeness"]
    assert {"clone", "best_stock", "initialization"} <= set(report["likeness"])


def test_another_language_is_phonemised_as_by_kpipeline(
    tmp_path: Path, dataset_folder: Path, base_folder: Path
) -> None:
    data = tmp_path / "ds"
    shutil.copytree(dataset_folder, data)
    texts = ["buenos días amigo mío", "es una casa muy grande", "vamos a la playa hoy", "hasta mañana señora"]
    rows = [json.dumps({"file_name": f"clip_{i}.wav", "text": text}) for i, text in enumerate(texts)]
    (data / "train" / "metadata.jsonl").write_text("\n".join(rows))
    result = clone(**settings(data, base_folder, tmp_path, epochs_projection=1, lang="e", without=QUICK))
    assert set(result.report["test_sentences"]) <= set(texts)
    assert soundfile.info(tmp_path / "v" / "v_test_3.wav").frames > 2400


def test_reference_voices_are_written_beside_the_clone(finished: Path, base_folder: Path) -> None:
    from safetensors.torch import load_file

    from voiceclone.bases.base import load_base

    candidates = load_file(finished / "artifacts" / "candidates.safetensors")
    report = json.loads((finished / "report.json").read_text())
    assert {"best_stock", "best_blend"} <= set(candidates)
    assert all(tuple(pack.shape) == (510, 1, 256) for pack in candidates.values())
    stock = load_base(base_folder).stock_voices[report["initialization"]["best_stock"]]
    assert torch.equal(candidates["best_stock"], stock.tensor)


@pytest.mark.parametrize("changes", [{"recipe": "plain"}, {"without": f"alignment,{QUICK}"}])
def test_recipes_and_parts_run_and_are_reported(
    tmp_path: Path, dataset_folder: Path, base_folder: Path, changes: dict
) -> None:
    result = clone(**settings(dataset_folder, base_folder, tmp_path, epochs_projection=1, **changes))
    assert result.report["recipe"] == changes.get("recipe", "best")
    assert result.report["without"] == sorted(filter(None, changes.get("without", "").split(",")))
    history = torch.load(tmp_path / "v" / "checkpoints" / "last.pt", weights_only=True)["state"]["history"]
    terms = set(history[0]["train"])
    assert ("rate" in terms) == ("recipe" not in changes)


def test_a_phone_classifier_that_is_left_out_is_not_even_loaded(
    tmp_path: Path, dataset_folder: Path, base_folder: Path, monkeypatch
) -> None:
    from voiceclone.cloning import pipeline

    monkeypatch.setattr(pipeline, "load_phone_classifier", lambda *_: pytest.fail("the phone classifier was loaded"))
    options = settings(dataset_folder, base_folder, tmp_path, epochs_projection=1, without=f"{QUICK},phones")
    result = clone(**options)
    state = torch.load(result.folder / "checkpoints" / "last.pt", weights_only=True)["state"]
    assert "phones" not in state["history"][0]["train"]
    assert result.report["phone_classifier"] == {"accuracy": 0.0, "used": False, "phones_stock": 0.0, "weight": 0.0}


def test_unknown_recipes_and_parts_are_refused(tmp_path: Path, dataset_folder: Path, base_folder: Path) -> None:
    for wrong, message in (({"recipe": "magic"}, "recipe='magic'"), ({"without": "luck"}, "without='luck'")):
        with pytest.raises(UsageError, match=message):
            clone(**settings(dataset_folder, base_folder, tmp_path, **wrong))
    assert os.listdir(tmp_path) == []


def test_a_wrong_dataset_is_said_before_the_base_is_loaded(tmp_path: Path, base_folder: Path, monkeypatch) -> None:
    monkeypatch.setattr("voiceclone.cloning.context.load_base", lambda *_, **__: pytest.fail("the base was loaded"))
    with pytest.raises(UsageError, match="no such dataset folder"):
        clone(**settings(tmp_path / "nowhere", base_folder, tmp_path))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("rank", [0, 1])
def test_a_launcher_of_several_processes_is_refused_by_one_of_them(
    rank: int, tmp_path: Path, dataset_folder: Path, base_folder: Path, monkeypatch, capsys
) -> None:
    for name, value in {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    flags = ["--data", str(dataset_folder), "--base", str(base_folder), "--out", str(tmp_path), "--offline"]
    assert main(["clone", *flags]) == 2
    said = capsys.readouterr().err
    assert ("a launcher started 2 processes for one voice" in said) is (rank == 0) and said.count("\n") == 1 - rank
    assert os.listdir(tmp_path) == []
