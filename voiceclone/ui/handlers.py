"""Helper for the event handlers of the tabs."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from voiceclone.errors import VoicecloneError, shown


def told(work: Callable[..., Any], *, outputs: int = 1) -> Callable[..., Any]:
    """Wrap an event handler so that a :class:`VoicecloneError` or an OSError is shown as one line.

    The ``outputs`` components then stay unchanged. gradio's own error class would show the line as well, but prints a
    traceback to the terminal.
    """

    @wraps(work)
    def handler(*arguments: Any) -> Any:
        import gradio as gr

        try:
            return work(*arguments)
        except VoicecloneError as error:
            line = shown(error)
        except OSError as error:  # a disk that was removed, a folder that somebody deletes meanwhile
            line = f"{error.filename or 'a file'}: {error.strerror or error}"
        gr.Warning(error_sentence(line))
        return gr.skip() if outputs == 1 else [gr.skip()] * outputs

    return handler


def error_sentence(line: str) -> str:
    """An error line as the page shows it: with a capital, unless it begins with a name or a number."""
    first = line.split(" ", 1)[0]
    return line[:1].upper() + line[1:] if first.isascii() and first.isalpha() else line
