"""W&B runs: an offline run read from its file; no key, no server, a hanging server, no prompt."""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from voiceclone.tracking import wandb as tracking
from voiceclone.tracking.trackers import open_trackers

KEY = "0123456789" * 4
BLOCK = 32_768  # of the LevelDB log format, which W&B's run file is written in


@pytest.fixture(autouse=True)
def nobody_is_logged_in(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("WANDB_") and name != "WANDB_SERVICE"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


@pytest.fixture
def hanging_server() -> Iterator[tuple[str, list]]:
    """A server that takes connections and never answers: its address, and the connections it got."""
    server = socket.create_server(("127.0.0.1", 0))
    connections: list = []

    def accept() -> None:
        while True:
            try:
                connections.append(server.accept()[0])
            except OSError:
                return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}", connections
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    for connection in connections:
        connection.close()


def open_(folder: Path, lines: list, **changes):
    plain = {
        "tensorboard": False,
        "wandb": True,
        "wandb_project": "voices",
        "run_name": "my voice",
        "folder": folder,
        "config": {"seed": 7, "out": folder},
        "offline": False,
        "warn": lines.append,
    }
    return open_trackers(**(plain | changes))


def run_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))


def records(file: Path) -> list:
    """The records of a run file: a 7-byte header, then blocks of (crc 4, length 2, kind 1, content) pieces."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, pending, found = file.read_bytes(), 7, b"", []
    assert content[:4] == b":W&B"
    while place + 7 <= len(content):
        if BLOCK - place % BLOCK < 7:  # too little room in the block for another piece
            place += BLOCK - place % BLOCK
            continue
        length, kind = struct.unpack("<HB", content[place + 4 : place + 7])
        pending += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or its last piece
            found.append(Record.FromString(pending))
            pending = b""
    return found


def of_kind(file: Path, kind: str) -> list:
    """The run's records of one kind; W&B's service may still be writing the file when the run has been closed."""
    waited_until = time.monotonic() + 20
    while not (found := records(file)) or found[-1].WhichOneof("record_type") != "exit":
        assert time.monotonic() < waited_until, f"{file} was never finished"
        time.sleep(0.05)
    return [getattr(record, kind) for record in found if record.WhichOneof("record_type") == kind]


def history(file: Path) -> list[dict]:
    """The logged rows; a sound or picture is a dict under its tag."""
    rows = []
    for logged in of_kind(file, "history"):
        row: dict = {}
        for item in logged.item:
            *outer, last = item.nested_key or [item.key]
            place = row
            for key in outer:
                place = place.setdefault(key, {})
            place[last] = json.loads(item.value_json)
        rows.append(row)
    return rows


def test_an_offline_run_is_read_back_and_a_second_one_follows(tmp_path, monkeypatch, capfd, hanging_server):
    address, connections = hanging_server
    monkeypatch.setenv("WANDB_BASE_URL", address)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delitem(sys.modules, "openai", raising=False)  # W&B advertises to programs that have imported it
    voice = tmp_path / "my voice.pt"
    voice.write_bytes(b"voice")
    lines: list[str] = []
    with open_(tmp_path, lines) as trackers:
        trackers.scalars({"train/loss": 1.5, "train/mel_mse": 0.25}, 1)
        trackers.audio("audio/clone", np.zeros(2400, np.float32), 1)
        trackers.image("mel/clone", np.zeros((6, 8, 3), np.uint8), 1)
        trackers.histogram("projection/base_vector", np.arange(256.0), 1)
        trackers.scalars({"train/loss": 0.5}, 2)
        trackers.scalars({"val/loss": 0.75}, 1)  # late: W&B would drop it
        trackers.artifact("my voice", voice, {"base": "nano"})
        assert trackers.notices[0].startswith("W&B: offline, upload with: wandb sync ")
    assert lines == []
    (file,) = run_files(tmp_path)
    run = of_kind(file, "run")[0]
    assert (run.display_name, run.project) == ("my voice", "voices")
    assert json.loads((tmp_path / "wandb" / "voiceclone-run.json").read_text())["id"] == run.run_id
    config = {item.key: json.loads(item.value_json) for update in of_kind(file, "config") for item in update.update}
    assert config["seed"] == 7 and config["out"] == str(tmp_path)
    rows = history(file)
    assert [row["_step"] for row in rows] == [1, 2]
    assert (rows[0]["train/loss"], rows[0]["train/mel_mse"]) == (1.5, 0.25)
    assert [rows[0][tag]["_type"] for tag in ("audio/clone", "mel/clone", "projection/base_vector")] == [
        "audio-file", "image-file", "histogram",
    ]  # fmt: skip
    assert (rows[1]["train/loss"], rows[1]["val/loss"]) == (0.5, 0.75)
    (artifact,) = of_kind(file, "artifact")
    assert (artifact.name, artifact.type, json.loads(artifact.metadata)) == ("my-voice", "voice", {"base": "nano"})
    (entry,) = artifact.manifest.contents
    assert (entry.path, entry.local_path) == ("my voice.pt", str(voice))  # no copy elsewhere
    assert of_kind(file, "exit")[0].exit_code == 0
    assert not of_kind(file, "output") and not of_kind(file, "output_raw")
    import wandb

    assert wandb.run is None
    with pytest.raises(ValueError), open_(tmp_path / "second", lines) as trackers:
        trackers.scalars({"train/loss": 3.0}, 1)
        raise ValueError
    (second,) = run_files(tmp_path / "second")
    assert history(second)[0]["train/loss"] == 3.0
    assert of_kind(second, "exit")[0].exit_code == 1
    assert of_kind(second, "run")[0].run_id != run.run_id
    assert connections == []  # offline means no network, telemetry included
    assert capfd.readouterr() == ("", "")


def test_a_resumed_run_keeps_its_id(tmp_path):
    ids = []
    for resume_step in (0, 5, 0):
        with open_(tmp_path, [], offline=True, resume_step=resume_step):
            ids.append(json.loads((tmp_path / "wandb" / "voiceclone-run.json").read_text())["id"])
    assert ids[0] == ids[1] != ids[2]
    assert [of_kind(file, "run")[0].run_id for file in run_files(tmp_path)].count(ids[0]) == 2
    (tmp_path / "wandb" / "voiceclone-run.json").write_text('{"id": "../../x"}')
    assert tracking._run_id(tmp_path, resume_step=5) not in (ids[2], "../../x")


def test_disabled_is_respected(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    lines: list[str] = []
    with open_(tmp_path, lines) as trackers:
        assert len(trackers) == 0
    assert not lines and not list(tmp_path.iterdir())


def test_a_hanging_server_costs_bounded_time(tmp_path, monkeypatch, hanging_server):
    monkeypatch.setattr(tracking, "PROBE_SECONDS", 0.5)
    monkeypatch.setenv("WANDB_BASE_URL", hanging_server[0])
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    lines: list[str] = []
    started = time.monotonic()
    with open_(tmp_path, lines) as trackers:
        trackers.scalars({"train/loss": 1.0}, 1)
    assert time.monotonic() - started < 8
    assert len(lines) == 1 and lines[0].startswith(f"W&B is offline: no answer from {hanging_server[0]}")
    assert history(run_files(tmp_path)[0])[0]["train/loss"] == 1.0


def test_a_server_that_hangs_later_costs_bounded_time(tmp_path, monkeypatch, hanging_server):
    monkeypatch.setattr(tracking, "answers", lambda url, timeout: True)
    monkeypatch.setattr(tracking, "INIT_SECONDS", 1.0)
    monkeypatch.setenv("WANDB_BASE_URL", hanging_server[0])
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    lines: list[str] = []
    started = time.monotonic()
    with open_(tmp_path, lines) as trackers:
        trackers.scalars({"train/loss": 1.0}, 1)
    assert time.monotonic() - started < 10
    assert len(lines) == 1 and lines[0].startswith("W&B is offline: ")
    assert history(run_files(tmp_path)[0])[0]["train/loss"] == 1.0


def test_no_key_on_a_terminal_asks_nothing_and_ends(tmp_path):
    """In a process of its own, whose standard streams are a terminal."""
    code = """
