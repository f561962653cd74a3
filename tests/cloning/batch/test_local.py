"""Clones on this machine, with a stand-in for the process of a clone, and the signals that end them."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from voiceclone.cli.main import main
from voiceclone.cloning.batch import local
from voiceclone.system.signals import ENDING, Ended, ended_by_signals

CLONE = "from voiceclone.cli.main import main; sys.exit(main())"
STAND_IN = """
import time
from pathlib import Path
said = Path({said!r})
try:
    said.write_text("running")
    time.sleep(30)
    said.write_text("ended by itself")
except KeyboardInterrupt:
    said.write_text("interrupted")
    sys.exit("error: interrupted")
"""

pytestmark = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread"
)


@pytest.fixture
def calls() -> Iterator[list[int]]:
    """Signals that reach the handlers from before the batch; without handlers they would end the tests."""
    found: list[int] = []
    before = {number: signal.signal(number, lambda number, _: found.append(number)) for number in ENDING}
    interrupts = signal.getsignal(signal.SIGINT)
    yield found
    for number, handler in {**before, signal.SIGINT: interrupts}.items():
        signal.signal(number, handler)


@pytest.mark.skipif(os.name != "posix", reason="Windows ends a process without a signal")
@pytest.mark.parametrize("number", ENDING)
def test_a_signal_interrupts_the_clones_and_leaves_no_files(
    number: signal.Signals, calls, base_folder: Path, dataset_folder: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    """Also in the background of a script, where SIGINT is ignored, which processes inherit."""
    said, temporary = tmp_path / "said", tmp_path / "temporary"
    temporary.mkdir()
    assert CLONE in local._RUN
    monkeypatch.setattr(local, "_RUN", local._RUN.replace(CLONE, STAND_IN.format(said=str(said))))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    handlers = {one: signal.getsignal(one) for one in ENDING}

    def send() -> None:
        while not said.is_file() or said.read_text() != "running":
            time.sleep(0.05)
        os.kill(os.getpid(), number)

    table = tmp_path / "voices.csv"
    table.write_text(f"name,data\nanna,{dataset_folder}\nbert,{dataset_folder}\n")
    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    code = main(["batch", str(table), "--base", str(base_folder), "--out", str(tmp_path / "out"), "--quiet"])
    thread.join()
    assert (code, said.read_text()) == (128 + number, "interrupted")
    assert f"ended by {number.name}: finished voices and epochs are kept" in capsys.readouterr().err
    assert not list(temporary.iterdir()) and not calls
    assert {one: signal.getsignal(one) for one in ENDING} == handlers


def test_a_second_signal_does_not_interrupt_the_clean_up(calls: list[int]) -> None:
    cleaned = False
    with pytest.raises(Ended) as ended, ended_by_signals():
        try:
            signal.raise_signal(ENDING[0])
        finally:
            signal.raise_signal(ENDING[-1])
            cleaned = True
    assert cleaned and ended.value.number == ENDING[0] and not calls


def test_a_signal_that_is_ignored_stays_so(calls: list[int]) -> None:
    signal.signal(ENDING[-1], signal.SIG_IGN)  # as nohup does
    with ended_by_signals():
        signal.raise_signal(ENDING[-1])
    assert signal.getsignal(ENDING[-1]) == signal.SIG_IGN
