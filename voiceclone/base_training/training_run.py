"""One training of a base: what every recipe takes, and how its trainer starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.facts import BaseFacts
from voiceclone.base_training.following import NOTHING, Following
from voiceclone.base_training.run_folder import BASE
from voiceclone.base_training.system import System
from voiceclone.base_training.trainer import Trainer, read_checkpoint
from voiceclone.base_training.training_tracker import TrainingTracker
from voiceclone.bases.base import Base
from voiceclone.distributed import ProcessGroup


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingRun:
    """What a recipe (:class:`voiceclone.base_training.systems.Recipe`) trains into ``out`` and packs into ``out/base``.

    The fields from ``boost`` on are read only by the recipes that name them in ``takes``.
    """

    corpus: Corpus = field(repr=False)
    config: TrainConfig
    out: Path
    """Folder of checkpoints and caches."""
    facts: BaseFacts = BaseFacts()
    """For the model card."""
    resume: bool = False
    """Go on from the checkpoint in ``out``."""
    train: bool = True
    """False packs the checkpoint in ``out`` without training."""
    init: Path | None = None
    """Folder of a base of the same system and preset whose weights the training starts from."""
    tracker: TrainingTracker = field(default_factory=TrainingTracker, repr=False)
    process_group: ProcessGroup | None = field(default=None, repr=False)
    """The processes that train together, of which the main one packs; None is this process alone."""
    boost: dict[str, float] = field(default_factory=dict)
    """How often a speaker is drawn, relative to the others (1)."""
    kept_out: Corpus | None = field(default=None, repr=False)
    """Held-out speakers, measured with voices made by the base's own encoders."""
    surrogate_share: float = 0.3
    """Length of the surrogate encoders' training as a share of the run's."""
    voices: int = 30
    """Stock voices to pack, the most different ones first."""
    voice_first: Sequence[str] = ()
    """Speakers whose voices are packed in any case."""
    then: Following = NOTHING
    """The caller's work after this run, for the time left."""
    voice: Path | None = None
    """A voice file of the speaker, for fine-tuning."""
    strength: float | None = None
    """Interpolation of a fine-tuned model's weights between the base (0) and the trained model (1)."""
    teacher: Base | None = field(default=None, repr=False)
    """The base that spoke the corpus, from whose weights a student starts unless ``init`` is given."""

    @property
    def group(self) -> ProcessGroup:
        """The processes that train together."""
        return self.process_group or ProcessGroup(device=torch.device(self.config.device))

    @property
    def base(self) -> Path:
        """Folder of the packed base."""
        return Path(self.out) / BASE

    def settled(self) -> TrainingRun:
        """This run with the settings of its checkpoint, where it only packs that.

        Raises:
            UsageError: there is no checkpoint, or it is damaged.
        """
        if self.train:
            return self
        return replace(self, config=TrainConfig.from_json(read_checkpoint(self.out)["config"]))

    def trainer(
        self,
        system: System,
        *,
        tracker: TrainingTracker | None = None,
        initialize: Callable[[], str] | None = None,
    ) -> Trainer:
        """The trainer of ``system`` at the start of this run.

        It goes on from the checkpoint if the run resumes or only packs; otherwise the weights are those of ``init``, or
        what ``initialize`` gives them, or random.

        Args:
            tracker: in place of the run's own.
            initialize: sets the weights of ``system`` and returns the name of where they are from.

        Raises:
            UsageError: nothing to resume, the checkpoint belongs to other data, or ``init`` does not fit.
            VoicecloneError: the files of ``init`` are damaged.
        """
        trainer = Trainer(system, self.out, tracker=tracker or self.tracker)
        if self.resume or not self.train:
            trainer.resume()
        elif self.init is not None:
            trainer.initialize_from(self.init)
        elif initialize is not None:
            trainer.init = initialize()
        return trainer
