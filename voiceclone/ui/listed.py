"""The clips on one page of the list of transcripts, and how what the visitor wrote is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from voiceclone.ui.draft import MAX_TEXT

if TYPE_CHECKING:
    from voiceclone.ui.draft import Draft

ROWS = 6  # clips on one page of the list


class ListedClips(NamedTuple):
    """What a browser shows, which may be older than the draft: another tab, or Whisper, may have changed that."""

    start: int = 0
    """Index of the first clip."""
    rows: tuple[tuple[str, str], ...] = ()
    """File and text of each clip."""

    @classmethod
    def of(cls, draft: Draft, start: int) -> ListedClips:
        """The page that contains the clip with index ``start``, or the last page."""
        start = max(0, min(start, len(draft.clips) - 1)) // ROWS * ROWS
        return cls(start, tuple((clip.file, clip.text) for clip in draft.clips[start : start + ROWS]))


def keep_texts(draft: Draft, listed: ListedClips, texts: tuple[str, ...]) -> ListedClips:
    """Store the boxes that the visitor changed.

    Boxes as they were shown are not stored: an empty one may belong to a clip that Whisper has transcribed since.

    Returns:
        ``listed`` with the texts of the boxes.
    """
    clips = {clip.file: clip for clip in draft.clips}
    rows, changed = [], False
    for (file, before), text in zip(listed.rows, texts):
        said = " ".join((text or "").split())[:MAX_TEXT]
        if said != before and file in clips:
            clips[file].text, changed = said, True
        rows.append((file, said))
    if changed:
        draft.save()
    return ListedClips(listed.start, tuple(rows))
