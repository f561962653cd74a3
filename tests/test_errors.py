"""Messages: flags on the command line, arguments in the Python API, one printable line."""

from __future__ import annotations

import pickle

import pytest

from voiceclone.cli.main import main
from voiceclone.errors import UsageError, as_arguments, speaking_of_flags


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [
        ("--name 'a b': use letters", "name='a b': use letters"),
        ("--seed -1: use a whole number", "seed=-1: use a whole number"),
        ("--lr-projection 2.0: use a number", "lr_projection=2.0: use a number"),
        ("--resume /a/--b.pt: no such checkpoint", "resume=/a/--b.pt: no such checkpoint"),
        ("--resume: made with another base", "resume: made with another base"),
        ("continue with --resume, or --overwrite", 'continue with resume="auto", or overwrite=True'),
        ("give --base FILE.onnx, or use `--base nano`", 'give base=FILE.onnx, or use `base="nano"`'),
        ("run `voiceclone download --from hub`", "run `voiceclone download --from hub`"),
        ("no voice '--also' in a--b", "no voice '--also' in a--b"),
    ],
)
def test_flags_become_arguments(flags: str, arguments: str) -> None:
    assert str(UsageError(flags)) == arguments == as_arguments(arguments)
    with speaking_of_flags():
        assert str(UsageError(flags)) == flags


def test_an_error_that_travels_between_processes_keeps_its_flags() -> None:
    travelled = pickle.loads(pickle.dumps(UsageError("--seed -1: no")))
    with speaking_of_flags():
        assert str(travelled) == "--seed -1: no"


def test_the_command_line_speaks_of_flags_only_while_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clone", "--data", "nowhere", "--device", "tpu"]) == 2
    assert "--device 'tpu'" in capsys.readouterr().err
    assert str(UsageError("--device 'tpu'")) == "device='tpu'"
