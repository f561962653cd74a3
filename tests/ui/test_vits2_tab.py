"""The tab of VITS2 models, through its functions: models, voices, noise, wrong requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from support import write_dataset, write_vits2

from voiceclone.cli.main import main
from voiceclone.cloning.config import CloneConfig
from voiceclone.errors import UsageError
from voiceclone.ui.desk import Desk
from voiceclone.ui.job import Job, _arguments
from voiceclone.ui.progress import FIT_STAGES, Gauge
from voiceclone.ui.studio import Studio
from voiceclone.ui.vits2_tab import _listed, _spoken, _voices, speak_with, vits2_folders, vits2_voices

GRADIO = SimpleNamespace(HTML=dict, Dropdown=dict, DownloadButton=dict)  # updates as plain values
TEXT = "Good morning."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_vits2(tmp_path_factory.mktemp("runs") / "base"))


def desk_of(tmp_path: Path, base: str, *, local: bool = True) -> Desk:
    return Desk.of(Studio(tmp_path / "out", base=base, offline=True), local=local)


@pytest.fixture
def desk(tmp_path: Path, model: str) -> Iterator[Desk]:
    desk = desk_of(tmp_path, model)
    yield desk
    desk.close()


def fitted(desk: Desk, model: str) -> str:
    """A voice of the library that was made with the model."""
    folder = desk.studio.out / "carla"
    desk.studio.find("anna").save(folder / "carla.pt")
    base = {"kind": "custom", "name": "vits", "sha256": "x"}
    (folder / "report.json").write_text(json.dumps({"name": "carla", "base": base}))
    (folder / "config.json").write_text(json.dumps({"name": "carla", "base": model}))
    return str(folder / "carla.pt")


def test_the_models_are_the_pages_own_and_those_of_the_library(
    desk: Desk, model: str, tmp_path: Path, base_folder: Path
) -> None:
    carla = fitted(desk, model)
    assert vits2_voices(desk.studio, model) == [("anna", "anna"), ("ben", "ben"), ("carla", carla)]
    for base, expected in ((model, [model]), (str(base_folder), [model]), ("nano", [model])):
        assert vits2_folders(Studio(tmp_path / "out", base=base, offline=True)) == expected
    assert vits2_folders(Studio(tmp_path / "empty", base=str(base_folder), offline=True)) == []


def test_what_is_chosen_stays_chosen_when_the_tab_is_opened_again(desk: Desk, model: str, tmp_path: Path) -> None:
    hint, models, voices = _listed(GRADIO, desk, None, None)
    assert not hint["visible"] and models == {"choices": [model], "value": model} and voices["value"] == "anna"
    other = str(write_vits2(tmp_path / "other", speakers=("only",)))
    assert _voices(GRADIO, desk, other) == {"choices": [("only", "only")], "value": "only"}
    _, models, voices = _listed(GRADIO, desk, other, "only")
    assert models["value"] == other and voices["value"] == "only"
    nothing = _listed(GRADIO, desk_of(tmp_path / "none", "nano"), None, None)
    assert nothing[0]["visible"] and "train-base --system vits2" in nothing[0]["value"] and nothing[2]["value"] is None


def test_noise_length_and_seed_have_their_effect(desk: Desk, model: str) -> None:
    say = partial(speak_with, desk, model, "anna", TEXT)
    first, same, other = say(0.667, 1.0, 0.8, 0), say(0.667, 1.0, 0.8, 0), say(0.667, 1.0, 0.8, 1)
    assert np.array_equal(first, same) and not (first.shape == other.shape and np.allclose(first, other))
    assert np.array_equal(say(0.0, 1.0, 0.0, 0), say(0.0, 1.0, 0.0, 1))
    assert len(say(0.0, 2.0, 0.0, 0)) > 1.4 * len(say(0.0, 1.0, 0.0, 0))
    assert desk.studio.load_base(model).kmodel.noise.noise_scale == 0.667  # as before
    ben = speak_with(desk, model, "ben", TEXT, 0.0, 1.0, 0.0, 0)
    assert ben.shape != first.shape or not np.allclose(ben, say(0.0, 1.0, 0.0, 0))


def test_the_speech_can_be_heard_and_downloaded(desk: Desk, model: str) -> None:
    sound, download = _spoken(GRADIO, desk, model, fitted(desk, model), TEXT, 0.3, 1.0, 0.5, None)
    audio, rate = soundfile.read(download["value"])
    assert rate == 24_000 and len(audio) > 4_000 and sound["visible"] and "<audio" in sound["value"]


def test_wrong_requests_are_one_line(desk: Desk, model: str, base_folder: Path, tmp_path: Path) -> None:
    other = str(write_vits2(tmp_path / "other", speakers=("only",)))
    good: tuple[Any, ...] = (model, "anna", TEXT, 0.667, 1.0, 0.8, 0)
    cases = (
        ({0: str(base_folder)}, "is not the folder of a VITS2"), ({0: "a\0b"}, "is not the folder of a VITS2"),
        ({0: ""}, "choose one of the list"), ({0: None}, "choose one of the list"),
        ({1: "carla"}, "does not belong to the model"), ({1: None}, "does not belong to the model"),
        ({1: str(tmp_path / "x.pt")}, "does not belong to the model"), ({2: " "}, "the text is empty"),
        ({3: 9.0}, "noise_scale=9.0: use a number between 0 and 2"), ({5: float("nan")}, "noise_scale_w nan: use"),
        ({4: 0.0}, "the length scale lies between"), ({6: -1}, "the seed lies between"),
    )  # fmt: skip
    for changes, message in cases:
        with pytest.raises(UsageError, match=message):
            speak_with(desk, *[changes.get(place, value) for place, value in enumerate(good)])
    with pytest.raises(UsageError, match="the base is not a VITS2"):
        desk.studio.audio(TEXT, "stock_0", base=str(base_folder), noise=desk.studio.load_base(model).kmodel.noise)
    shared = desk_of(tmp_path, model, local=False)
    assert len(speak_with(shared, *good)) > 4_000
    with pytest.raises(UsageError, match="choose one of the list"):  # paths of this machine are not for others
        speak_with(shared, other, "only", *good[2:])


def test_a_voice_is_made_with_it(desk: Desk, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's own command line fits a voice, and its bar knows the stages of that."""
    from voiceclone.base_training.vits2 import fitting

    monkeypatch.setattr(fitting, "VectorFitConfig", partial(fitting.VectorFitConfig, steps=1, clips_a_step=1))
    data = write_dataset(tmp_path / "data", seconds=2.0)
    config = CloneConfig(data=str(data), name="dora", out=str(desk.studio.out), base=model, offline=True)
    assert main(["clone", *_arguments(config, desk.studio, False), "--tensorboard", "--quiet"]) == 0
    dora = str(desk.studio.out / "dora" / "dora.pt")
    assert desk.studio.base_of(dora) == model and ("dora", dora) in vits2_voices(desk.studio, model)
    job = Job(desk.studio, SimpleNamespace(usable=list), config, resume=False)
    assert job._gauge.read("", ["Checking clips: 4 clips in 2.0 s"], 0).doing == FIT_STAGES["Fitting"][0]


