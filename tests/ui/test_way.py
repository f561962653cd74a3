"""The steps in the header and their navigation, the bars of the result, and the stages of the progress bar."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import REPOSITORY

from voiceclone.cloning import pipeline
from voiceclone.errors import UsageError
from voiceclone.evaluation.in_words import Findings
from voiceclone.ui import way_back
from voiceclone.ui.desk import STEPS, Desk, head_html
from voiceclone.ui.look import STYLE
from voiceclone.ui.names import claim
from voiceclone.ui.page import INTRODUCTION
from voiceclone.ui.progress import COMPARE, FIRST, FIT_STAGES, STAGES
from voiceclone.ui.step_result import verdict_html
from voiceclone.ui.studio import Studio


def steps_back(number: int) -> list[str]:
    return re.findall(r'data-step="(\d)"', head_html(number))


def test_earlier_steps_can_be_gone_back_to_and_the_making_of_the_voice_cannot() -> None:
    assert [steps_back(number) for number in range(1, 6)] == [[], ["1"], ["1", "2"], ["1", "2", "3"], ["1", "2", "3"]]
    html = head_html(3)
    assert html.count('aria-current="step"') == 1 and "3</span> Consent</li>" in html
    assert 'aria-label="Back to step 1 Voice"' in html and len(re.findall("<li", html)) == len(STEPS)


def test_the_script_is_a_function_and_its_buttons_are_out_of_sight() -> None:
    """The page's policy lets gradio make functions, but runs no script that has not got the nonce."""
    assert way_back.SCRIPT.startswith("() =>") and '"back-to-" + step.dataset.step' in way_back.SCRIPT
    assert ".out-of-sight { display: none" in STYLE and len(re.sub("<[^>]+>", "", INTRODUCTION)) < 70


@pytest.fixture
def desk(tmp_path: Path, base_folder: Path) -> Desk:
    desk = Desk.of(Studio(tmp_path / "out", base=str(base_folder), offline=True))
    yield desk
    desk.close()


def test_going_back_from_a_finished_voice_leaves_it_in_the_library(desk: Desk) -> None:
    """The recordings are there for another voice, under another name."""
    draft = desk.drafts.of("")
    way = SimpleNamespace(at=lambda draft, number: number)
    folder = desk.studio.out / "anna"
    claim(desk.studio.out, "anna", "t")
    (folder / "report.json").write_text("{}")
    (folder / "anna.pt").touch()
    draft.state.step, draft.state.run = 5, {"name": "anna", "clips": "", "ended": "", "token": "t"}
    draft.save()
    assert way_back.go_back(desk, way, draft.token, 2) == 2
    draft = desk.drafts.of(draft.token)
    assert draft.state.run == {} and (folder / "report.json").is_file()
    draft.state.step = 2
    draft.save()
    assert way_back.go_back(desk, way, draft.token, 3) == 2  # forward is by the step's own button


def test_going_back_is_disabled_during_training(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = desk.drafts.of("")
    draft.state.step = 4
    draft.save()
    monkeypatch.setattr(desk.jobs, "of", lambda draft: SimpleNamespace(running=True, state=lambda: None))
    with pytest.raises(UsageError, match="stop that first"):
        way_back.go_back(desk, SimpleNamespace(at=lambda *a: pytest.fail("went")), draft.token, 1)


def test_the_bar_knows_the_stages_that_a_run_names() -> None:
    package = REPOSITORY / "voiceclone"
    named = {
        label
        for path in package.rglob("*.py")
        for label in re.findall(r'\.task\(\s*"([^"]+)"', path.read_text(encoding="utf-8"))
    }
    named.add(pipeline.PROJECTION)  # given to its task as an argument
    assert {*STAGES, *FIT_STAGES} - {FIRST, COMPARE} <= named


def test_the_result_is_said_in_words_and_shown_as_bars() -> None:
    assert verdict_html("<anna>", None) == "<h2>&lt;anna&gt;</h2>"
    found = Findings(clone=0.7, stranger=0.0, recordings=0.8, nearest=0.5, nearest_name="<b>", understood=0.9)
    html = verdict_html("anna is ready", found)
    assert html.index("Much nearer to you") < html.index("90 of 100 words") < html.index("<svg")
    assert html.count('role="img"') == 2 and "<b>" not in html.replace("<b>9", "")
