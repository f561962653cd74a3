"""Sockets to listen on."""

from __future__ import annotations

import ipaddress
import socket

from voiceclone.errors import UsageError

LOOPBACK = ("127.0.0.1", "localhost", "::1")  # host names that requests may use for this machine


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    try:
        return host in LOOPBACK or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listening_socket(host: str, port: int) -> socket.socket:
    """A TCP socket bound to an address; port 0 takes a free one.

    Raises:
        UsageError: there is no such address here, or another program listens there.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
        except OSError:
            found.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"--port {port} on {host}: {reason}: choose another --port") from error
    return found