def test_the_bar_follows_the_fitting() -> None:
    now = [0.0]
    gauge = Gauge(clips=10, epochs=40, stages=FIT_STAGES, clock=lambda: now[0])
    lines = ["Checking clips: 10 clips in 2.0 s"]
    start = gauge.read("", lines, 0)
    now[0] = 30.0
    half = gauge.read("", [*lines, "Fitting: 100/200 steps, 3.3 steps/s, 30 s left"], 0)
    assert start.share < 0.2 < 0.5 < half.share + 0.15 and start.seconds_left is None
    # half of the steps are left, and the comparison, which takes 0.3 times as long as the fitting by the estimates
    assert half.seconds_left == pytest.approx(30.0 + 60.0 * 0.3)
    assert gauge.read("", [*lines, "Fitting: 200/200 steps in 60 s"], 0).share > half.share


def test_the_tab_is_on_the_page(desk: Desk) -> None:
    pytest.importorskip("gradio", reason="gradio is not installed: pip install '.[ui]'")
    from voiceclone.ui.page import build_page

    page = build_page(desk)
    by_id = {part.elem_id: part for part in page.blocks.values()}
    assert {"tab-vits2", "vits2-model", "vits2-voice", "vits2-text", "vits2-speak", "vits2-download"} <= set(by_id)
    assert by_id["vits2-model"].allow_custom_value
