"""The sound players of the page: the browser's own, which keyboards and screen readers know, a line each."""

from __future__ import annotations

from html import escape
from pathlib import Path
from urllib.parse import quote


def player(path: Path, label: str, *, elem_id: str = "", note: str = "") -> str:
    """HTML of a player for a file that the page may serve (see ``allowed_paths`` and gradio's cache).

    Args:
        label: what is heard; shown, and read out by screen readers.
        note: a further line under the label.
    """
    stamp = int(path.stat().st_mtime * 1000) if path.is_file() else 0  # a new sound is not taken from the cache
    source = f"gradio_api/file={quote(str(path.resolve()))}?{stamp}"
    identity = f' id="{escape(elem_id)}"' if elem_id else ""
    small = f"<small>{escape(note)}</small>" if note else ""
    return (
        f'<figure class="player"{identity}><figcaption>{escape(label)}{small}</figcaption>'
        f'<audio controls preload="metadata" aria-label="{escape(label)}" src="{escape(source)}"></audio></figure>'
    )


def side_by_side(pairs: list[tuple[str, str]]) -> str:
    """HTML of players, two in a row where there is room."""
    rows = "".join(f'<div class="pair">{left}{right}</div>' for left, right in pairs)
    return f'<div class="pairs">{rows}</div>'
