"""Functions that the processes of a process group run in tests; a module of their own because they run by name."""

import dataclasses
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch
from support import doubled

from voiceclone import distributed
from voiceclone.base_training.batch import Batch
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.recorded import RecordedSystem
from voiceclone.base_training.surrogate_encoders import train_surrogate_encoders
from voiceclone.base_training.trainer import Trainer
from voiceclone.distributed import ProcessLostError, open_process_group

LOST = 7
"""Exit code of a process that detected the loss of another one."""
DEAD = 9
"""Exit code of the lost one."""
CONFIG = TrainConfig(
    preset="tiny", steps=4, warmup_steps=1, crop_frames=16, crop_batch=3, long_batch=2, long_every=2, prosody_batch=3,
    prosody_frames=40, prosody_every=1, acoustic_share=0.25, adversarial_share=0.5, learning_rate=0.01,
    discriminator_rate=0.05, log_every=1, ema_half_life=2.0,
)  # fmt: skip


def train(rank: int, size: int, port: int, cache: Path, out: Path, job: str) -> None:
    """Train a base (``job`` "base" or "resume") or surrogate encoders ("second") or stop responding ("dies", "sleeps").

    A process of the job "dies" does so after the training, so that one start of the processes shows both.
    """
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size), MASTER_ADDR="127.0.0.1",
                      MASTER_PORT=str(port))  # fmt: skip
    torch.set_num_threads(1)
    for module, name, function in REPLACED:
        setattr(module, name, function)
    # Adam amplifies the rounding error of a zero gradient to a full step.
    torch.optim.AdamW = lambda parameters, lr, **options: torch.optim.SGD(parameters, lr=lr)
    if job == "sleeps":
        distributed.STEP_TIMEOUT = timedelta(seconds=4)
    try:
        with open_process_group("cpu") as process_group:
            if job == "second":
                pair = train_surrogate_encoders(Corpus([cache]), "tiny", seed=0, steps=2, process_group=process_group)
                torch.save(pair.state_dict(), out / f"pair-{rank}.pt")
                return
            _compute_in_double()
            trainer = Trainer(RecordedSystem(Corpus([cache]), CONFIG, process_group=process_group), out)
            if job == "resume":
                trainer.config = dataclasses.replace(CONFIG, steps=6)
                trainer.resume()
            if job == "sleeps" and rank == 1:
                trainer.train_step = lambda: time.sleep(12)
            trainer.run()
            torch.save(trainer.system.trained.state_dict(), out / f"trainee-{rank}.pt")
            if job == "dies":
                trainer.config = dataclasses.replace(CONFIG, steps=CONFIG.steps + 1)
                if rank == 1:
                    trainer.train_step = lambda: os._exit(DEAD)
                trainer.run()
    except ProcessLostError:
        sys.exit(LOST)


def _compute_in_double() -> None:
    """In single precision the vocoder's source amplifies rounding to 0.001 of a gradient."""
    torch.set_default_dtype(torch.float64)
    to = Batch.to

    Batch.to = lambda batch, device: to(doubled(batch), device)


def _every_row_the_same(*shape: int) -> torch.Tensor:
    """Normal noise that is the same in every row, independent of the number of rows.

    Zeros cannot be used, because the phase of an all-zero spectrum is determined by rounding.
    """
    noise = torch.randn(shape[1:], generator=torch.Generator().manual_seed(0))
    return noise.expand(shape).clone()


REPLACED = (
    (torch.nn.functional, "dropout", lambda x, p=0.5, training=True, inplace=False: x),
    (torch, "randn_like", lambda x, **_: _every_row_the_same(*x.shape)),
    (torch, "rand", lambda *shape, **_: _every_row_the_same(*shape).sigmoid()),
)
"""Replacements inside Kokoro's modules for functions that depend on the number of processes: (module, name,
function)."""
