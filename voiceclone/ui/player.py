"""The sound players of the page."""

from __future__ import annotations

from typing import Any


def player(label: str, elem_id: str) -> Any:
    """Something to hear and to download; gradio's button that uploads it to the Hugging Face Hub is left out."""
    import gradio as gr

    return gr.Audio(label=label, elem_id=elem_id, interactive=False, buttons=["download"])
