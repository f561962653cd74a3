"""Requests under another name, or from pages of other sites, do not reach a server of this machine alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("starlette", reason="starlette is not installed: pip install '.[serve]'")

from voiceclone.serving.hosts import OnlyHosts, hosts_of


def answer(host: str, origin: str | None = None, *, listening: str = "127.0.0.1", origins: bool = True) -> int:
    """The status of a request; 200 where it reaches the application."""
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", host.encode())] + ([] if origin is None else [(b"origin", origin.encode())])
    hosts = hosts_of(listening)
    assert hosts is not None
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    asyncio.run(OnlyHosts(application, hosts, origins=origins)(scope, None, send))
    return sent[0]["status"]


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost", "LOCALHOST:1", "[::1]:7860"])
def test_this_machine_is_called_by_its_own_names(host: str) -> None:
    assert answer(host) == answer(host, f"http://{host}") == 200


@pytest.mark.parametrize("host", ["evil.example:7860", "127.0.0.2", "", "[", "127.0.0.1.evil.example", "a@b:c"])
def test_another_name_is_refused(host: str) -> None:
    assert answer(host) == 403


def test_the_address_it_listens_on_is_one_of_its_names() -> None:
    assert answer("127.0.0.2:7860", listening="127.0.0.2") == 200
    assert hosts_of("0.0.0.0") is None and hosts_of("192.168.0.7") is None


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", "http://["])
def test_pages_of_other_sites_are_refused_where_that_is_asked_for(origin: str) -> None:
    assert answer("127.0.0.1", origin) == 403
    assert answer("127.0.0.1", origin, origins=False) == 200
