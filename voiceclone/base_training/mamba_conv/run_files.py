"""Files that a run writes beside the trainer's checkpoint: best model, checkpoints by step, plots."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.base_training.mamba_conv.codes import codec_key
from voiceclone.base_training.mamba_conv.system import MambaConvSystem
from voiceclone.base_training.mamba_conv.validation import calibration_figures, token_figures
from voiceclone.base_training.run_folder import BEST, NUMBERED, numbered_files
from voiceclone.base_training.training_tracker import TrainingTracker
from voiceclone.errors import VoicecloneError
from voiceclone.files import atomic_path
from voiceclone.models.mamba_conv.bundle import load_bundle
from voiceclone.plotting.plots import save_figure
from voiceclone.plotting.run_plots import run_figure

if TYPE_CHECKING:
    from voiceclone.base_training.trainer import Trainer

KEPT = 3  # number of checkpoints by step that are kept
# settings that may change when a run is resumed
CHANGING = ("steps", "minutes", "device", "log_every", "checkpoint_minutes")


class RunFiles(TrainingTracker):
    """At every checkpoint of the trainer: validate, save the best model, copy the checkpoint, plot.

    Args:
        inner: sends metrics, audio and mels to trackers.
    """

    def __init__(self, out: Path, *, inner: TrainingTracker | None = None) -> None:
        super().__init__(None if inner is None else inner.trackers, None if inner is None else inner.reporter)
        self.out, self.inner = out, inner
        self.done = -1  # step of the last checkpoint, because the trainer may call twice for the last one

    def checkpoint(self, trainer: Trainer) -> None:
        """Write the files of a checkpoint."""
        system, step = trainer.system, trainer.step
        assert isinstance(system, MambaConvSystem)
        if step == self.done:
            return
        self.done = step
        model = system.averaged.model
        found = token_figures(model, system.batches)
        before = self._best(trainer)
        # Without held-out utterances, the last model counts as the best.
        if before is None or not found or found["tokens"] < before:
            facts = {
                "step": step, "seconds": trainer.seconds, "config": trainer.config.to_json(), "validation": found,
                "calibration": calibration_figures(model, system.batches, system.training),
                "history": trainer.history, "init": trainer.init,
            }  # fmt: skip
            system.bundle(facts).save(self.out / BEST)
        with atomic_path(self.out / f"checkpoint_{step}.pt") as temporary:
            shutil.copyfile(self.out / "checkpoint.pt", temporary)
        save_figure(run_figure(trainer.history, f"step {step}"), self.out / f"enhanced_training_plots_{step}.png")
        self._tidy()
        if self.inner is not None:
            if found:
                self.inner.trackers.scalars({f"validation/{name}": value for name, value in found.items()}, step)
            self.inner.checkpoint(trainer)

    def _best(self, trainer: Trainer) -> float | None:
        """Validation loss of the best model of this run; None where there is none, or it is from another run."""
        try:
            bundle = load_bundle(self.out / BEST)
        except VoicecloneError:  # missing, or of another version
            return None
        facts: dict[str, Any] = dict(bundle.facts)
        system = trainer.system
        assert isinstance(system, MambaConvSystem)
        same = _lasting(facts.get("config", {})) == _lasting(trainer.config.to_json())
        same = same and codec_key(bundle.codec) == codec_key(system.codec)
        same = same and facts.get("step", 0) <= trainer.step
        return facts.get("validation", {}).get("tokens") if same else None

    def _tidy(self) -> None:
        """Keep the newest checkpoints and plots. Those of later steps belong to a run that was replaced."""
        for pattern in NUMBERED:
            steps = numbered_files(self.out, pattern)
            ours = [path for path in sorted(steps, key=steps.__getitem__) if steps[path] <= self.done]
            for old in {*steps} - {*ours[-KEPT:]}:
                old.unlink(missing_ok=True)


def _lasting(config: dict[str, Any]) -> dict[str, Any]:
    """The settings that must not change when a run is resumed."""
    return {name: value for name, value in config.items() if name not in CHANGING}
