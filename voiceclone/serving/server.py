"""Load the base, listen, serve until Ctrl-C."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import uvicorn

from voiceclone.bases.base import NANO, load_base
from voiceclone.distributed import choose_device
from voiceclone.serving.app import Api
from voiceclone.serving.config import ServeConfig
from voiceclone.serving.engine import Engine
from voiceclone.serving.hosts import hosts_of
from voiceclone.serving.shelf import Shelf
from voiceclone.system.ports import is_loopback, listening_socket

if TYPE_CHECKING:
    from voiceclone.bases.base import Base
    from voiceclone.tracking.progress import Reporter

GRACE_SECONDS = 5  # seconds for requests to finish after Ctrl-C


def serve(config: ServeConfig, reporter: Reporter) -> None:
    """Serve until Ctrl-C.

    Raises:
        UsageError: the address is not available, or no such base or device.
        VoicecloneError: the base cannot be loaded.
    """
    with listening_socket(config.host, config.port) as listener:
        device = choose_device(config.device)
        base = load_base(config.base, offline=config.offline, notice=reporter.info)
        if base.kind == NANO and config.base == "auto":
            reporter.warn("Kokoro-82M is not cached and no source can be reached: serving the nano base")
        base.kmodel.to(device)
        if not is_loopback(config.host):
            reporter.warn(
                f"anybody who reaches {config.host} can speak with these voices: --host 127.0.0.1 keeps them here"
            )
        host = f"[{config.host}]" if ":" in config.host else config.host
        voices = len(Shelf(config.out, base).listed())
        address = f"http://{host}:{listener.getsockname()[1]}/v1"
        server = server_of(config, base, reporter)
        reporter.info(f"{address}: {voices} voices on {base.title} (Ctrl-C ends it)")
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


def server_of(config: ServeConfig, base: Base, reporter: Reporter) -> uvicorn.Server:
    """The server for a base that is loaded.

    Raises:
        UsageError: the language needs packages that are not installed.
    """
    engine = Engine(base, waiting=config.queue, reporter=reporter, seed=config.seed)
    engine.prepare(config.lang)
    api = Api(
        Shelf(config.out, base), engine, lang=config.lang, max_characters=config.max_characters, reporter=reporter
    )
    settings = uvicorn.Config(
        api.app(hosts=hosts_of(config.host)),
        log_config=None,
        log_level="critical",
        access_log=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
        lifespan="off",
        ws="none",
    )
    return uvicorn.Server(settings)
