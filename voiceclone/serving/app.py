"""The routes: OpenAI's, and those of Kokoro-FastAPI that its clients use."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from voiceclone.audio.sound_formats import FORMATS
from voiceclone.audio.stream import PCM, STREAMS
from voiceclone.errors import UsageError, VoicecloneError, shown
from voiceclone.serving.engine import Engine, SpeechJob, SpeechStream
from voiceclone.serving.hosts import OnlyHosts
from voiceclone.serving.requests import MODELS, ApiError, SpeechRequest, parse_json, parse_speech
from voiceclone.system.ports import LOOPBACK
from voiceclone.text.voice_markers import parts_by_voice

if TYPE_CHECKING:
    from voiceclone.serving.shelf import Shelf
    from voiceclone.tracking.progress import Reporter

BODY_SECONDS = 30.0  # how long the whole body may take to arrive
BYTES_A_CHARACTER = 12  # the longest form of a character in JSON: \\ud83d\\ude00
BODY_SLACK = 16_384  # bytes of a body besides its text
MAX_VOICES = 16  # different voices and mixes of one text; each takes 0.5 MB
CREATED = 1_704_067_200  # the clients' model type has a time of creation: 2024-01-01
TYPES = {**{name: kind.media_type for name, kind in FORMATS.items()}, PCM: "audio/pcm"}


class Api:
    """The endpoints.

    Args:
        shelf: looks up voices.
        engine: synthesises.
        lang: language of requests without one.
        max_characters: longest text.
    """

    def __init__(self, shelf: Shelf, engine: Engine, *, lang: str, max_characters: int, reporter: Reporter) -> None:
        self._shelf, self._engine, self._lang, self._reporter = shelf, engine, lang, reporter
        self._max_characters = max_characters

    def app(self, *, hosts: tuple[str, ...] | None = LOOPBACK) -> Any:
        """The ASGI application.

        Args:
            hosts: allowed values of the Host header; None allows all. This refuses web pages whose domain name was
                pointed to this machine (DNS rebinding).
        """
        routes = [
            Route("/v1/audio/speech", self.speech, methods=["POST"]),
            Route("/v1/audio/voices", self.voices),
            Route("/v1/models", self.models),
            Route("/v1/models/{model}", self.model),
            Route("/health", self.health),
        ]
        handlers: dict[Any, Any] = {
            ApiError: _refused,
            HTTPException: _http_error,
            ClientDisconnect: _gone,
            Exception: self._broken,
        }
        app = Starlette(routes=routes, exception_handlers=handlers)
        return app if hosts is None else OnlyHosts(app, hosts)

    async def health(self, request: Request) -> Response:
        """Answers once the base is loaded."""
        return JSONResponse({"status": "healthy"})

    async def models(self, request: Request) -> Response:
        """The names that a request may give as ``model``."""
        return JSONResponse({"object": "list", "data": [_model(name) for name in MODELS]})

    async def model(self, request: Request) -> Response:
        """One model."""
        if (name := request.path_params["model"]) not in MODELS:
            raise ApiError(404, f"no model {name[:80]!r}", param="model", code="model_not_found")
        return JSONResponse(_model(name))

    async def voices(self, request: Request) -> Response:
        """Every voice; with ``?legacy=true`` bare names, as older clients of Kokoro-FastAPI expect."""
        found = await asyncio.to_thread(self._shelf.listed)
        legacy = request.query_params.get("legacy", "").lower() in ("1", "true")
        return JSONResponse({"voices": [voice["id"] for voice in found] if legacy else found})

    async def speech(self, request: Request) -> Response:
        """Synthesise."""
        content = parse_json(await self._body(request))
        wanted = parse_speech(content, max_characters=self._max_characters)
        self._engine.reserve()  # before the voices are loaded, so that refused requests take no memory
        try:
            job = await asyncio.to_thread(self._job, wanted)
        except BaseException:  # also if the request is cancelled
            self._engine.release()
            raise
        speech = self._engine.start(job)
        first = await _first(speech, request)
        headers = {"Content-Disposition": f'attachment; filename="speech.{wanted.form}"', "Cache-Control": "no-cache"}
        if not (wanted.stream and wanted.form in STREAMS):
            return Response(first, media_type=TYPES[wanted.form], headers=headers)
        body = self._until_broken(speech.rest(first))
        return StreamingResponse(body, media_type=TYPES[wanted.form], headers=headers)

    def _job(self, wanted: SpeechRequest) -> SpeechJob:
        """The texts with their voices, which are loaded here."""
        try:
            named = parts_by_voice(wanted.text)
        except UsageError as error:
            raise ApiError(400, str(error), param="input", code="invalid_value") from error
        names = dict.fromkeys(voice or wanted.voice for voice, _ in named)
        if len(names) > MAX_VOICES:
            message = f"input: {len(names)} different voices are more than {MAX_VOICES}: send the text in parts"
            raise ApiError(400, message, param="input", code="invalid_value")
        packs = self._shelf.find((*names, wanted.voice))
        return SpeechJob(
            parts=tuple((text, packs[voice or wanted.voice].tensor) for voice, text in named),
            form=wanted.form,
            speed=wanted.speed,
            volume=wanted.volume,
            stream=wanted.stream,
            lang=wanted.lang or self._lang,
        )

    async def _body(self, request: Request) -> bytes:
        """The body, limited in size and time.

        A browser asks for permission (CORS) before it sends JSON to another site, and this server grants none, so that
        web pages cannot use it.
        """
        if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            raise ApiError(415, "send the header Content-Type: application/json", code="unsupported_media_type")
        most = BYTES_A_CHARACTER * self._max_characters + BODY_SLACK
        too_large = ApiError(413, f"the body has more than {most} bytes", code="body_too_large")
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > most:
            raise too_large

        async def read() -> bytes:
            content = bytearray()
            async for chunk in request.stream():
                content += chunk
                if len(content) > most:
                    raise too_large
            return bytes(content)

        try:
            return await asyncio.wait_for(read(), BODY_SECONDS)
        except asyncio.TimeoutError:
            raise ApiError(408, f"the body took more than {BODY_SECONDS:g} s", code="timeout") from None

    async def _until_broken(self, body: Any) -> Any:
        """The bytes; if the job fails the connection is closed, so that the client notices the missing rest."""
        try:
            async for content in body:
                yield content
        except Exception as error:
            self._reporter.warn(f"a request failed while it was spoken: {shown(error)}")
            raise
        finally:
            await body.aclose()

    async def _broken(self, request: Request, error: Exception) -> Response:
        """An unforeseen error; the client gets no details."""
        self._reporter.warn(f"{request.method} {shown(request.url.path)}: {type(error).__name__}: {shown(error)}")
        return await _refused(request, ApiError(500, "the server failed at this request", code="internal_error"))


async def _first(speech: SpeechStream, request: Request) -> bytes:
    """The first bytes; if the client disconnects before, the job ends.

    Raises:
        ApiError: the text cannot be spoken (422), or the server is shutting down (503).
    """
    coming, gone = asyncio.create_task(speech.next()), asyncio.create_task(_until_gone(request))
    try:
        await asyncio.wait({coming, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not coming.done():
            raise ClientDisconnect
        return coming.result() or b""
    except VoicecloneError as error:
        raise ApiError(422, str(error), param="input", code="not_speakable") from error
    except asyncio.CancelledError:  # the server shuts down, and the grace period is over
        raise ApiError(503, "the server is ending", code="server_ending") from None
    finally:
        if not coming.done():
            speech.stopped.set()
        for task in (coming, gone):
            task.cancel()


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _refused(request: Request, error: ApiError) -> Response:
    headers = {"Retry-After": "1"} if error.status == 503 else None
    return JSONResponse(error.as_json(), status_code=error.status, headers=headers)


async def _http_error(request: Request, error: HTTPException) -> Response:
    message = f"{request.method} {request.url.path[:200]}: {error.detail}"
    found = ApiError(error.status_code, message, code=str(error.detail).lower().replace(" ", "_"))
    return JSONResponse(found.as_json(), status_code=error.status_code, headers=error.headers)


async def _gone(request: Request, error: ClientDisconnect) -> Response:
    """The response to a disconnected client."""
    return Response(status_code=499)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "voiceclone"}
