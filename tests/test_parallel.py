"""One voice by two processes, as ``accelerate launch`` starts them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from support import REPOSITORY

from voiceclone import VoicePack, clone


def free_port() -> str:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def launch(processes: int, *arguments: str) -> subprocess.CompletedProcess:
    """The main job under ``accelerate launch``, on the CPU (gloo)."""
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes),
                "--main_process_port", free_port(), "--mixed_precision", "no", "--dynamo_backend", "no"]  # fmt: skip
    return subprocess.run(
        [sys.executable, *launcher, "training_styletts2.py", *arguments],
        cwd=REPOSITORY, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=900,
    )  # fmt: skip


def test_two_processes_train_the_voice_that_one_trains(base_folder: Path, dataset_folder: Path, tmp_path: Path) -> None:
    """The same crops, summed gradients.

    To the rounding error, without what makes more of it: the random noise in sound, and time warping anew.
    """
    settings = {"base": str(base_folder), "epochs_projection": 6, "device": "cpu", "without": "mel,speaker,alignment"}
    alone = clone(dataset_folder, "v", out=str(tmp_path / "one"), offline=True, **settings)
    flags = [part for name, value in settings.items() for part in ("--" + name.replace("_", "-"), str(value))]
    done = launch(2, "--data", str(dataset_folder), "--name", "v", "--out", str(tmp_path / "two"), "--offline", *flags)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.count("voice: ") == 1, "one process speaks for all"
    together = VoicePack.load(tmp_path / "two" / "v" / "v.pt").tensor
    anchor = torch.load(tmp_path / "two" / "v" / "v_artifacts.pt", weights_only=True)["anchor"]
    moved = (alone.voice.tensor[100] - anchor).norm()
    assert moved > 1e-3
    assert (together - alone.voice.tensor)[100].norm() < 1e-3 * moved
    report = json.loads((tmp_path / "two" / "v" / "report.json").read_text())
    assert report["epochs"] == alone.report["epochs"] == 6
    assert {p.name for p in (tmp_path / "two" / "v").iterdir()} == {p.name for p in alone.folder.iterdir()}


def test_what_is_wrong_is_said_once_and_nobody_waits(base_folder: Path, tmp_path: Path) -> None:
    missing = tmp_path / "none"
    done = launch(2, "--data", str(missing), "--base", str(base_folder), "--out", str(tmp_path / "out"), "--offline")
    assert done.returncode != 0
    assert done.stderr.count("error: " + str(missing)) == 1, done.stderr[-2000:]
