"""Short runs of the scripts beside this file; the long ones run by hand or with ``-m slow``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from faults import fuzz

from voiceclone.errors import VoicecloneError

HERE = Path(__file__).parent


def script(name: str, *arguments: str, seconds: int) -> tuple[int, dict]:
    done = subprocess.run(
        [sys.executable, str(HERE / name), *arguments], capture_output=True, text=True, timeout=seconds
    )
    lines = done.stdout.strip().splitlines()
    assert lines, done.stderr
    return done.returncode, json.loads(lines[-1])


@pytest.mark.parametrize("target", list(fuzz.TARGETS))
def test_fuzz(target: str, tmp_path: Path) -> None:
    fuzz.needs(target, pytest.importorskip)
    facts = fuzz.fuzz(target, 120, 1, tmp_path, limited=False)
    assert facts["inputs"] >= 120 and facts["refused"] > 0


def test_a_check_that_fails_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness itself detects a traceback, executed pickle code, and a message of two lines."""

    def traceback(content: bytes, folder: Path) -> None:
        raise KeyError(content)

    def executed(content: bytes, folder: Path) -> None:
        (folder / fuzz.CANARY).touch()

    def two_lines(content: bytes, folder: Path) -> None:
        raise VoicecloneError("")

    for check in (traceback, executed, two_lines):
        with pytest.raises((KeyError, AssertionError)):
            fuzz.attempt(check, b"x", tmp_path)


@pytest.mark.slow
def test_kill() -> None:
    code, facts = script("kill.py", "--count", "6", "--base", "tiny", "--fresh", seconds=3600)
    assert code == 0 and facts["problems"] == [] and facts["resumed"] == facts["identical"] > 0


def test_kill_at_writes_and_at_any_time() -> None:
    code, facts = script(
        "kill.py", "--count", "2", "--base", "tiny", "--epochs", "1", "--quick", "--tones", seconds=900
    )
    assert code == 0 and facts["problems"] == [] and facts["resumed"] == facts["identical"] > 0


@pytest.mark.slow
def test_large() -> None:
    code, facts = script("large.py", "--clips", "300", "--seconds", "4", seconds=7200)
    assert code == 0 and facts["growth_percent"] < 10
