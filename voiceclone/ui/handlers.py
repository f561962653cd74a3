"""What the tabs' event handlers share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from voiceclone.errors import VoicecloneError, shown


def told(work: Callable[..., Any], *, outputs: int = 1) -> Callable[..., Any]:
    """A handler whose errors the page shows as one line, leaving its ``outputs`` components as they were.

    Raising gradio's own error would show the line, too, but print a traceback on the terminal.
    """

    @wraps(work)
    def handler(*arguments: Any) -> Any:
        import gradio as gr

        try:
            return work(*arguments)
        except VoicecloneError as error:
            gr.Warning(shown(error))
            return gr.skip() if outputs == 1 else [gr.skip()] * outputs

    return handler
