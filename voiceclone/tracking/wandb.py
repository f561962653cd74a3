"""Weights & Biases runs without prompts and without hanging; offline if the server cannot be reached.

Written against wandb 0.31; settings that older versions do not know are left out.
"""

from __future__ import annotations

import contextlib
import json
import netrc
import os
import re
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from voiceclone.errors import UsageError, one_line
from voiceclone.files import write_json

FOLDER = "wandb"
RUN_FILE = "voiceclone-run.json"  # in FOLDER: the id of the run, for resuming
HOSTED = "api.wandb.ai"  # the public server's name in netrc files, even if its address has changed
PROBE_SECONDS = 6.0  # for the server's first answer
INIT_SECONDS = 15.0  # for the server to open the run
OFFLINE_INIT_SECONDS = 120.0  # no network is used, but wandb starts a service, which is slow on a busy machine
FINISH_SECONDS = 60.0  # for the upload at the end; the rest stays on disk for `wandb sync`
HISTOGRAM_BINS = 64
_BAD_IN_PROJECT = re.compile(r"[/\\#?%:\x00-\x1f]")
_BAD_IN_ARTIFACT = re.compile(r"[^A-Za-z0-9_.-]+")


class WandbTracker:
    """Logs to one Weights & Biases run, online or offline; see ``trackers.Tracker``."""

    name = "W&B"

    def __init__(self, run: Any, *, offline: bool) -> None:
        self._run = run
        self._last_step = 0
        self.offline = offline
        run_folder = Path(run.dir).parent
        self.notice = f"W&B: offline, upload with: wandb sync {run_folder}" if offline else f"W&B: {run.url}"

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Log each value under its tag."""
        self._log(dict(values), step)

    def audio(self, tag: str, samples: np.ndarray, step: int, sample_rate: int = 24_000) -> None:
        """Log mono audio ``(T,)`` in +-1."""
        import wandb

        self._log({tag: wandb.Audio(samples, sample_rate=sample_rate)}, step)

    def image(self, tag: str, rgb: np.ndarray, step: int) -> None:
        """Log an image ``(H, W, 3)``, uint8."""
        import wandb

        self._log({tag: wandb.Image(rgb)}, step)

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        """Log the distribution of ``values``, any shape."""
        import wandb

        counts = np.histogram(values, bins=HISTOGRAM_BINS)
        self._log({tag: wandb.Histogram(np_histogram=counts)}, step)

    def config(self, config: dict[str, Any]) -> None:
        """Set the run's configuration."""
        self._run.config.update(json.loads(json.dumps(config, default=str)), allow_val_change=True)

    def artifact(self, name: str, path: Path, metadata: dict[str, Any]) -> None:
        """Attach the file at ``path`` as an artifact of type "voice"."""
        import wandb

        metadata = json.loads(json.dumps(metadata, default=str))
        artifact = wandb.Artifact(artifact_name(name), type="voice", metadata=metadata)
        # Immutable: avoids a copy in the user's home, which would stay there if the run is never synced.
        artifact.add_file(str(path), policy="immutable", skip_cache=True)
        self._run.log_artifact(artifact)

    def close(self, *, failed: bool = False) -> None:
        """Finish the run; waits for the upload, but no longer than ``FINISH_SECONDS``."""
        self._run.finish(exit_code=1 if failed else 0)

    def _log(self, row: dict[str, Any], step: int) -> None:
        # W&B drops rows with a step before the last one: late values are added to the last row instead.
        self._last_step = max(self._last_step, int(step))
        self._run.log(row, step=self._last_step)


def open_wandb(
    *,
    project: str,
    run_name: str,
    folder: Path,
    offline: bool,
    resume_step: int,
    warn: Callable[[str], None],
) -> WandbTracker | None:
    """Open the run ``run_name`` in ``project``, with its files in ``folder / "wandb"``.

    Without a key, without an answer within about 20 s, or with ``offline`` or ``WANDB_MODE=offline``, the run is an
    offline one; except for the last two, ``warn`` gets the reason. None when ``WANDB_MODE=disabled``. With
    ``resume_step`` > 0 the interrupted run continues under its id.

    Raises:
        ImportError: wandb is not installed.
    """
    mode = os.environ.get("WANDB_MODE", "").lower()
    if mode == "disabled":
        return None
    # wandb reports its own errors to the server, in offline mode too, and a server that does not answer then delays the
    # exit.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    base_url = os.environ.get("WANDB_BASE_URL") or wandb.setup().settings.base_url
    run_id = _run_id(Path(folder), resume_step=resume_step)
    key = None
    offline = offline or mode in ("offline", "dryrun")
    if not offline:
        key = find_key(base_url, wandb.setup().settings.api_key)
        reason = _why_not_online(base_url, key)
        if reason:
            warn(reason)
            offline = True
    call = {"project": project, "name": run_name, "dir": str(folder), "id": run_id, "resume": "allow"}
    if not offline:
        try:
            return WandbTracker(_init(wandb, call, mode="online", base_url=base_url, key=key), offline=False)
        except Exception as error:  # its network, key and protocol errors have no common base class
            warn(f"W&B is offline: {one_line(error)}")
            call["id"] = _new_run_id(Path(folder))  # wandb's service still holds the run that did not open
    return WandbTracker(_init(wandb, call, mode="offline", base_url=base_url, key=None), offline=True)


