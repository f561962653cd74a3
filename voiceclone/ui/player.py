"""HTML of audio players. The browser's native player is used, because it supports keyboards and screen readers."""

from __future__ import annotations

from html import escape
from pathlib import Path
from urllib.parse import quote


def player(path: Path, label: str, *, elem_id: str = "", note: str = "") -> str:
    """HTML of a player for a file that gradio may serve (in ``allowed_paths`` or gradio's cache).

    Args:
        path: the audio file.
        label: title of the player, also for screen readers.
        elem_id: HTML id; none if empty.
        note: a second line under the label.
    """
    stamp = int(path.stat().st_mtime * 1000) if path.is_file() else 0  # avoids a stale file from the browser's cache
    source = f"gradio_api/file={quote(str(path.resolve()))}?{stamp}"
    identity = f' id="{escape(elem_id)}"' if elem_id else ""
    small = f"<small>{escape(note)}</small>" if note else ""
    return (
        f'<figure class="player"{identity}><figcaption>{escape(label)}{small}</figcaption>'
        f'<audio controls preload="metadata" aria-label="{escape(label)}" src="{escape(source)}"></audio></figure>'
    )


def side_by_side(pairs: list[tuple[str, str]]) -> str:
    """HTML of players in pairs, two in a row on wide screens."""
    rows = "".join(f'<div class="pair">{left}{right}</div>' for left, right in pairs)
    return f'<div class="pairs">{rows}</div>'
