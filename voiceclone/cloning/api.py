"""Clone a voice: dataset -> styles (stage 1) -> projection (stage 2) -> voice pack and speech (stage 3)."""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from voiceclone.bases.stock_names import NANO, checked_base
from voiceclone.cloning.config import CloneConfig, merge
from voiceclone.cloning.context import Run, no_student, open_run
from voiceclone.cloning.folder import RunFolder
from voiceclone.cloning.pipeline import three_stages
from voiceclone.cloning.report import CloneReport
from voiceclone.distributed import choose_device
from voiceclone.files import write_json, write_text
from voiceclone.projection.state import TrainingState
from voiceclone.tracking.progress import Reporter
from voiceclone.tracking.wandb import check_project
from voiceclone.voice.pack import VoicePack


@dataclass(frozen=True, kw_only=True, eq=False)
class CloneResult:
    """Output files of a clone run."""

    voice: VoicePack = field(repr=False)
    folder: Path
    report: CloneReport = field(repr=False)
    """The content of ``report.json``."""


def clone(
    data: str | os.PathLike[str] | None = None,
    name: str | None = None,
    *,
    reporter: Reporter | None = None,
    **settings: Any,
) -> CloneResult:
    """Clone a voice from a dataset folder. Same as the command ``voiceclone clone``.

    Args:
        data: dataset folder (``train/metadata.jsonl``, or ``metadata.jsonl`` beside the clips).
        name: name of the voice.
        reporter: receives messages and progress; by default only warnings are written, to standard error.
        settings: fields of :class:`voiceclone.cloning.config.CloneConfig`; paths as text or ``os.PathLike``.

    Returns:
        The voice and its files.

    Raises:
        UsageError: a setting or path is wrong.
        VoicecloneError: cloning failed.
    """
    flags = {"data": data, "name": name, **settings}
    return clone_with(merge(flags, {}), reporter or Reporter(verbosity=-1))


def clone_with(config: CloneConfig, reporter: Reporter) -> CloneResult:
    """Run the three stages with a validated config; see :func:`clone`."""
    with _random_state_kept():
        return _clone(config, reporter)


def _clone(config: CloneConfig, reporter: Reporter) -> CloneResult:
    check_settings(config)
    device = choose_device(config.device)
    folder = RunFolder(config.folder)
    with contextlib.ExitStack() as held:
        if _claim(config, folder, held):
            reporter.elapsed.clear()  # of an earlier clone in this process
            run = open_run(config, folder, device, reporter)
            three_stages(run, _begin(run))
        else:
            reporter.info(f"{folder.voice} is finished already: nothing to resume")
        return CloneResult(voice=VoicePack.load(folder.voice), folder=folder.path, report=folder.read_report())


def check_settings(config: CloneConfig) -> None:
    """Check the settings of a clone that can be checked without loading a model or reading the dataset.

    Raises:
        UsageError: a setting names something that does not exist.
    """
    if checked_base(config.base) == NANO and config.finish:
        raise no_student(config.finish, NANO)
    choose_device(config.device)
    if config.wandb:
        check_project(config.wandb_project)


def _claim(config: CloneConfig, folder: RunFolder, held: contextlib.ExitStack) -> bool:
    """Lock the run folder until ``held`` closes. Returns False where the voice is already finished."""
    folder.check_free(resume=config.resume, overwrite=config.overwrite)
    if config.resume == "auto" and folder.is_finished() and not config.overwrite:
        folder.tidy()
        return False
    held.enter_context(folder.locked())
    return True


def _begin(run: Run) -> TrainingState | None:
    """The state to resume from, or None. Writes the run's config."""
    state = run.folder.resume_state(run.config.resume, run.identity) if run.config.resume else None
    if state is None:
        run.folder.clear()
    write_text(run.folder.path / "config.json", _resolved_config(run))
    write_json(run.folder.path / "dataset_report.json", run.dataset.report)
    return state


def _resolved_config(run: Run) -> str:
    from voiceclone.system.versions import package_versions

    found = {"device": str(run.device), "base_name": run.base.name, "base_sha256": run.base.sha256}
    return json.dumps({**run.config.placed(), **found, "versions": package_versions()}, indent=2) + "\n"


@contextlib.contextmanager
def _random_state_kept() -> Iterator[None]:
    """Restore the global random generators on exit, because libraries draw from them or seed them."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    # Without a list of devices every GPU is initialized, which fails where the driver is too old for torch.
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