import sys
from pathlib import Path
from voiceclone.tracking.trackers import open_trackers
with open_trackers(tensorboard=False, wandb=True, wandb_project="p", run_name="v", folder=Path(sys.argv[1]), config={},
                   offline=False, warn=lambda line: print("WARNED", line)) as trackers:
    trackers.scalars({"train/loss": 1.0}, 1)
print("WORKED", len(trackers.notices))
"""
    ours, theirs = pytest.importorskip("pty").openpty()
    environment = os.environ | {"HOME": str(tmp_path), "TERM": "xterm"}
    environment.pop("WANDB_SERVICE", None)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "out")], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the terminal's other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait(60) == 0
    lines = shown.decode().splitlines()
    assert lines[0].startswith("WARNED W&B is offline: no API key found; set WANDB_API_KEY or run `wandb login`")
    assert lines[1:] == ["WORKED 0"]
    assert run_files(tmp_path / "out")


def test_where_the_key_is_looked_for(tmp_path, monkeypatch):
    address = "https://wandb.example.org"
    assert tracking.find_key(address) is None
    assert tracking.find_key(address, "configured") == "configured"
    netrc = tmp_path / "netrc"
    netrc.write_text("machine wandb.example.org login user password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert tracking.find_key(address) == "secret"
    assert tracking.find_key("https://other.example.org") is None
    netrc.write_text("machine api.wandb.ai login user password hosted\n")
    assert tracking.find_key("https://api.example.org") == "hosted"
    netrc.write_text("machine\n\x00 broken")
    assert tracking.find_key(address) is None
    monkeypatch.setenv("WANDB_API_KEY", "environment")
    assert tracking.find_key(address, "configured") == "environment"


def test_probing_is_bounded_and_any_answer_counts(hanging_server):
    started = time.monotonic()
    assert not tracking.answers(hanging_server[0], 0.3)
    assert not tracking.answers("http://127.0.0.1:1", 5)
    assert not tracking.answers("no address", 5)
    assert time.monotonic() - started < 3
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            connection = server.accept()[0]
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            connection.close()

        threading.Thread(target=refuse, daemon=True).start()
        assert tracking.answers(f"http://127.0.0.1:{server.getsockname()[1]}", 5)


def test_artifact_names():
    assert tracking.artifact_name("my voice/ü.1_a-b") == "my-voice-.1_a-b"
    assert tracking.artifact_name("") == "voice"
