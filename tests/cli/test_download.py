"""``download`` with the real Hub client and a small local Hub: fetch, continue, check, reject."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import pytest

from voiceclone.cli.main import main
from voiceclone.errors import VoicecloneError
from voiceclone.models import hub
from voiceclone.models.voice_hashes import VOICE_SHA256

COMMIT = "c" * 40
CONTENT = {
    "config.json": b'{"n_mels": 80}',
    "weights.pth": bytes(range(256)) * 40_000,
    "voices/af_x.pt": b"voice" * 1000,
}


class Hub(BaseHTTPRequestHandler):
    """Serves CONTENT as the Hub does: metadata in the headers of HEAD, ranges with GET."""

    asked: list[tuple[str, str, str | None]]
    breaks_after: int | None  # bytes of a body, once
    stays_down: bool  # after that

    def do_HEAD(self) -> None:
        self._headers(200, len(self._body()))

    def do_GET(self) -> None:
        given = self.headers.get("Range")
        type(self).asked.append((self.command, self._name(), given))
        if type(self).stays_down and type(self).breaks_after is None:
            self.connection.shutdown(2)
            return
        start = int(given.removeprefix("bytes=").rstrip("-")) if given else 0
        body = self._body()[start:]
        self._headers(206 if given else 200, len(body))
        if type(self).breaks_after is not None and len(body) > type(self).breaks_after:
            body, type(self).breaks_after = body[: type(self).breaks_after], None
            self.wfile.write(body)
            self.wfile.flush()
            self.connection.shutdown(2)
            return
        self.wfile.write(body)

    def _name(self) -> str:
        return self.path.split(f"/resolve/{COMMIT}/", 1)[1]

    def _body(self) -> bytes:
        return CONTENT[self._name()]

    def _headers(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("ETag", f'"{hashlib.sha256(self._body()).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


def hub_file(path: str, *, sha256: str | None = None) -> hub.HubFile:
    content = CONTENT[path]
    return hub.HubFile(
        repo="someone/model",
        path=path,
        revision=COMMIT,
        sha256=sha256 or hashlib.sha256(content).hexdigest(),
        size=len(content),
    )


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    from huggingface_hub import constants, file_download

    handler = type("OneHub", (Hub,), {"asked": [], "breaks_after": None, "stays_down": False})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    cache = str(tmp_path / "hub")
    template = f"http://127.0.0.1:{listening.server_port}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    for module in (constants, file_download):
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
        monkeypatch.setattr(module, "HF_HUB_OFFLINE", False, raising=False)
        monkeypatch.setattr(module, "DOWNLOAD_CHUNK_SIZE", 500_000, raising=False)
    monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", cache)
    monkeypatch.setattr(file_download, "HF_HUB_CACHE", cache, raising=False)
    monkeypatch.setattr(file_download, "HUGGINGFACE_HUB_CACHE", cache, raising=False)
    monkeypatch.setattr("huggingface_hub.utils._http.HF_HUB_OFFLINE", False, raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(hub, "REAL_FILES", tuple(hub_file(path) for path in CONTENT))
    monkeypatch.setattr(hub, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(hub, "cached", lambda file: _cached(cache, file))
    yield handler
    listening.shutdown()
    listening.server_close()


def _cached(cache: str, file: hub.HubFile) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(file.repo, file.path, cache_dir=cache, revision=file.revision)
    return Path(found) if isinstance(found, str) else None


def test_fetch_then_check_then_nothing_more_to_fetch(server: type[Hub], capsys) -> None:
    assert main(["download", "--check"]) == 1
    assert "missing someone/model/weights.pth" in capsys.readouterr().out
    assert main(["download"]) == 0
    shown = capsys.readouterr()
    assert "there   someone/model/weights.pth (10.2 MB)" in shown.out and "3 of 3 files" in shown.out
    assert "Download: 10/10 megabytes" in shown.err
    asked = len(server.asked)
    assert asked == 3
    assert main(["download", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["complete"] and len(server.asked) == asked
    weights = facts["files"]["someone/model/weights.pth"]
    assert weights["revision"] == COMMIT and Path(weights["path"]).read_bytes() == CONTENT["weights.pth"]


@pytest.mark.skipif(metadata.version("huggingface-hub") < "1", reason="this Hub client gives up at once")
def test_a_broken_download_continues_from_the_break(server: type[Hub]) -> None:
    server.breaks_after = 3_000_000
    assert main(["download"]) == 0
    first, second = [given for _, name, given in server.asked if name == "weights.pth"]
    assert first is None and 2_000_000 <= int(second.removeprefix("bytes=").rstrip("-")) <= 3_000_000
    assert main(["download", "--check", "--quiet"]) == 0


def test_after_a_broken_download_the_next_fetches_what_was_not_finished(server: type[Hub], capsys) -> None:
    server.breaks_after, server.stays_down = 3_000_000, True
    assert main(["download"]) == 1
    said = capsys.readouterr().err
    assert "cannot download someone/model/weights.pth" in said and "--from registry" in said
    assert "--base nano" not in said and "Error" not in said, "advice for another command, or an exception's name"
    server.stays_down = False
    assert main(["download"]) == 0
    assert [name for _, name, _ in server.asked].count("config.json") == 1
    assert main(["download", "--check", "--quiet"]) == 0


def test_another_content_than_the_published_one_is_refused_and_named(server: type[Hub], capsys, monkeypatch) -> None:
    monkeypatch.setattr(hub, "REAL_FILES", (hub_file("config.json", sha256="0" * 64),))
    assert main(["download"]) == 1
    assert "is not the published file" in capsys.readouterr().err
    assert main(["download", "--check"]) == 1
    assert "damaged someone/model/config.json" in capsys.readouterr().out


def test_offline_makes_no_request(server: type[Hub], capsys) -> None:
    assert main(["download", "--offline"]) == 1
    assert "switched off" in capsys.readouterr().err and not server.asked


def test_progress_never_runs_backwards_and_ends_at_the_size(server: type[Hub]) -> None:
    seen: list[int] = []
    hub.fetch_hub_file(hub_file("weights.pth"), progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == len(CONTENT["weights.pth"])


def test_every_real_file_is_pinned_by_commit_and_hash() -> None:
    assert hub.REAL_FILES == (hub.KOKORO_WEIGHTS,)
    for file in (
        *hub.REAL_FILES,
        hub.KOKORO_CONFIG_FILE,
        hub.STYLETTS2_CHECKPOINT,
        *map(hub.voice_file, hub.KOKORO_VOICES),
    ):
        assert len(file.revision) == 40 and set(file.revision) <= set("0123456789abcdef"), file
        assert file.sha256 is not None and len(file.sha256) == 64 and file.size, file
    assert hub.voice_file("nobody").sha256 is None


def test_the_pinned_hashes_are_those_of_the_official_voices() -> None:
    from support import needs_shared

    folder = needs_shared("data", "voices")
    assert {p.stem: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*.pt")} == VOICE_SHA256
    config = needs_shared("data", "kokoro_config.json")
    hub.check_hash(config, hub.KOKORO_CONFIG_FILE.sha256)
    with pytest.raises(VoicecloneError):
        hub.check_hash(config, hub.KOKORO_WEIGHTS.sha256)


def test_check_says_what_is_missing(capsys, monkeypatch) -> None:
    monkeypatch.setattr(hub, "cached", lambda file: None)
    assert main(["download", "--check", "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert not facts["complete"] and {state["state"] for state in facts["files"].values()} == {"missing"}
    assert len(facts["files"]) == 2
