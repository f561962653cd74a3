"""ASGI middleware for servers that only this machine may use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse

from voiceclone.serving.requests import ApiError
from voiceclone.system.ports import LOOPBACK, is_loopback


def hosts_of(host: str) -> tuple[str, ...] | None:
    """The names that requests to a server listening on ``host`` may use; None where other machines can reach it."""
    return (*LOOPBACK, host.lower()) if is_loopback(host) else None


class OnlyHosts:
    """Refuses requests whose Host header is not in a list.

    A web page can point its domain name to this machine (DNS rebinding). For the browser it then has the server's own
    origin, and only the Host header tells it apart.

    Args:
        app: the application.
        hosts: the allowed names, in lower case.
        origins: also refuse requests that a page of another host sends, by their Origin header.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], hosts: tuple[str, ...], *, origins: bool = False) -> None:
        self._app, self._hosts, self._origins = app, hosts, origins

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Handle one request."""
        if scope["type"] == "http" and (problem := self._problem(dict(scope["headers"]))):
            error = ApiError(403, problem, code="wrong_host")
            await JSONResponse(error.as_json(), status_code=403)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _problem(self, headers: dict[bytes, bytes]) -> str:
        """Why a request is refused; empty where it is not."""
        called = _host_name("//" + headers.get(b"host", b"").decode("latin-1"))
        if called not in self._hosts:
            return f"this server listens for {', '.join(self._hosts)} only, not for {called[:80]!r}"
        origin = headers.get(b"origin")
        if self._origins and origin is not None and _host_name(origin.decode("latin-1")) not in self._hosts:
            return f"pages of {origin.decode('latin-1')[:80]!r} may not use this server"
        return ""


def _host_name(address: str) -> str:
    """The host in an address, in lower case; empty where there is none."""
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""
