"""``batch --address`` on a Ray cluster of two local nodes, one of which is lost."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support import QUICK

from voiceclone import VoicePack, clone
from voiceclone.cloning.batch.cluster import ClusterRunner, clone_one, portable
from voiceclone.cloning.batch.plan import BatchRow
from voiceclone.cloning.batch.report import FAILED, FINISHED
from voiceclone.cloning.batch.run import other_settings, run_batch
from voiceclone.cloning.config import CloneConfig
from voiceclone.cloning.folder import RunFolder
from voiceclone.errors import MissingPackageError, VoicecloneError
from voiceclone.tracking.progress import Reporter

QUIET = Reporter(-1, io.StringIO())
pytestmark = pytest.mark.usefixtures("quick_clones")


@pytest.fixture
def settings(base_folder: Path, dataset_folder: Path, tmp_path: Path) -> dict[str, Any]:
    return {"data": str(dataset_folder), "base": str(base_folder), "out": str(tmp_path / "out"), "offline": True,
            "device": "cpu", "without": QUICK, "epochs_projection": 2}  # fmt: skip


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head and a second node; each has one processor and, as far as Ray knows, one GPU."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")  # the test machine may be busy
    monkeypatch.setenv("RAY_worker_niceness", "0")  # and leave no processor time to nice processes
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "300")
    node = {"num_cpus": 1, "num_gpus": 1, "object_store_memory": 100 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    made.second = made.add_node(**node)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


def rows_of(settings: dict[str, Any], *names: str, **changes: Any) -> list[BatchRow]:
    configs = [CloneConfig(**{**settings, **changes}, name=name, seed=number) for number, name in enumerate(names)]
    return [BatchRow(line=line, config=config) for line, config in enumerate(configs, 2)]


def wait_for(happened: Callable[[], bool], seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.2)


@pytest.mark.slow
def test_a_table_is_cloned_on_the_cluster_and_one_failure_stops_nothing(cluster, settings, tmp_path: Path) -> None:
    rows = rows_of(settings, "anna", "bert", "carl")
    (tmp_path / "nothing").mkdir()
    rows[1] = BatchRow(line=3, config=CloneConfig(**{**settings, "data": str(tmp_path / "nothing")}, name="bert"))
    runner = ClusterRunner(address=cluster.address, gpus=0.5)
    outcomes = run_batch(rows, tmp_path / "out", runner=runner, reporter=QUIET)
    assert [outcome.status for outcome in outcomes] == [FINISHED, FAILED, FINISHED]
    assert str(tmp_path / "nothing") in outcomes[1].error and "--" not in outcomes[1].error[:2]
    alone = clone(**{**settings, "out": str(tmp_path / "alone")}, name="anna", seed=0)
    assert VoicePack.load(tmp_path / "out" / "anna" / "anna.pt").tensor.equal(alone.voice.tensor)
    again = run_batch(rows[::2], tmp_path / "out", runner=runner, reporter=QUIET)
    assert all(outcome.kept for outcome in again)


@pytest.mark.slow
def test_a_lost_machine_loses_no_voice_and_no_epoch(cluster, settings, tmp_path: Path, monkeypatch) -> None:
    """Each node trains one voice; one is killed, and its voice goes on from its last epoch on the other."""
    rows = rows_of(settings, "anna", "bert", epochs_projection=60)
    folders = [RunFolder(row.config.folder) for row in rows]
    begun: dict[str, int] = {}

    def kill_second() -> None:
        wait_for(lambda: all(folder.last_checkpoint.is_file() for folder in folders))
        begun.update({str(folder.path): folder.last_checkpoint.stat().st_ino for folder in folders})
        cluster.remove_node(cluster.second, allow_graceful=False)

    killer = threading.Thread(target=kill_second)
    killer.start()
    outcomes = run_batch(rows, tmp_path / "out", runner=ClusterRunner(address=cluster.address), reporter=QUIET)
    killer.join()
    assert len(begun) == 2 and [outcome.status for outcome in outcomes] == [FINISHED, FINISHED], outcomes
    for row in rows:
        alone = clone(**{**row.config.as_dict(), "out": str(tmp_path / "alone"), "resume": None})
        made = VoicePack.load(RunFolder(row.config.folder).voice).tensor
        torch.testing.assert_close(made, alone.voice.tensor)


@pytest.mark.slow
def test_what_no_machine_has_and_a_cluster_that_is_not_there_are_one_line(cluster, settings, tmp_path: Path) -> None:
    rows = rows_of(settings, "anna")
    runner = ClusterRunner(address=cluster.address, gpus=8.0)
    with pytest.raises(VoicecloneError, match="asks for 8 GPU, the cluster has 2"):
        run_batch(rows, tmp_path / "out", runner=runner, reporter=QUIET)
    with pytest.raises(VoicecloneError, match="no Ray cluster answers"):
        run_batch(rows, tmp_path / "out", runner=ClusterRunner(address="127.0.0.1:1"), reporter=QUIET)


def test_a_worker_gets_absolute_paths_and_resumes_the_work_of_another(settings, tmp_path, monkeypatch) -> None:
    (row,) = rows_of(settings, "anna", overwrite=True)
    given = portable(row.config)
    assert given["resume"] == "auto" and not given["overwrite"]
    assert clone_one(given)[0] == ""
    assert portable(row.config) and not RunFolder(row.config.folder).is_finished(), "what is to be replaced is there"
    assert clone_one(given)[0] == ""
    monkeypatch.chdir(tmp_path.parent)
    near = CloneConfig(**{**settings, "out": f"{tmp_path.name}/out", "base": settings["base"]}, name="anna")
    assert portable(near)["out"] == settings["out"]
    assert other_settings(near, RunFolder(row.config.folder)) == ""
    error, said = clone_one({**given, "name": "bert", "data": str(tmp_path)})
    assert "metadata" in error and not said


def test_without_ray_one_line_says_what_to_install(settings, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("voiceclone.system.extras.importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"address needs ray, which is not installed.*\[cluster\]"):
        run_batch(rows_of(settings, "anna"), tmp_path, runner=ClusterRunner(address="auto"), reporter=QUIET)
