"""Training with several processes equals training with one, can be resumed, and detects the loss of a process."""

import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time

import pytest
import torch
from base_training.process_group_worker import CONFIG, DEAD, LOST, REPLACED, train
from support import REPOSITORY, double_precision, doubled

from voiceclone.base_training.batches import BatchMaker
from voiceclone.base_training.recorded import RecordedSystem
from voiceclone.base_training.trainer import Trainer, read_checkpoint
from voiceclone.distributed import ProcessGroup, open_process_group
from voiceclone.errors import UsageError


def start(size, cache, out, job="base", timeout=900):
    """Run the job in ``size`` processes; returns their exit codes."""
    out.mkdir(exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["base_training.process_group_worker"])  # imported once for all processes
    port = free_port()
    workers = [context.Process(target=train, args=(rank, size, port, cache, out, job)) for rank in range(size)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout)
    codes = [worker.exitcode for worker in workers]
    for worker in workers:
        worker.kill()
    return codes


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def alone(cache, tmp_path_factory):
    """Result of training with one process."""
    out = tmp_path_factory.mktemp("alone")
    assert start(1, cache, out) == [0]
    return out


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_several_processes_train_what_one_does_and_notice_when_one_dies(corpus, cache, alone, tmp_path, size):
    """Three processes: shares of one and of no row, since every other batch has two."""
    began = time.monotonic()
    codes = start(size, cache, tmp_path, "dies", timeout=600)
    assert codes[:2] == [LOST, DEAD]
    assert time.monotonic() - began < 600  # torch itself would wait for half an hour
    expected, found = read_checkpoint(alone), read_checkpoint(tmp_path)
    fresh = untrained(corpus, tmp_path)
    for part in ("trainee", "averaged", "discriminators"):
        initial_state = getattr(fresh.system, "trained" if part == "trainee" else part).state_dict()
        moved = apart(expected[part], initial_state)
        assert moved > 1e-2, part
        assert apart(found[part], expected[part]) < 1e-6 * moved, part
    for ours, theirs in zip(found["history"], expected["history"], strict=True):
        assert set(ours) == set(theirs)
        same = set(ours) - {"seconds", "step_seconds", "memory_mb"}
        assert all(ours[name] == pytest.approx(theirs[name], rel=1e-6, abs=1e-6) for name in same)
    states = [torch.load(tmp_path / f"trainee-{rank}.pt") for rank in range(size)]
    assert all(torch.equal(states[0][name], state[name]) for state in states for name in states[0])


def untrained(corpus, out):
    """A trainer before its first step; its prosodic encoder is a copy of the acoustic one, as in training."""
    with double_precision():  # as in the processes: random numbers differ from those in single precision
        trainer = Trainer(RecordedSystem(corpus, CONFIG), out)
    for trainee in (trainer.system.trained, trainer.system.averaged):
        trainee.encoders.prosodic.load_state_dict(trainee.encoders.acoustic.state_dict())
    return trainer


def apart(ours, theirs):
    """Distance between two sets of weights, without spectral norm's vectors, which are updated in every pass."""
    weights = {name: value for name, value in ours.items() if f"{name[:-1]}u" not in ours}
    return float(torch.stack([(value - theirs[name]).norm() for name, value in weights.items()]).norm())


@pytest.mark.slow
def test_surrogate_encoders_are_those_of_one_process(cache, tmp_path):
    assert start(1, cache, tmp_path / "one", "second") == [0]
    assert start(2, cache, tmp_path / "two", "second") == [0, 0]
    expected = torch.load(tmp_path / "one" / "pair-0.pt")
    for rank in range(2):
        found = torch.load(tmp_path / "two" / f"pair-{rank}.pt")
        assert apart(found, expected) < 1e-4 * apart(expected, {name: 0 * value for name, value in expected.items()})


@pytest.mark.slow
def test_a_run_continues_with_another_number_of_processes(corpus, cache, tmp_path):
    for out, first, second in ((tmp_path / "a", 1, 2), (tmp_path / "b", 2, 1)):
        assert start(first, cache, out) == [0] * first
        assert start(second, cache, out, "resume") == [0] * second
    ours, theirs = (read_checkpoint(tmp_path / name) for name in "ab")
    assert ours["step"] == theirs["step"] == 6
    moved = apart(ours["trainee"], untrained(corpus, tmp_path).system.trained.state_dict())
    assert apart(ours["trainee"], theirs["trainee"]) < 1e-6 * moved


