"""ASGI middleware that keeps the page from loading anything from other servers.

It removes external resources from gradio's HTML and sets a Content-Security-Policy. As it wraps the application, it
works with any release of gradio.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_REQUEST_BYTES = 1_000_000_000  # bytes of one upload, all files together
_OUTSIDE = r"""(?:src|href|content)\s*=\s*["']?(?:https?:)?//[^"'>\s]*["']?"""
_SCRIPT = re.compile(rf"<script\b[^>]*{_OUTSIDE}[^>]*>\s*</script>", re.I)
_TAG = re.compile(rf"<(?:link|meta|img|iframe)\b[^>]*{_OUTSIDE}[^>]*/?>", re.I)
# gradio downloads the address behind "file=" itself; blocked, since it would allow server-side request forgery.
_ELSEWHERE = re.compile(r"/(?:file=|proxy=|stream/)(?:https?:|//)|/proxy=", re.I)


def policy(nonce: str) -> str:
    """The Content-Security-Policy: resources of the page's own origin only."""
    return "; ".join(
        (
            "default-src 'self'",
            # gradio's components compile their templates with Function(), which needs unsafe-eval.
            f"script-src 'self' 'nonce-{nonce}' 'unsafe-eval'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "media-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self' data: blob:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def without_outside(html: str, nonce: str) -> str:
    """Remove scripts, styles, fonts and images of other origins from ``html``; add ``nonce`` to its own scripts."""
    html = _TAG.sub("", _SCRIPT.sub("", html))
    return re.sub(r"<script\b(?![^>]*\bnonce=)", f'<script nonce="{nonce}"', html)


class Shield:
    """The middleware."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        size = headers.get(b"content-length", b"0")
        if _ELSEWHERE.search(scope["path"]):
            await _refuse(send, 403, b"this page fetches nothing from elsewhere")
        elif size.isdigit() and int(size) > MAX_REQUEST_BYTES:
            await _refuse(send, 413, b"too much at once: give fewer files")
        else:
            await self._app(scope, receive, _Rewriting(send).send)


class _Rewriting:
    """Adds the security headers to a response and rewrites its body where it is HTML."""

    def __init__(self, send: Send) -> None:
        self._send, self._nonce = send, secrets.token_urlsafe(12)
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [(k, v) for k, v in message["headers"] if k.lower() != b"content-security-policy"]
            added = {
                b"content-security-policy": policy(self._nonce).encode(),
                b"referrer-policy": b"no-referrer",
                b"x-content-type-options": b"nosniff",
                b"permissions-policy": b"camera=(), geolocation=(), microphone=(self)",
            }
            message = {**message, "headers": [*kept, *added.items()]}
            kind = {k.lower(): v for k, v in kept}.get(b"content-type", b"")
            if kind.startswith(b"text/html"):
                self._start = message
                return
        elif self._start is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if message.get("more_body"):
                return
            await self._send_html()
            return
        await self._send(message)

    async def _send_html(self) -> None:
        start, self._start = self._start, None
        assert start is not None
        body = without_outside(self._body.decode("utf-8", "replace"), self._nonce).encode()
        headers = [(k, v) for k, v in start["headers"] if k.lower() != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


async def _refuse(send: Send, status: int, reason: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(reason)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reason})