def check_project(project: str) -> None:
    """Refuse a project name that the server would refuse.

    Raises:
        UsageError: a forbidden character, an empty or too long name.
    """
    if not project.strip() or len(project) > 128 or _BAD_IN_PROJECT.search(project):
        raise UsageError(f"--wandb-project {project!r}: give 1 to 128 characters without / \\ # ? % :")


def artifact_name(name: str) -> str:
    """``name`` with characters that W&B refuses replaced by "-"."""
    return _BAD_IN_ARTIFACT.sub("-", name)[:128] or "voice"


def find_key(base_url: str, configured: str | None = None) -> str | None:
    """The API key from ``WANDB_API_KEY``, the settings or the netrc file, or None.

    wandb searches the same places, but prompts on the terminal if it finds none.
    """
    if key := os.environ.get("WANDB_API_KEY") or configured:
        return key
    path = os.environ.get("NETRC")
    paths = [Path(path)] if path else [Path.home() / ".netrc", Path.home() / "_netrc"]
    for candidate in paths:
        with contextlib.suppress(OSError, netrc.NetrcParseError, UnicodeDecodeError):
            entries = netrc.netrc(str(candidate.expanduser())).hosts
            for host in (urlsplit(base_url).netloc, HOSTED):
                if host in entries and entries[host][2]:
                    return entries[host][2]
    return None


def answers(url: str, timeout: float) -> bool:
    """Whether a server answers at ``url`` within ``timeout`` seconds, name resolution included; any answer counts."""
    result: list[bool] = []
    # In a thread: name resolution has no timeout.
    thread = threading.Thread(target=lambda: result.append(_request(url, timeout)), daemon=True)
    thread.start()
    thread.join(timeout)
    return bool(result and result[0])


def _request(url: str, timeout: float) -> bool:
    try:
        urllib.request.urlopen(url, timeout=timeout).close()
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:
        return isinstance(error.reason, ssl.SSLError)  # wandb may accept certificates that urllib does not
    except (OSError, ValueError):
        return False
    return True


def _why_not_online(base_url: str, key: str | None) -> str | None:
    """The warning if an online run would fail, or None."""
    if not key and not os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return "W&B is offline: no API key found; set WANDB_API_KEY or run `wandb login` first"
    if not answers(base_url, PROBE_SECONDS):
        return f"W&B is offline: no answer from {base_url}"
    return None


def _init(wandb: Any, call: dict[str, Any], *, mode: str, base_url: str, key: str | None) -> Any:
    """``wandb.init`` without prompt, console capture, code upload or change to ``wandb.run``."""
    settings = {
        "mode": mode,
        "base_url": base_url,
        "init_timeout": INIT_SECONDS if mode == "online" else OFFLINE_INIT_SECONDS,
        "finish_timeout": FINISH_SECONDS,
        "console": "off",
        "silent": True,
        "disable_code": True,
        "disable_git": True,
        "save_code": False,
        "relogin": False,
        "reinit": "create_new",
        "api_key": key,
    }
    known = getattr(wandb.Settings, "model_fields", settings)
    settings = {name: value for name, value in settings.items() if name in known and value is not None}
    return wandb.init(settings=wandb.Settings(**settings), **call)


def _run_id(folder: Path, *, resume_step: int) -> str:
    """The stored id when a run is resumed, else a new one, which is stored."""
    if resume_step > 0:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            stored = json.loads((folder / FOLDER / RUN_FILE).read_text("utf-8"))["id"]
            if isinstance(stored, str) and re.fullmatch(r"[a-z0-9]{8,64}", stored):
                return stored
    return _new_run_id(folder)


def _new_run_id(folder: Path) -> str:
    run_id = os.urandom(8).hex()
    write_json(folder / FOLDER / RUN_FILE, {"id": run_id})
    return run_id