@pytest.mark.slow
def test_a_process_that_does_not_answer_ends_the_others(cache, tmp_path):
    began = time.monotonic()
    assert start(2, cache, tmp_path, "sleeps", timeout=600)[0] == LOST
    assert time.monotonic() - began < 600


def test_rows_of_the_processes_make_up_the_batch(corpus):
    whole = BatchMaker(corpus, CONFIG).prosody(0)
    parts = [BatchMaker(corpus, CONFIG, process_group=ProcessGroup(rank=i, world_size=2)).prosody(0) for i in range(2)]
    assert [len(part.lengths) for part in parts] == [2, 1]
    for name in ("tokens", "durations", "frame_tokens", "f0", "energy", "style_mel", "style_noise", "speakers"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name)), name
    for name in ("rows", "tokens", "inner"):
        assert sum(getattr(part.share, name) for part in parts) == pytest.approx(1.0)
    assert whole.share.rows == whole.share.tokens == whole.share.inner == 1.0
    assert ProcessGroup(rank=3, world_size=4).rows(2) == ([0], 0.0)


def test_processes_draw_different_noise_from_one_seed():
    drawn = []
    for rank in (0, 1, 2, 1):
        with ProcessGroup(rank=rank, world_size=3).seeded(5):
            drawn.append(torch.rand(8))
    assert torch.equal(drawn[1], drawn[3])
    assert not any(torch.equal(drawn[a], drawn[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    torch.manual_seed(5)
    assert torch.equal(drawn[0], torch.rand(8)), "one process alone draws what the first of several does"


def test_gradients_of_the_shares_add_up(corpus, tmp_path, monkeypatch):
    """Every term but feature matching, which communicates between processes."""
    for module, name, function in REPLACED:
        monkeypatch.setattr(module, name, function)
    with double_precision():
        trainer = Trainer(RecordedSystem(corpus, CONFIG), tmp_path)
        trainer.system.trained.train()
        whole, parts = (
            gradients(trainer, None),
            [gradients(trainer, ProcessGroup(rank=i, world_size=2)) for i in range(2)],
        )
    assert len(whole) > 100
    largest = max(float(value.norm()) for value in whole.values())
    for key, value in whole.items():
        summed = sum(part[key] for part in parts)
        assert float((summed - value).norm()) <= 1e-9 * float(value.norm()) + 1e-13 * largest, key


def gradients(trainer, process_group):
    """Gradient of each parameter for the prosodic and acoustic terms of the rows of one process."""

    def acoustic(batch):
        return trainer.system.objective.acoustic(batch, adversarial=False)[0]

    batches, found = BatchMaker(trainer.system.corpus, CONFIG, process_group=process_group), {}
    initial_state = {name: value.clone() for name, value in trainer.system.trained.state_dict().items()}
    for batch, term in ((batches.prosody(0), trainer.system.objective.prosody), (batches.acoustic(0), acoustic)):
        batch = doubled(batch)
        trainer.system.trained.zero_grad()
        trainer.system.objective.total(batch.share.of(term(batch))).backward()
        trainer.system.trained.load_state_dict(initial_state)  # spectral norm is updated in every pass
        for name, parameter in trainer.system.trained.named_parameters():
            if parameter.grad is not None:
                found[term.__name__, name] = parameter.grad.clone()
    return found


def test_a_launcher_that_starts_one_process_for_several_is_refused(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(UsageError, match="--multi_gpu"), open_process_group("cpu"):
        pass


@pytest.mark.slow
def test_command_line_under_accelerate(spoken, tmp_path):
    """Features are computed once, one set of files is written, one process prints; an error ends all processes."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
               "--main_process_port", str(free_port()), "-m", "voiceclone", "train-base", "--device", "cpu",
               "--data", str(spoken / "train"), "--preset", "tiny", "--out", str(tmp_path / "run"),
               "--steps", "2", "--surrogate-share", "0.5", "--voices", "2", "--tensorboard"]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("base: ") == 1
    assert done.stderr.count("checkpoint written") == 1
    assert (tmp_path / "run" / "base" / "model.safetensors").is_file()
    assert json.loads((tmp_path / "run" / "train_config.json").read_text())["steps"] == 2
    assert len(list((tmp_path / "run" / "tensorboard").rglob("events*"))) == 1
    again = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=1200)
    assert again.returncode != 0
    assert again.stderr.count("error: ") == 1
    assert "--resume" in again.stderr
