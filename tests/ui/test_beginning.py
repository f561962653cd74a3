"""How the page begins and ends: its language, its temporary files, and the signals that stop it."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from voiceclone.cli import ui
from voiceclone.cli.main import main
from voiceclone.errors import UsageError
from voiceclone.system.signals import ENDING
from voiceclone.tracking.progress import Reporter
from voiceclone.ui import page as page_module
from voiceclone.ui.desk import Desk
from voiceclone.ui.studio import Studio


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Temporary files go to the test's folder; signals have their default handlers, and theirs again afterwards."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setitem(os.environ, "GRADIO_TEMP_DIR", str(tmp_path))
    # The tests themselves may have been started with nohup, which ignores SIGHUP.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def page_that(launch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    page = SimpleNamespace(launch=launch, close=lambda verbose: None)
    monkeypatch.setattr(page_module, "build_page", lambda desk: page)
    monkeypatch.setattr(page_module, "_settings", lambda desk, host: {})


def serve(studio: Studio) -> None:
    page_module.serve_page(
        studio, host="127.0.0.1", port=0, share=False, browser=False, reporter=Reporter(verbosity=-1)
    )


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path / "out", base="nano", offline=True)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The languages of the pages that the command served, without gradio."""
    served: list[str] = []
    monkeypatch.setattr(ui, "require", lambda *extras, **what: None)
    monkeypatch.setattr(ui, "metadata", SimpleNamespace(version=lambda package: f"{ui.OLDEST_GRADIO}.0"))
    monkeypatch.setattr(page_module, "serve_page", lambda studio, **settings: served.append(studio.lang))
    return served


@pytest.mark.parametrize(("given", "code"), [("en-us", "a"), ("B", "b")])
def test_languages_are_named_as_in_other_commands(
    served: list[str], tmp_path: Path, base_folder: Path, given: str, code: str
) -> None:
    assert main(["ui", "--base", str(base_folder), "--out", str(tmp_path / "out"), "--lang", given]) == 0
    assert served == [code]


def test_an_unknown_language_is_one_line(served: list[str], tmp_path: Path, base_folder: Path, capsys) -> None:
    assert main(["ui", "--base", str(base_folder), "--out", str(tmp_path / "out"), "--lang", "klingon"]) == 2
    assert capsys.readouterr().err.startswith("error: unknown language 'klingon': choose one of") and not served


def test_a_page_that_cannot_be_built_leaves_no_temporary_files(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def refuse(desk: Desk) -> None:
        made.append(desk.sounds.folder)
        raise UsageError("no")

    monkeypatch.setattr(page_module, "build_page", refuse)
    with pytest.raises(UsageError, match="no"):
        serve(studio)
    assert made[0].parent == tmp_path and not made[0].exists()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread")
@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM"])
def test_a_closed_terminal_stops_the_training_as_well(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    number, closed = getattr(signal, name), []

    def hang_up(seconds: float = 0.0) -> None:
        if signal.getsignal(number) == signal.SIG_DFL:
            raise AssertionError(f"{name} would end the process")
        signal.raise_signal(number)

    def close(desk: Desk) -> None:
        hang_up()  # the shell and the terminal both send one
        closed.append(name)

    page_that(lambda **settings: (None, "http://127.0.0.1:1", None), monkeypatch)
    monkeypatch.setattr(page_module, "time", SimpleNamespace(sleep=hang_up))
    monkeypatch.setattr(Desk, "close", close)
    try:
        serve(studio)
    except KeyboardInterrupt:  # pytest would end
        pytest.fail("the second signal interrupted the stopping")
    assert closed == [name]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_a_page_started_with_nohup_outlives_its_terminal(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def launch(**settings: Any) -> None:
        raise KeyboardInterrupt

    page_that(launch, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        serve(studio)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
