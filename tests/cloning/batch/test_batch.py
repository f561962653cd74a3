"""``batch`` from the command line."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import QUICK

from voiceclone import VoicePack
from voiceclone.cli.main import main
from voiceclone.cloning.batch.local import LocalRunner, gpus_of_slots, last_words
from voiceclone.cloning.batch.plan import read_table
from voiceclone.cloning.batch.report import read_outcome
from voiceclone.cloning.batch.run import run_batch
from voiceclone.errors import UsageError
from voiceclone.tracking.progress import Reporter

pytestmark = pytest.mark.usefixtures("quick_clones")


def flags_of(base: Path, out: Path) -> list[str]:
    return ["--base", str(base), "--out", str(out), "--epochs-projection", "1", "--offline", "--device", "cpu",
            "--quiet", "--without", QUICK]  # fmt: skip


@pytest.fixture
def flags(base_folder: Path, tmp_path: Path) -> list[str]:
    return flags_of(base_folder, tmp_path / "out")


@dataclass(frozen=True)
class Batch:
    """A batch that has run."""

    table: Path
    out: Path
    flags: list[str]
    code: int
    said: str


@pytest.fixture(scope="module")
def batch(base_folder: Path, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """One good voice, whose TensorBoard has a file in its way, and one voice whose clips are not there."""
    folder = tmp_path_factory.mktemp("batch")
    (folder / "nowhere").mkdir()
    (folder / "nowhere" / "metadata.csv").write_text("lost_1.wav|Gone.\nlost_2.wav|Gone, too.\n")
    (folder / "out" / "anna").mkdir(parents=True)
    (folder / "out" / "anna" / "tensorboard").write_text("in the way")
    anna = f'anna,{dataset_folder},"Anna, by letter",4,yes'
    table = table_of(folder, "name,data,consent,seed,tensorboard", anna, "bert,nowhere,,,no")
    flags = flags_of(base_folder, folder / "out")
    with contextlib.redirect_stderr(io.StringIO()) as said:
        code = main(["batch", str(table), *flags, "--processes", "2"])
    table_of(folder, "name,data,consent,seed,tensorboard", anna)
    return Batch(table, folder / "out", flags, code, said.getvalue())


def table_of(folder: Path, *lines: str) -> Path:
    path = folder / "voices.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_voices_are_cloned_and_reported_and_one_failure_stops_nothing(batch: Batch) -> None:
    assert batch.code == 1
    assert "bert failed" in batch.said and "nowhere" in batch.said and "Traceback" not in batch.said
    assert "warning: anna: TensorBoard is off, the work goes on" in batch.said
    report = json.loads((batch.out / "batch_report.json").read_text())
    assert [(v["name"], v["status"]) for v in report["voices"]] == [("anna", "finished"), ("bert", "failed")]
    assert not any(voice["kept"] for voice in report["voices"])
    assert report["voices"][0]["consent"] == "Anna, by letter" and "nowhere" in report["voices"][1]["error"]
    assert "| anna | finished |" in (batch.out / "batch_report.md").read_text()
    assert VoicePack.load(batch.out / "anna" / "anna.pt").tensor.shape == (510, 1, 256)


def test_a_voice_of_the_batch_is_the_voice_of_clone(batch: Batch, dataset_folder, tmp_path: Path) -> None:
    alone = [*batch.flags, "--out", str(tmp_path / "alone"), "--seed", "4"]
    assert main(["clone", "--data", str(dataset_folder), "--name", "anna", *alone]) == 0
    one, other = (VoicePack.load(place / "anna" / "anna.pt") for place in (batch.out, tmp_path / "alone"))
    assert one.tensor.equal(other.tensor)


def test_a_voice_is_not_made_twice(batch: Batch, dataset_folder, tmp_path: Path, capsys) -> None:
    out = Path(shutil.copytree(batch.out, tmp_path / "out"))
    command = ["batch", str(batch.table), *batch.flags, "--out", str(out)]
    made, whole = (out / "anna" / "anna.pt").stat().st_mtime_ns, (out / "anna" / "report.json").read_text()
    assert main([*command, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["finished"] == 1 and again["voices"][0]["kept"]
    assert "| anna | finished, kept |" in (out / "batch_report.md").read_text()
    assert (out / "anna" / "anna.pt").stat().st_mtime_ns == made, "a finished voice was made again"

    (out / "anna" / "report.json").write_text("{}")
    assert main(command) == 1
    assert "report.json cannot be read" in capsys.readouterr().err
    (out / "anna" / "report.json").write_text(whole)

    config = json.loads((out / "anna" / "config.json").read_text())
    earlier = {**config, "without": f"average,drift,prior,{config['without']}"}  # as earlier versions wrote it
    (out / "anna" / "config.json").write_text(json.dumps(earlier))
    assert main(command) == 0
    (out / "anna" / "config.json").write_text(json.dumps({**config, "without": f"rows,{config['without']}"}))
    assert main(command) == 1
    assert "other settings (without)" in capsys.readouterr().err
    (out / "anna" / "config.json").write_text(json.dumps(config))

    table = table_of(tmp_path, "name,data,seed", f"anna,{dataset_folder},3")
    assert main(["batch", str(table), *batch.flags, "--out", str(out)]) == 1
    assert "other settings (seed)" in capsys.readouterr().err
    table = table_of(tmp_path, "name,data,fidelity", f"anna,{dataset_folder},0.5")
    assert main(["batch", str(table), *batch.flags, "--out", str(out)]) == 1
    assert "other settings (seed, fidelity)" in capsys.readouterr().err
    assert (out / "anna" / "anna.pt").stat().st_mtime_ns == made


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("b,nowhere,a,,", "line 3: {tmp}/nowhere: no such dataset folder"),
        ("b,broken,a,,", "line 3: {tmp}/broken/metadata.csv line 1: is not UTF-8"),
        ("b,{ds},xx,,", "line 3: unknown language 'xx'"),
        ("b,{ds},a,no_such_base,", "line 3: no base 'no_such_base'"),
        ("b,{ds},a,,luck", "line 3: --without 'luck'"),
    ],
)
def test_the_whole_table_is_checked_before_the_first_voice(
    row: str, said: str, flags, dataset_folder, tmp_path: Path, capsys
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "metadata.csv").write_bytes("a|caf\xe9\n".encode("latin-1"))
    places = {"tmp": tmp_path, "ds": dataset_folder}
    table = table_of(tmp_path, "name,data,lang,base,without", f"a,{dataset_folder},a,,", row.format(**places))
    assert main(["batch", str(table), *flags]) == 2
    assert said.format(**places) in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_launcher_is_refused_by_one_of_its_processes(rank: int, flags, tmp_path: Path, capsys, monkeypatch) -> None:
    for name, value in {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    assert main(["batch", str(tmp_path / "voices.csv"), *flags]) == 2
    said = capsys.readouterr().err
    assert ("a launcher started 2 processes for one table" in said) is (rank == 0) and said.count("\n") == 1 - rank


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--gpus-per-voice", "0.5"], "--gpus-per-voice: is for a cluster"),
        (["--retries", "2"], "--retries: is for a cluster"),
        (["--address", "auto", "--processes", "2"], "--processes: is for this machine"),
        (["--address", "auto", "--gpus-per-voice", "-1"], "--gpus-per-voice -1.0"),
        (["--address", "auto", "--retries", "-1"], "--retries -1"),
    ],
)
def test_flags_that_do_not_belong_together_are_refused(given, said, flags, dataset_folder, tmp_path, capsys) -> None:
    table = table_of(tmp_path, "name,data", f"anna,{dataset_folder}")
    assert main(["batch", str(table), *flags, *given]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "no column 'name'"),
        (["name"], "no column 'data'"),
        (["name,data"], "no voices"),
        (["name,data,colour", "a,b,red"], "unknown column 'colour'"),
        (["name,data,out", "a,b,c"], "unknown column 'out'"),
        (["name,data,data", "a,b,c"], "twice"),
        (["name,data", "a,b,c"], "line 2: 3 cells under 2 columns"),
        (["name,data", "a,"], "line 2: no data"),
        (["name,data", ",b"], "line 2: no name"),
        (["name,data", "../a,b"], "line 2: --name"),
        (["name,data", "a,b", "a,c"], "line 3: the name 'a' is also in line 2"),
        (["name,data,seed", "a,b,x"], "line 2: seed 'x': int expected"),
        (["name,data,offline", "a,b,perhaps"], "yes or no"),
        (["name,data,recipe", "a,b,cake"], "line 2: --recipe"),
        (["name,data", '"a,b'], "is not CSV"),
    ],
)
def test_a_bad_table_is_one_line_before_anything_runs(lines, said, flags, tmp_path: Path, capsys) -> None:
    table = table_of(tmp_path, *lines)
    assert main(["batch", str(table), *flags]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content",
    [
        "name;data;consent\nanna;voices\\anna;yes, by letter\n".encode("utf-16"),
        "sep=;\r\nname;data;consent;;\r\nanna;voices/anna;yes, by letter;;\r\n".encode("utf-8-sig"),
        b"name\tdata\tconsent\nanna\tvoices/anna\tyes, by letter\n",
        b'"data","name","consent"\n"voices\\anna","anna","yes, by letter"\n',
    ],
    ids=["UTF-16", "Excel", "tabs", "quoted"],
)
def test_a_table_is_read_as_spreadsheets_write_it(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "voices" / "anna").mkdir(parents=True)
    (tmp_path / "voices.csv").write_bytes(content)
    (row,) = read_table(tmp_path / "voices.csv", {}, {})
    assert (row.config.name, row.config.consent) == ("anna", "yes, by letter")
    assert Path(row.config.data) == tmp_path / "voices" / "anna"


def test_other_bad_calls(flags, tmp_path: Path, capsys) -> None:
    assert main(["batch", str(tmp_path / "none.csv"), *flags]) == 2
    assert "none.csv" in capsys.readouterr().err
    (tmp_path / "latin.csv").write_bytes(b"name,data\nJos\xe9,b\n")
    assert main(["batch", str(tmp_path / "latin.csv"), *flags]) == 2
    assert "UTF-8" in capsys.readouterr().err
    table = table_of(tmp_path, "name,data", "a,b")
    assert main(["batch", str(table), *flags, "--processes", "0"]) == 2
    assert "--processes" in capsys.readouterr().err


def test_a_cell_wins_over_the_flag_and_that_over_the_file(tmp_path: Path) -> None:
    table = table_of(tmp_path, "name,data,seed,tensorboard", "a,b,7,yes", "c,/d,,no")
    first, second = (row.config for row in read_table(table, {"seed": 5, "lang": "b"}, {"lang": "a", "seed": 1}))
    assert (first.seed, first.lang, first.tensorboard) == (7, "b", True)
    assert (second.seed, second.lang, second.tensorboard) == (5, "b", False)
    assert first.data == str(tmp_path / "b") and second.data == "/d"


def test_every_slot_has_a_gpu_where_there_are_some() -> None:
    gpus = {"CUDA_VISIBLE_DEVICES": "4,5"}
    assert gpus_of_slots(gpus, 3) == ["4", "5", "4"]
    assert gpus_of_slots({"CUDA_VISIBLE_DEVICES": ""}, 2) == [None, None]


def test_a_clone_takes_a_gpu_that_is_free(tmp_path: Path, monkeypatch) -> None:
    """The first voice takes long: the three others run one after another on the other GPU."""
    rows = read_table(table_of(tmp_path, "name,data", *(f"v{i},d" for i in range(4))), {"out": str(tmp_path)}, {})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    used: dict[str, str | None] = {}
    others = threading.Semaphore(0)

    def clone(self, config, gpu):
        used[config.name] = gpu
        if config.name == "v0":
            for _ in range(3):
                assert others.acquire(timeout=60)
        else:
            others.release()
        return 1, "made for this test"

    monkeypatch.setattr(LocalRunner, "_clone", clone)
    run_batch(rows, tmp_path, runner=LocalRunner(2), reporter=Reporter(verbosity=-1, stream=io.StringIO()))
    assert {used["v1"], used["v2"], used["v3"]} == {"4", "5"} - {used["v0"]}


def test_the_last_line_of_a_failed_clone_is_reported() -> None:
    assert last_words("warning: a\nerror: no clips\n  later\n") == "no clips"
    assert last_words("killed\n\n") == "killed" and last_words("") == ""


def test_an_outcome_that_cannot_be_read_counts_as_waiting(tmp_path: Path) -> None:
    (row,) = read_table(table_of(tmp_path, "name,data", "a,b"), {"out": str(tmp_path)}, {})
    (tmp_path / "batch").mkdir()
    for content in ("{", "[]", '{"status": "finished", "error": ""}'):
        (tmp_path / "batch" / "a.json").write_text(content)
        assert read_outcome(tmp_path, row).status == "waiting"
    with pytest.raises(UsageError):
        read_table(tmp_path, {}, {})
