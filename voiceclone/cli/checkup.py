"""The checks of ``doctor``: versions, device, weights, extras, free space. Nothing is downloaded.

Only findings that prevent the program from working are problems; missing optional parts are not.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
from pathlib import Path
from typing import Any

from voiceclone.errors import VoicecloneError
from voiceclone.system.extras import EXTRAS, install_command, is_installed

# Import names of the dependencies in pyproject.toml.
NEEDED = (
    "torch", "torchaudio", "kokoro", "misaki", "accelerate", "transformers", "huggingface_hub", "numpy", "librosa",
    "soundfile", "soxr", "swift_f0", "onnx", "tensorboard", "wandb", "matplotlib", "PIL", "jinja2",
    "safetensors", "filelock", "tqdm", "yaml",
    "espeakng_loader", "spacy", "scipy", "sklearn",
)  # fmt: skip
THERE, MISSING, DAMAGED = "there", "missing", "damaged"
LITTLE_SPACE = 2_000_000_000  # bytes; downloading the real Kokoro and a clone take about half of it


def examine_machine() -> dict[str, Any]:
    """Everything that ``doctor`` reports, JSON-able; ``problems`` is empty if everything that is required works."""
    problems = [f"the package {name} is missing: install voiceclone again" for name in missing_packages()]
    facts = {
        "versions": _versions(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "device": _checked("torch cannot be used", device, problems),
        "speech": _checked("eSpeak-NG cannot be used", _espeak, problems),
        "weights": _checked("the weights cannot be looked at", lambda: weights(problems), problems) or [],
        "english_tagger": importlib.util.find_spec("en_core_web_sm") is not None,
        "speaker_encoder": importlib.util.find_spec("resemblyzer") is not None,
        "extras": extras(),
        "space": space(),
    }
    return {"ok": not problems, "problems": problems, **facts}


def missing_packages() -> list[str]:
    """Names of :data:`NEEDED` that are not found."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def device() -> dict[str, Any]:
    """The device that ``--device auto`` selects."""
    import torch

    from voiceclone.distributed import choose_device

    chosen = choose_device("auto").type
    name = torch.cuda.get_device_name() if chosen == "cuda" else platform.processor() or platform.machine()
    return {"chosen": chosen, "name": name, "threads": torch.get_num_threads()}


def weights(problems: list[str]) -> list[dict[str, Any]]:
    """The bases' weights, in the order of ``--base auto``; damaged files become problems."""
    from voiceclone.bases.folder import read_info
    from voiceclone.bases.kokoro_weights import FULL_PRECISION
    from voiceclone.models import hub, presets, registry
    from voiceclone.models.converted import find_converted

    int8 = registry.KOKORO_INT8
    converted, parts = find_converted(int8.sha256), registry.installed(int8)
    quantised = converted.weights if converted else None
    nano = presets.NANO_FOLDER
    found = [
        _file("Kokoro-82M", f"Hub cache, {FULL_PRECISION}", hub.cached(hub.KOKORO_WEIGHTS), hub.KOKORO_WEIGHTS.sha256),
        _file("Kokoro-82M", "converted from the registry's int8 weights", quantised, None),
        _file("Kokoro-82M", "extra kokoro-int8, converted at first use", parts[0].parent if parts else None, None),
        _file("nano", "part of the package", nano if (nano / "model.safetensors").is_file() else None, None),
        _file("StyleTTS2's encoders", "Hub cache, optional", hub.cached(hub.STYLETTS2_CHECKPOINT), None),
    ]
    for entry in found:
        if entry["state"] == DAMAGED:
            problems.append(f"{entry['path']} is not the published file: delete it and get it again")
    try:
        read_info(nano)
    except VoicecloneError as error:
        found[3]["state"] = DAMAGED
        problems.append(f"the nano base is damaged ({error}): install voiceclone again")
    if found[3]["state"] == MISSING:
        problems.append("the nano base is missing: install voiceclone again")
    return found


def extras() -> dict[str, dict[str, Any]]:
    """Each extra: whether it is installed, what it adds, how to install it."""
    return {
        name: {"installed": is_installed(name), "adds": extra.adds, "install": install_command(name)}
        for name, extra in EXTRAS.items()
    }


def space() -> dict[str, dict[str, Any]]:
    """Free bytes at output, our cache and the Hub's cache; for missing folders, of the nearest existing parent."""
    from voiceclone.models.store import cache_root

    places = {"here": Path.cwd(), "cache": cache_root()}
    if importlib.util.find_spec("huggingface_hub") is not None:
        from huggingface_hub import constants

        places["hub cache"] = Path(constants.HF_HUB_CACHE)
    found = {}
    for name, path in places.items():
        there = next(folder for folder in (path, *path.parents) if folder.is_dir())
        found[name] = {"path": str(path), "free": shutil.disk_usage(there).free}
    return found


def _checked(what: str, look: Any, problems: list[str]) -> Any:
    """What ``look`` finds; None, and a problem, if it fails: a broken library may raise any exception."""
    try:
        return look()
    except Exception as error:
        reason = str(error) if isinstance(error, VoicecloneError) else f"{type(error).__name__}: {error}"
        problems.append(f"{what}: {' '.join(reason.split())[:300]}")
        return None


def _versions() -> dict[str, str]:
    from voiceclone.system.versions import package_versions

    return package_versions()


def _espeak() -> str:
    """Let eSpeak-NG read a word; unknown English words and other languages need it."""
    import espeakng_loader

    if not (Path(espeakng_loader.get_data_path()) / "phondata").is_file():
        raise VoicecloneError("its data is missing: pip install --force-reinstall espeakng-loader")
    espeakng_loader.load_library()
    return "eSpeak-NG"


def _file(base: str, source: str, path: Path | None, sha256: str | None) -> dict[str, Any]:
    """One file or folder; if its hash is known, the content is compared, once for each change of the file."""
    from voiceclone.models.store import stamped_sha256

    if path is None:
        return {"base": base, "source": source, "state": MISSING, "path": None, "bytes": None}
    files = [path] if path.is_file() else [part for part in path.rglob("*") if part.is_file()]
    damaged = sha256 is not None and stamped_sha256(path) != sha256
    return {
        "base": base,
        "source": source,
        "state": DAMAGED if damaged else THERE,
        "path": str(path),
        "bytes": sum(part.stat().st_size for part in files),
    }
