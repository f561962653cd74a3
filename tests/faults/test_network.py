"""A Hub that is unreachable, silent, slow, truncating or wrong: one clear line in bounded time, no wrong file used."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.server
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import REPOSITORY

from voiceclone.errors import VoicecloneError
from voiceclone.models import hub
from voiceclone.models.presets import KOKORO_CONFIG

CONTENT = KOKORO_CONFIG.read_bytes()
SECONDS = 60  # every case must be over by then, on a busy machine too


class Hub(http.server.ThreadingHTTPServer):
    """Serves a config in the way ``mode`` says, and no other file."""

    daemon_threads = True
    mode = "good"
    ended: threading.Event


class Handler(http.server.BaseHTTPRequestHandler):
    """One request of the Hub client."""

    server: Hub

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        """The file's metadata."""
        self._answer(len(CONTENT))

    def do_GET(self) -> None:
        """The file, from where the client wants it."""
        mode = self.server.mode
        wanted = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0]
        body = CONTENT[int(wanted) :]
        if mode == "false":
            body = body.replace(b"24", b"42")
        if mode == "shorter":  # a whole answer of half the file
            body = body[: len(body) // 2]
        self._answer(len(body))
        if mode == "cut":  # the connection breaks in the middle, at every attempt
            self.wfile.write(body[:100])
            self.connection.close()
        elif mode == "stalls":
            self.wfile.write(body[:100])
            self.wfile.flush()
            self.server.ended.wait(SECONDS)
        else:
            self.wfile.write(body)

    def _answer(self, length: int) -> None:
        if self.server.mode == "silent":
            self.server.ended.wait(SECONDS)
            return
        known = self.path.endswith("/config.json") and self.server.mode != "error"
        self.send_response(200 if known else 500)
        self.send_header("Content-Length", str(length if known else 0))
        self.send_header("X-Repo-Commit", hub.KOKORO_REVISION)
        self.send_header("ETag", '"abc"')
        self.end_headers()


@pytest.fixture(scope="module")
def one_hub() -> Iterator[Hub]:
    hub_server = Hub(("127.0.0.1", 0), Handler)
    hub_server.ended = threading.Event()
    threading.Thread(target=hub_server.serve_forever, daemon=True).start()
    yield hub_server
    hub_server.ended.set()
    hub_server.shutdown()
    hub_server.server_close()


@pytest.fixture
def server(one_hub: Hub) -> Hub:
    """The Hub, good at first."""
    one_hub.mode = "good"
    return one_hub


CLIENT = f"""
import sys, time
from voiceclone.errors import VoicecloneError
from voiceclone.models import hub
wait = time.sleep
time.sleep = lambda seconds: wait(seconds / 20)  # between two attempts of the Hub's client
hub.FILE_TIMEOUT_SECONDS = 1.0
file = hub.HubFile(repo={hub.KOKORO_REPO!r}, path='config.json', revision={hub.KOKORO_REVISION!r},
                   sha256={hashlib.sha256(CONTENT).hexdigest()!r})
for _ in sys.stdin:
    try:
        print('had', hub.fetch_hub_file(file), flush=True)
    except VoicecloneError as error:
        print('error', error, flush=True)
"""


class Client:
    """A process that fetches the config as often as it is asked, from one Hub into one cache."""

    def __init__(self, endpoint: str, home: Path, log: Path) -> None:
        self.home, self.log = home, log
        environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0",
                       "HF_HUB_DOWNLOAD_TIMEOUT": "1", "no_proxy": "127.0.0.1"}  # fmt: skip
        with log.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", CLIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=stream, text=True, env=environment, cwd=REPOSITORY,
            )  # fmt: skip

    def fetch(self) -> tuple[str, float]:
        """What it says, and how long it takes."""
        assert self.process.stdin is not None and self.process.stdout is not None
        started = time.monotonic()
        self.process.stdin.write("again\n")
        self.process.stdin.flush()
        watch = threading.Timer(2 * SECONDS, self.process.kill)
        watch.start()
        said = self.process.stdout.readline().strip()
        watch.cancel()
        return said, time.monotonic() - started

    def close(self) -> None:
        """End it; it must have said nothing else."""
        self.process.communicate()
        assert self.process.returncode == 0 and "Traceback" not in (said := self.log.read_text()), said


