"""A real local server, with requests as by OpenAI's client, Kokoro-FastAPI's clients, and invalid ones."""

from __future__ import annotations

import io
import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

httpx = pytest.importorskip("httpx")
openai = pytest.importorskip("openai", reason="openai is not installed: pip install '.[test]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install '.[serve]'")

from voiceclone import load_base  # noqa: E402
from voiceclone.cli.main import main  # noqa: E402
from voiceclone.serving import engine as engines  # noqa: E402
from voiceclone.serving import shelf as shelves  # noqa: E402
from voiceclone.serving.app import MAX_VOICES  # noqa: E402
from voiceclone.serving.config import ServeConfig  # noqa: E402
from voiceclone.serving.server import server_of  # noqa: E402
from voiceclone.system.ports import listening_socket  # noqa: E402
from voiceclone.tracking.progress import Reporter  # noqa: E402
from voiceclone.voice.speaking import speak_whole  # noqa: E402

TEXT = "Good morning.\nHow are you today?\nIt is late."
LIMIT, WAITING = 400, 2


class Served:
    """A server in a thread."""

    def __init__(self, base_folder: Path, out: Path, **settings: Any) -> None:
        self.out, self.lines = out, io.StringIO()
        self.base = load_base(base_folder)
        config = ServeConfig(out=out, max_characters=LIMIT, queue=WAITING, offline=True, **settings)
        self.listener = listening_socket("127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.server = server_of(config, self.base, Reporter(stream=self.lines))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]}, daemon=True)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
            time.sleep(0.01)

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()
        self.listener.close()

    def post(self, **body: Any) -> httpx.Response:
        return httpx.post(f"{self.address}/v1/audio/speech", json=body, timeout=60)

    def expected(self, text: str, voice: str) -> np.ndarray:
        pipeline = self.base.pipeline("a")
        return speak_whole(pipeline, text, self.base.stock_voices[voice].tensor)


@pytest.fixture(scope="module")
def served(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    server = Served(base_folder, tmp_path_factory.mktemp("library"))
    yield server
    server.close()
    assert "Traceback" not in server.lines.getvalue()


@pytest.fixture(scope="module")
def client(served: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.address}/v1", api_key="not-needed", max_retries=0, timeout=60)


def pcm(content: bytes) -> np.ndarray:
    return np.frombuffer(content, "<i2").astype(np.float32) / 32768


def test_the_openai_client_speaks(served: Served, client: openai.OpenAI, tmp_path: Path) -> None:
    answer = client.audio.speech.create(model="tts-1", voice="stock_1", input=TEXT, response_format="wav")
    heard, rate = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    expected = served.expected(TEXT, "stock_1")
    assert rate == 24000 and len(heard) == len(expected) and np.abs(heard - expected.clip(-1, 1)).max() < 1e-4
    with client.audio.speech.with_streaming_response.create(model="kokoro", voice="stock_1", input=TEXT) as response:
        response.stream_to_file(tmp_path / "a.mp3")
    assert soundfile.info(tmp_path / "a.mp3").format == "MP3"
    slow = client.audio.speech.create(
        model="kokoro", voice="stock_1", input=TEXT, response_format="pcm", speed=0.5, instructions="calmly"
    )
    assert len(slow.content) > 1.5 * 2 * len(expected)


def test_the_openai_client_sees_models_and_errors(client: openai.OpenAI) -> None:
    assert {"kokoro", "tts-1"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("kokoro").owned_by == "voiceclone"
    with pytest.raises(openai.NotFoundError) as missing:
        client.audio.speech.create(model="kokoro", voice="nobody", input="Hi.")
    assert missing.value.code == "voice_not_found" and missing.value.param == "voice"
    with pytest.raises(openai.BadRequestError, match="speed: a number from 0.25 to 4"):
        client.audio.speech.create(model="kokoro", voice="stock_0", input="Hi.", speed=9)


@pytest.mark.parametrize(
    ("form", "kind"),
    [("wav", "WAV"), ("mp3", "MP3"), ("flac", "FLAC"), ("opus", "OGG"), ("ogg", "OGG")],
)
@pytest.mark.parametrize("stream", [True, False])
def test_every_format_whole_and_streamed(served: Served, form: str, kind: str, stream: bool) -> None:
    answer = served.post(input=TEXT, voice="stock_2", response_format=form, stream=stream)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("audio/")
    assert ("content-length" in answer.headers) == (not stream or form == "flac")
    info = soundfile.info(io.BytesIO(answer.content))
    expected = len(served.expected(TEXT, "stock_2")) / 24000
    assert info.format == kind and info.samplerate == 24000
    assert len(soundfile.read(io.BytesIO(answer.content))[0]) / 24000 == pytest.approx(expected, abs=0.1)


def test_mixes_as_kokoro_fastapi_writes_them(served: Served) -> None:
    """Its defaults hold, too: model, format and stream may be left out."""
    plain = served.post(input=TEXT, voice="stock_1", response_format="pcm").content
    for voice, same in (("stock_1(1)+stock_1(1)", True), ("stock_0(2)+stock_1(1)", False), ("stock_0+stock_1", False)):
        answer = served.post(
            model="kokoro", input=TEXT, voice=voice, response_format="pcm", speed=1.0, stream=True, lang_code="a",
            return_download_link=False, volume_multiplier=1.0, normalization_options={"normalize": True},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        assert (answer.content == plain) == same, voice
    default = served.post(input=TEXT)
    assert default.headers["content-type"] == "audio/mpeg" and len(default.content) > 1000
    soft = served.post(input=TEXT, voice="stock_1", response_format="pcm", volume_multiplier=0.1).content
    assert np.abs(pcm(soft) - (0.1 * served.expected(TEXT, "stock_1")).clip(-1, 1)).max() < 1e-4


def test_lists_voices_as_clients_of_kokoro_fastapi_want_them(served: Served) -> None:
    names = [f"stock_{number}" for number in range(4)]
    found = httpx.get(f"{served.address}/v1/audio/voices").json()["voices"]
    assert [(voice["id"], voice["name"]) for voice in found if voice["kind"] == "stock"] == [(n, n) for n in names]
    assert httpx.get(f"{served.address}/v1/audio/voices?legacy=true").json()["voices"][-4:] == names
    assert httpx.get(f"{served.address}/health").json() == {"status": "healthy"}


def test_markers_change_the_voice(served: Served) -> None:
    text = "[voice:stock_1] Good morning. [voice:stock_2] Good morning."
    heard = served.post(input=text, voice="stock_0", response_format="pcm")
    first = served.post(input="Good morning.", voice="stock_1", response_format="pcm").content
    assert heard.content[: len(first)] == first and len(heard.content) > 1.3 * len(first)
    assert served.post(input="[voice:nobody] Hello.", voice="stock_0").status_code == 404


def test_the_first_piece_comes_before_the_last_is_spoken(served: Served, monkeypatch) -> None:
    spoken, gate = [], threading.Event()
    real = engines.speak_parts

    def halting(*arguments: Any, **settings: Any) -> Iterator[np.ndarray]:
        for number, audio in enumerate(real(*arguments, **settings)):
            if number:
                assert gate.wait(30)
            spoken.append(number)
            yield audio

    monkeypatch.setattr(engines, "speak_parts", halting)
    body = {"input": TEXT, "voice": "stock_1", "response_format": "pcm"}
    with httpx.stream("POST", f"{served.address}/v1/audio/speech", json=body, timeout=60) as answer:
        chunks = answer.iter_bytes()
        first = next(chunks)
        assert len(first) > 1000 and spoken == [0]
        gate.set()
        rest = b"".join(chunks)
    assert spoken == [0, 1, 2] and len(first + rest) == 2 * len(served.expected(TEXT, "stock_1"))


def test_a_voice_that_appears_while_the_server_runs(served: Served) -> None:
    assert served.post(input="Hi.", voice="anna").status_code == 404
    served.base.stock_voices["stock_3"].save(served.out / "anna" / "anna.pt")
    report = {"name": "anna", "base": {"name": "tiny", "sha256": served.base.sha256}}
    (served.out / "anna" / "report.json").write_text(json.dumps(report))
    listed = httpx.get(f"{served.address}/v1/audio/voices").json()["voices"]
    assert listed[0] == {"id": "anna", "name": "anna", "kind": "clone"}
    body = {"input": "Good morning.", "response_format": "pcm"}
    assert served.post(voice="anna", **body).content == served.post(voice="stock_3", **body).content
    assert served.post(voice="anna(1)+stock_3(1)", **body).status_code == 200
    for other in ({"name": "nano", "sha256": "another"}, {"name": "Kokoro-82M", "kind": "kokoro"}):
        (served.out / "anna" / "report.json").write_text(json.dumps({"name": "anna", "base": other}))
        answer = served.post(voice="anna", **body)
        assert answer.status_code == 404 and f"another base ({other['name']}) than tiny" in answer.text
        assert "anna" not in httpx.get(f"{served.address}/v1/audio/voices").text
    (served.out / "anna" / "report.json").unlink()
    (served.out / "anna" / "anna.pt").write_bytes(b"cut off")
    answer = served.post(voice="anna", **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "voice_unusable")
    shutil.rmtree(served.out / "anna")


def test_the_output_folder_is_read_once_for_all_voices_of_a_text(served: Served, monkeypatch) -> None:
    read, real = [], shelves.own_voices
    monkeypatch.setattr(shelves, "own_voices", lambda out: read.append(out) or real(out))
    text = "[voice:stock_1] Good. [voice:stock_2] Good. [voice:stock_1*0.5+stock_2*0.5] Good."
    assert served.post(input=text, voice="stock_0", response_format="pcm").status_code == 200
    assert len(read) == 1


def test_the_number_of_voices_of_a_text_is_limited(served: Served, monkeypatch) -> None:
    """Those of a text that is refused are not loaded."""
    loaded, real = [], shelves.Shelf.find
    monkeypatch.setattr(shelves.Shelf, "find", lambda self, voices: loaded.append(voices) or real(self, voices))
    markers = [f"[voice:nobody{number}]x" for number in range(MAX_VOICES)]
    answer = served.post(input="".join(markers), voice="stock_0")
    assert (answer.status_code, answer.json()["error"]["code"], len(loaded)) == (404, "voice_not_found", 1)
    answer = served.post(input="".join(["[voice:one_more]x", *markers]), voice="stock_0")
    assert (answer.status_code, answer.json()["error"]["param"], len(loaded)) == (400, "input", 1)
    assert answer.json()["error"]["message"] == "input: 17 different voices are more than 16: send the text in parts"


def test_requests_whose_voices_cannot_be_loaded_give_their_place_back(served: Served) -> None:
    for _ in range(WAITING + 2):
        assert served.post(input="Hi.", voice="nobody").status_code == 404
    assert served.post(input="Hi.", voice="stock_0").status_code == 200


def test_concurrent_requests_are_spoken_one_after_the_other(served: Served, monkeypatch) -> None:
    inside, most = 0, 0
    real, lock = engines.speak_parts, threading.Lock()

    def counted(*arguments: Any, **settings: Any) -> Iterator[np.ndarray]:
        nonlocal inside, most
        with lock:
            inside, most = inside + 1, max(most, inside + 1)
        yield from real(*arguments, **settings)
        with lock:
            inside -= 1

    monkeypatch.setattr(engines, "speak_parts", counted)
    voices = ["stock_0", "stock_1", "stock_2"]
    body = {"input": TEXT, "response_format": "pcm"}
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda voice: served.post(voice=voice, **body), voices))
    assert most == 1 and [answer.status_code for answer in answers] == [200] * 3
    for voice, answer in zip(voices, answers):
        assert len(answer.content) == 2 * len(served.expected(TEXT, voice))


def test_a_full_queue_is_503_and_disconnected_clients_are_dropped(served: Served, monkeypatch) -> None:
    gate, real = threading.Event(), engines.speak_parts

    def halting(*arguments: Any, **settings: Any) -> Iterator[np.ndarray]:
        assert gate.wait(30)
        yield from real(*arguments, **settings)

    monkeypatch.setattr(engines, "speak_parts", halting)
    body = {"input": "Good morning.", "voice": "stock_0", "response_format": "pcm"}
    with ThreadPoolExecutor(WAITING + 4) as pool:
        asked = [pool.submit(served.post, **body) for _ in range(WAITING + 4)]
        answered = _until(lambda: done if len(done := [future for future in asked if future.done()]) == 3 else None)
        refused = answered[0].result()
        assert (
            refused.status_code == 503
            and refused.json()["error"]["type"] == "server_error"
            and refused.headers["retry-after"] == "1"
        )
        assert refused.json()["error"]["code"] == "queue_full"
        assert served.post(**{**body, "voice": "nobody"}).status_code == 503, "voices are loaded for a full queue"
        assert httpx.get(f"{served.address}/health").status_code == 200
        gate.set()
        assert sorted(future.result().status_code for future in asked) == [200] * (WAITING + 1) + [503] * 3
    gate.clear()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{served.address}/v1/audio/speech", json=body, timeout=0.3)
    gate.set()
    assert _until(lambda: served.post(**body).status_code == 200)


def _until(found: Any, seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return result


def test_the_end_of_the_server_ends_what_is_spoken(base_folder: Path, tmp_path: Path, monkeypatch) -> None:
    begun = threading.Event()

    def endless(*arguments: Any, **settings: Any) -> Iterator[np.ndarray]:
        while True:
            yield np.zeros(240, np.float32)
            begun.set()
            time.sleep(0.01)

    monkeypatch.setattr(engines, "speak_parts", endless)
    monkeypatch.setattr("voiceclone.serving.server.GRACE_SECONDS", 1)
    server = Served(base_folder, tmp_path)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.post, input="Hi.", voice="stock_0", response_format="pcm", stream=False)
        assert begun.wait(30)
        server.close()
        assert (answer.result().status_code, answer.result().json()["error"]["code"]) == (503, "server_ending")


def test_a_failure_in_the_middle_breaks_the_connection(served: Served, monkeypatch) -> None:
    def failing(*arguments: Any, **settings: Any) -> Iterator[np.ndarray]:
        yield np.full(24000, 0.1, np.float32)
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(engines, "speak_parts", failing)
    with pytest.raises(httpx.RemoteProtocolError):
        served.post(input="Hi.", voice="stock_0", response_format="pcm")
    assert "warning: a request failed while it was spoken: the device is gone" in served.lines.getvalue()
    whole = served.post(input="Hi.", voice="stock_0", response_format="pcm", stream=False)
    assert (whole.status_code, whole.json()["error"]["code"]) == (500, "internal_error")
    assert "the device is gone" not in whole.text


GOOD = {"model": "kokoro", "input": "Hi.", "voice": "stock_0"}
BAD = [
    ({"input": None}, 400, "input", "missing_required_parameter"),
    ({"input": "  \n"}, 400, "input", "invalid_value"),
    ({"input": 5}, 400, "input", "invalid_value"),
    ({"input": "a\ud800"}, 400, "input", "invalid_value"),
    ({"input": "a\0b"}, 400, "input", "invalid_value"),
    ({"input": "a " * LIMIT}, 413, "input", "string_above_max_length"),
    ({"input": "... !"}, 422, "input", "not_speakable"),
    ({"input": "日本語の文章です"}, 422, "input", "not_speakable"),
    ({"input": "[voice: ] hi"}, 400, "input", "invalid_value"),
    ({"model": "gpt-9"}, 404, "model", "model_not_found"),
    ({"model": []}, 400, "model", "invalid_value"),
    ({"voice": "nobody"}, 404, "voice", "voice_not_found"),
    ({"voice": ""}, 404, "voice", "voice_not_found"),
    ({"voice": "../secret"}, 404, "voice", "voice_not_found"),
    ({"voice": "{out}/kept/kept.pt"}, 404, "voice", "voice_not_found"),
    ({"voice": "stock_0+{out}/kept/kept.pt"}, 404, "voice", "voice_not_found"),
    ({"voice": "stock_0(2)+nobody(1)"}, 404, "voice", "voice_not_found"),
    ({"voice": "stock_0(x)+stock_1"}, 400, "voice", "invalid_value"),
    ({"voice": "stock_0(0)+stock_1(0)"}, 400, "voice", "invalid_value"),
    ({"voice": "(" * 3000}, 400, "voice", "invalid_value"),
    ({"voice": {"id": "nobody"}}, 404, "voice", "voice_not_found"),
    ({"voice": {"name": "x"}}, 400, "id", "missing_required_parameter"),
    ({"voice": ["stock_0"]}, 400, "voice", "invalid_value"),
    ({"response_format": "aac"}, 400, "response_format", "invalid_value"),
    ({"response_format": True}, 400, "response_format", "invalid_value"),
    ({"speed": 0.1}, 400, "speed", "invalid_value"),
    ({"speed": float("nan")}, 400, "speed", "invalid_value"),
    ({"speed": True}, 400, "speed", "invalid_value"),
    ({"speed": "fast"}, 400, "speed", "invalid_value"),
    ({"speed": 10**400}, 400, "speed", "invalid_value"),
    ({"stream": "yes"}, 400, "stream", "invalid_value"),
    ({"stream_format": "sse"}, 400, "stream_format", "invalid_value"),
    ({"lang_code": "xx"}, 400, "lang_code", "invalid_value"),
    ({"volume_multiplier": -1}, 400, "volume_multiplier", "invalid_value"),
    ({"return_download_link": True}, 400, "return_download_link", "invalid_value"),
]


@pytest.mark.parametrize(("change", "status", "param", "code"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_bad_values(served: Served, change: dict[str, Any], status: int, param: str, code: str) -> None:
    served.base.stock_voices["stock_0"].save(served.out / "kept" / "kept.pt")
    body = json.dumps({**GOOD, **change}).replace("{out}", str(served.out))
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{served.address}/v1/audio/speech", content=body, headers=headers, timeout=60)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["type"] == "invalid_request_error"
    assert (error["param"], error["code"]) == (param, code) and len(error["message"]) < 500


RAW = [
    ("POST", "/v1/audio/speech", b"{", {}, 400, "invalid_json"),
    ("POST", "/v1/audio/speech", b"", {}, 400, "invalid_json"),
    ("POST", "/v1/audio/speech", b"[1]", {}, 400, "invalid_json"),
    ("POST", "/v1/audio/speech", b"\xff\xfe", {}, 400, "invalid_json"),
    ("POST", "/v1/audio/speech", b"[" * 20_000, {}, 400, "invalid_json"),
    ("POST", "/v1/audio/speech", b" " * 30_000, {}, 413, "body_too_large"),
    ("POST", "/v1/audio/speech", b"{}", {"content-type": "text/plain"}, 415, "unsupported_media_type"),
    ("POST", "/v1/audio/speech", b"{}", {"host": "evil.example:80"}, 403, "wrong_host"),
    ("GET", "/health", b"", {"host": "evil.example"}, 403, "wrong_host"),
    ("GET", "/v1/audio/speech", b"", {}, 405, "method_not_allowed"),
    ("GET", "/nothing", b"", {}, 404, "not_found"),
    ("GET", "/v1/models/gpt-9", b"", {}, 404, "model_not_found"),
    ("GET", "/v1/../../etc/passwd", b"", {}, 404, "not_found"),
]


@pytest.mark.parametrize(("method", "path", "body", "more", "status", "code"), RAW, ids=[str(i) for i in range(13)])
def test_bad_requests(served: Served, method, path, body, more, status, code) -> None:
    headers = {"content-type": "application/json", **more}
    answer = httpx.request(method, served.address + path, content=body, headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text


def test_a_body_of_no_stated_length_is_bounded(served: Served) -> None:
    headers = {"content-type": "application/json"}
    chunks = (b" " * 1000 for _ in range(10_000))
    try:
        answer = httpx.post(f"{served.address}/v1/audio/speech", content=chunks, headers=headers, timeout=60)
    except (httpx.WriteError, httpx.ReadError):  # refused while it was still being sent
        return
    assert answer.status_code == 413


def test_invalid_http_gives_no_traceback(served: Served) -> None:
    host, port = "127.0.0.1", int(served.address.rpartition(":")[2])
    with socket.create_connection((host, port), timeout=10) as raw:
        raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b"400" in raw.recv(100)
    assert httpx.get(f"{served.address}/health").status_code == 200


def test_other_addresses_are_warned_of_and_answer_to_any_name(base_folder: Path, tmp_path: Path) -> None:
    server = Served(base_folder, tmp_path, host="0.0.0.0")
    try:
        answer = httpx.get(f"{server.address}/health", headers={"host": "my-server.lan"})
        assert answer.status_code == 200
    finally:
        server.close()


def test_the_command_loads_says_where_it_listens_and_warns(base_folder: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: (_ for _ in ()).throw(KeyboardInterrupt))
    call = ["serve", "--base", str(base_folder), "--out", str(tmp_path), "--port", "0", "--offline", "--device", "cpu"]
    assert main(call) == 0
    line = capsys.readouterr().err
    assert (
        "http://127.0.0.1:" in line
        and "4 voices on tiny (Ctrl-C ends it)" in line
        and "can speak with these voices" not in line
    )
    assert main([*call, "--host", "0.0.0.0"]) == 0
    assert "warning: anybody who reaches 0.0.0.0 can speak with these voices" in capsys.readouterr().err


def test_a_taken_port_is_one_line(base_folder: Path, capsys) -> None:
    with listening_socket("127.0.0.1", 0) as taken:
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["serve", "--base", str(base_folder), "--port", port]) == 2
    assert f"error: --port {port} on 127.0.0.1: Address already in use: choose another" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "code", "says"),
    [
        (["--base", "{tmp}"], 1, "0 weight files"),
        (["--host", "no such host"], 2, "on no such host"),
        (["--device", "tpu"], 2, "--device tpu"),
    ],
)
def test_wrong_calls_are_one_line(more: list[str], code: int, says: str, base_folder: Path, tmp_path: Path, capsys):
    more = [part.replace("{tmp}", str(tmp_path)) for part in more]
    assert main(["serve", "--base", str(base_folder), "--port", "0", "--offline", *more]) == code
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ") and says in line
