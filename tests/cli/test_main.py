"""The command line as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support import QUICK, REPOSITORY

from voiceclone import __version__, load_base
from voiceclone.cli.main import COMMANDS, TRACEBACK, _parser, main
from voiceclone.ranges import range_of


def test_help_loads_nothing_heavy() -> None:
    """Help must take less than a second; as importing torch is what takes long, the imports are checked."""
    by_module = "runpy.run_module('voiceclone', run_name='__main__')"
    by_file = "runpy.run_path('training_styletts2.py', run_name='__main__')"
    for run, arguments in ((by_module, []), (by_module, ["clone"]), (by_file, [])):
        code = (
            f"import runpy, sys; sys.argv = {['voiceclone', *arguments, '--help']!r}\n"
            f"try:\n    {run}\nexcept SystemExit as stop:\n    assert not stop.code\n"
            "heavy = {'torch', 'numpy', 'kokoro', 'librosa'} & set(sys.modules)\nassert not heavy, heavy\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
        assert done.returncode == 0, done.stderr
        assert "--" in done.stdout


def test_a_missing_dataset_is_refused_before_torch_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom voiceclone.cli.main import main\n"
        f"assert main(['clone', '--data', {str(tmp_path / 'none')!r}]) == 2\nassert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 0 and "no such dataset folder" in done.stderr


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help_with_its_flags(command: str, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0 and "--" in capsys.readouterr().out


def test_version(capsys) -> None:
    for arguments, program in (
        (["--version"], None),
        (["clone", "--version"], None),
        (["clone", "--version"], "training_styletts2.py"),
    ):
        with pytest.raises(SystemExit):
            main(arguments, program=program)
        assert __version__ in capsys.readouterr().out


def test_flags_win_over_the_config_file_and_that_over_the_defaults(tmp_path: Path, dataset_folder, base_folder) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(f"data: {dataset_folder}\nname: from_file\nepochs-projection: 3\nseed: 5\nbase: {base_folder}\n")
    flags = ["--config", str(config), "--epochs-projection", "1", "--out", str(tmp_path), "--offline", "--quiet"]
    assert main(["clone", *flags, "--device", "cpu", "--without", QUICK]) == 0
    resolved = json.loads((tmp_path / "from_file" / "config.json").read_text())
    assert (resolved["epochs_projection"], resolved["seed"], resolved["lr_projection"]) == (1, 5, 4e-3)


def test_ctrl_c_is_one_line_and_exit_code_130(monkeypatch, capsys, dataset_folder, base_folder, tmp_path: Path) -> None:
    from voiceclone.cloning import pipeline as stages

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "extract_styles", lambda *a, **k: interrupted())
    arguments = ["--data", str(dataset_folder), "--base", str(base_folder), "--out", str(tmp_path), "--offline"]
    assert main(["clone", *arguments]) == 130
    assert "--resume" in capsys.readouterr().err.strip().splitlines()[-1]


def test_a_closed_pipe_gives_no_traceback(tmp_path: Path, base_folder: Path) -> None:
    load_base(base_folder).stock_voices["stock_1"].save(tmp_path / "v.pt")
    command = f"{sys.executable} -m voiceclone inspect {tmp_path / 'v.pt'} | true"
    started = time.monotonic()
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=REPOSITORY)
    assert "Traceback" not in done.stderr and time.monotonic() - started < 60


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_whole_number_has_a_range(command: str) -> None:
    commands = next(action for action in _parser([command], None)._actions if action.choices)
    numbers = [action for action in commands.choices[command]._actions if action.type is int]
    for action in numbers:
        lowest, highest = range_of(action.dest, command)
        assert lowest < highest and (action.default is None or lowest <= action.default <= highest)


def test_a_bug_is_one_line_that_says_how_to_see_more(monkeypatch, capsys, tmp_path: Path) -> None:
    def broken(*_, **__):
        raise KeyError("made for this test")

    monkeypatch.setattr("voiceclone.data.demo.make_demo_dataset", broken)
    monkeypatch.delenv(TRACEBACK, raising=False)
    assert main(["demo-data", "--out", str(tmp_path / "d")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "KeyError: 'made for this test'" in lines[0]
    assert "this is a bug" in lines[0] and TRACEBACK in lines[0]
    monkeypatch.setenv(TRACEBACK, "1")
    assert main(["demo-data", "--out", str(tmp_path / "d")]) == 1
    assert "Traceback" in capsys.readouterr().err


CPU_MEMORY = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"


@pytest.mark.parametrize(
    ("error", "on_gpu"),
    [
        (MemoryError(), False),
        (RuntimeError(CPU_MEMORY), False),
        (torch.OutOfMemoryError("Tried to allocate 20.00 GiB"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"), True),
    ],
)
def test_memory_that_runs_out_is_no_bug(error: Exception, on_gpu: bool, monkeypatch, capsys, tmp_path: Path) -> None:
    def greedy(*_, **__):
        raise error

    monkeypatch.setattr("voiceclone.data.demo.make_demo_dataset", greedy)
    assert main(["demo-data", "--out", str(tmp_path / "d")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: not enough memory") and "--max-training-clips" in line
    assert ("--device cpu" in line) is on_gpu


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_wrong_argument_names_its_command(command: str, capsys) -> None:
    needed = {
        "batch": ["v.csv"], "say": ["hi", "--voice", "v", "--out", "o.wav"], "inspect": ["v"],
        "evaluate": ["--voice", "v", "--data", "d"], "mix": ["v", "--out", "o.pt"],
        "zero-shot": ["c.wav"], "export": ["v", "--to", "pt", "--out", "o"],
        "prepare": ["s", "--out", "o"], "train-base": ["--data", "d", "--out", "o"],
        "fidelity": ["v", "0.5", "--out", "o.pt"],
    }  # fmt: skip
    with pytest.raises(SystemExit) as stop:
        main([command, *needed.get(command, []), "--no-such-option"])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.splitlines() == [
        f"voiceclone {command}: error: unrecognized arguments: --no-such-option (see voiceclone {command} --help)"
    ]
