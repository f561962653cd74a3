"""The rows of the report, its summary, and the rows of the dataset's metadata."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from voiceclone import __version__
from voiceclone.data.dataset import hold_out
from voiceclone.data.metadata import SPLITS
from voiceclone.data.recordings import Recording
from voiceclone.prepare.clips import PlannedClip
from voiceclone.prepare.config import PrepareConfig
from voiceclone.prepare.plan import Planned

LEAST_USED = 0.7  # share of words and audio; correct texts reach 0.9, another recording's text 0.4
_FIGURES = ("level_dbfs", "peak", "clipped", "bandwidth_hz", "warnings", "loudness_before", "gain_db")


def clip_row(
    clip: PlannedClip, source: str, record: Mapping[str, Any], speaker: tuple[float, str | None] | None
) -> dict[str, Any]:
    """The row of a clip in the report.

    Args:
        source: name of its recording.
        record: its measurements, see :func:`voiceclone.prepare.clips.write_clips`; empty if it was not cut.
        speaker: its similarity and problem, see :func:`voiceclone.prepare.speakers.wrong_speakers`.
    """
    reason = clip.problem or record.get("problem") or (speaker[1] if speaker else None)
    return {
        "name": None if clip.name is None else f"{clip.name}.wav",
        "source": source,
        "start": clip.start,
        "end": clip.end,
        "seconds": round(clip.end - clip.start, 3),
        "split": None,
        "status": "dropped" if reason else "kept",
        "reason": reason,
        "text": clip.text,
        "fit": clip.score,
        "fit_of_worst_second": clip.weakest,
        "snr_db": clip.snr_db,
        "silence": clip.silence,
        "speaker_likeness": speaker[0] if speaker else None,
        **{name: record.get(name) for name in _FIGURES},
    }


def assign_splits(rows: Sequence[dict[str, Any]], config: PrepareConfig) -> dict[str, list[dict[str, Any]]]:
    """Choose the clips for validation, mark them in the rows, and return the rows of each ``metadata.jsonl``."""
    kept = [row for row in rows if row["status"] == "kept"]
    share = config.validation
    held_out = hold_out([row["name"] for row in kept], config.seed, share) if share > 0 else frozenset()
    splits: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for row in kept:
        row["split"] = SPLITS[row["name"] in held_out]
        entry = {"file_name": row["name"], "text": row["text"]}
        splits[row["split"]].append(entry | ({"speaker": config.speaker} if config.speaker else {}))
    return splits


def used_shares(rows: Sequence[Mapping[str, Any]], planned: Sequence[Planned], words: int) -> dict[str, float]:
    """Shares of the text (``words`` in all) and of the audio without pauses that are in clips, 0 to 1 each."""
    kept = [row for row in rows if row["status"] == "kept"]
    speech = sum(one.speech_seconds for one in planned)
    used = {
        "words": sum(len(row["text"].split()) for row in kept) / words if words else 1.0,
        "sound": sum(row["seconds"] * (1.0 - row["silence"]) for row in kept) / speech if speech else 1.0,
    }
    return {name: round(min(1.0, share), 3) for name, share in used.items()}


def little_used(summary: Mapping[str, Any]) -> str | None:
    """A warning in capitals if much of text or audio is in no clip: some clips of a wrong text pass by chance."""
    shares = summary.get("used", {})
    little = [f"{100 * share:.0f} % OF THE {name.upper()}" for name, share in shares.items() if share < LEAST_USED]
    return f"ONLY {' AND '.join(little)} BECAME CLIPS" if little else None


def full_report(
    identity: Mapping[str, Any],
    config: PrepareConfig,
    lang: str,
    recordings: Sequence[Recording],
    planned: Sequence[Planned],
    rows: Sequence[dict[str, Any]],
    problems: Sequence[tuple[str, str]],
    notices: Sequence[str],
    *,
    words: int,
) -> dict[str, Any]:
    """The content of ``prepare_report.json``; ``planned`` holds an entry for each recording, the text has ``words``."""
    return {
        "version": __version__,
        "identity": dict(identity),
        "language": lang,
        "summary": _summary(rows, planned, problems, words),
        "notices": list(notices),
        "limits": {
            **asdict(config.limits),
            "min_seconds": config.shortest,
            "max_seconds": config.max_seconds,
            "loudness_lufs": config.loudness,
        },
        "passed_over": [{"where": where, "reason": reason} for where, reason in problems],
        "text_not_found": [
            {"source": recording.name, "text": text}
            for recording, one in zip(recordings, planned, strict=True)
            for text in one.unread
        ],
        "text_after_the_end": planned[-1].rest if planned else "",
        "clips": list(rows),
    }


def _summary(
    rows: Sequence[dict[str, Any]], planned: Sequence[Planned], problems: Sequence[tuple[str, str]], words: int
) -> dict[str, Any]:
    kept = [row for row in rows if row["status"] == "kept"]
    reasons = Counter(row["reason"].split(": ")[0] for row in rows if row["reason"])
    kept_seconds = sum(row["seconds"] for row in kept)
    return {
        "clips": len(rows),
        "kept_clips": {split: n for split in SPLITS if (n := sum(row["split"] == split for row in kept))},
        "kept_seconds": round(kept_seconds, 1),
        "dropped": len(rows) - len(kept),
        "dropped_seconds": round(sum(row["seconds"] for row in rows) - kept_seconds, 1),
        "dropped_reasons": dict(reasons.most_common()),
        "passed_over": len(problems),
        "words_not_found": sum(len(text.split()) for one in planned for text in one.unread)
        + (planned[-1].rest_words if planned else 0),
        "used": used_shares(rows, planned, words),
    }