@pytest.fixture(scope="module")
def client(one_hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One process for all ways in which the Hub fails: it takes longer to start than to fail."""
    folder = tmp_path_factory.mktemp("client")
    made = Client(address(one_hub), folder / "home", folder / "log")
    made.fetch()  # imports, which takes its time
    yield made
    made.close()


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[[str, Path], str]:
    """Fetch the config once in a new process; what it says."""

    def call(endpoint: str, home: Path) -> str:
        made = Client(endpoint, home, tmp_path / "log")
        said, seconds = made.fetch()
        made.close()
        assert seconds < SECONDS
        return said

    return call


def address(server: Hub) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


@pytest.mark.parametrize("mode", ["silent", "error", "cut", "shorter", "stalls", "false"])
def test_a_failing_hub_is_one_line_in_bounded_time_and_a_retry_succeeds(mode: str, server: Hub, client: Client) -> None:
    shutil.rmtree(client.home)
    server.mode = mode
    said, seconds = client.fetch()
    assert said.startswith("error ") and seconds < SECONDS, said
    assert "hexgrad/Kokoro-82M/config.json" in said or "not the published file" in said
    assert "voiceclone download" in said  # how to mend it
    server.mode = "good"
    again, _ = client.fetch()
    if mode == "false":  # it lies in the cache, and is refused until it is deleted, as the line says
        assert again.startswith("error ") and "delete it" in again
        Path(again.split(" ")[1]).unlink()
        again, _ = client.fetch()
    assert again.startswith("had ") and Path(again.removeprefix("had ")).read_bytes() == CONTENT


def test_no_hub_at_all_and_a_cache_that_cannot_be_written(fetch, server: Hub, tmp_path: Path) -> None:
    said = fetch("http://127.0.0.1:9", tmp_path / "home")
    assert said.startswith("error cannot download") and 'base="nano"' in said
    (tmp_path / "file").write_text("a file where the cache should be")
    said = fetch(address(server), tmp_path / "file")
    assert said.startswith("error cannot write") and "Not a directory" in said and "HF_HOME" in said, said
    assert "internet" not in said


@pytest.mark.parametrize(("what", "reason"), [("ro", "Read-only file system"), ("4k", "No space left on device")])
def test_a_disk_that_takes_no_cache_is_named(what: str, reason: str, fetch, server: Hub, disk) -> None:
    place = disk(what)
    if what != "ro":  # leave no block for the config
        with contextlib.suppress(OSError):
            (place / "fill").write_bytes(bytes(4096))
    said = fetch(address(server), place)
    assert said.startswith(f"error cannot write {place}") and reason in said and "HF_HOME" in said, said


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/cache/models"), "cannot write /cache/models: Permission"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device: free some space"),
        (PermissionError(errno.EACCES, "Permission denied"), "cannot download"),
        (ConnectionError(errno.ECONNREFUSED, "Connection refused"), "cannot download"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_the_disks_errors_are_told_from_the_networks(error: OSError, says: str, wrapped: bool, monkeypatch) -> None:
    def fail(*arguments: object, **settings: object) -> None:
        try:
            raise error
        except OSError as first:
            if wrapped:
                raise RuntimeError("wrapped") from first
            raise

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    monkeypatch.setattr(hub, "_ask", lambda file, seconds: None)  # the Hub answers
    monkeypatch.setattr(hub, "is_offline", lambda offline: False)
    with pytest.raises(VoicecloneError, match=says):
        hub._download(hub.KOKORO_CONFIG_FILE, offline=False, mend="try again")


def test_auto_waits_for_a_silent_hub_within_the_stated_time(server: Hub, tmp_path: Path) -> None:
    server.mode = "silent"
    environment = {**os.environ, "HF_ENDPOINT": address(server), "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    code = (
        "import time, huggingface_hub\nfrom voiceclone.models import hub\n"
        "started = time.monotonic()\nanswered = hub.hub_answers(1.0)\nprint(answered, time.monotonic() - started)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=REPOSITORY)
    answered, seconds = done.stdout.split()
    assert answered == "False" and float(seconds) < 10


def test_trackers_that_fail_cost_a_run_one_line_each(run: Callable[..., int], tmp_path: Path, capsys) -> None:
    """A file blocks the folder of TensorBoard and of W&B: the voice is made in any case."""
    (tmp_path / "v").mkdir()
    for name in ("tensorboard", "wandb"):
        (tmp_path / "v" / name).write_text("mine")
    assert run(tmp_path, "--epochs-projection", "1", "--tensorboard", "--wandb") == 0
    said = capsys.readouterr().err
    assert "Traceback" not in said and (tmp_path / "v" / "v.pt").is_file()
    for name, tracker in (("tensorboard", "TensorBoard"), ("wandb", "W&B")):
        assert sum(line.startswith(f"warning: {tracker} is off") for line in said.splitlines()) == 1, said
        assert (tmp_path / "v" / name).read_text() == "mine"
