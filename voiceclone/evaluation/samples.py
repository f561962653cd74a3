"""Write a folder with an HTML page that plays voices beside recordings of their speakers and the best stock voices."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from voiceclone.audio.io import read_audio
from voiceclone.audio.stream import sound_file
from voiceclone.bases.base import Base
from voiceclone.data.dataset import Dataset
from voiceclone.errors import UsageError
from voiceclone.evaluation.bars import bars_of
from voiceclone.evaluation.in_words import Findings, verdict_in_words
from voiceclone.evaluation.pages import render_document
from voiceclone.evaluation.report_material import choose_utterances
from voiceclone.evaluation.report_measuring import speak_utterance
from voiceclone.evaluation.voices import BEST_STOCK, CLONE, RECORDINGS, read_candidates, stock_name, title_of
from voiceclone.files import write_text
from voiceclone.voice.pack import VoicePack

INDEX = "index.html"
EVALUATION = "evaluation.json"  # written beside the voice by ``voiceclone evaluate``
INTRODUCTION = (
    "Sentences that the voices were not trained on: the recording, the clone, and the stock voice that is nearest to "
    "the speaker. Switch between them while they play."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleVoice:
    """A loaded voice with its base and its speaker's recordings."""

    file: Path
    pack: VoicePack
    base: Base
    dataset: Dataset
    lang: str = "a"
    seed: int = 0
    consent: str = ""
    takes: dict[str, VoicePack] = field(init=False, default_factory=dict)
    """Voices to synthesise: the clone, and the best stock voice where the run stored one."""

    def __post_init__(self) -> None:
        self.takes[CLONE] = self.pack
        if (stock := read_candidates(self.file).get(BEST_STOCK)) is not None:
            self.takes[BEST_STOCK] = stock


def write_samples(voices: Sequence[SampleVoice], out: Path, *, sentences: int) -> Path:
    """Synthesise, write the audio as FLAC and the page that plays it.

    Args:
        voices: to show.
        out: the folder.
        sentences: maximum number of held-out recordings for each voice.

    Returns:
        The page.

    Raises:
        UsageError: two voices have the same name.
        VoicecloneError: a voice has no held-out clip, or the folder cannot be written.
    """
    names = [folder_name(voice.pack.name) for voice in voices]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"two voices are called {doubled[0]}: rename one")
    parts = [_voice(voice, out, name, sentences) for voice, name in zip(voices, names)]
    page = render_document("samples.html.j2", sounds="'self' file:", title="Voice samples",
                           introduction=INTRODUCTION, voices=parts)  # fmt: skip
    write_text(out / INDEX, page)
    return out / INDEX


def folder_name(name: str) -> str:
    """A voice's name as a folder name: letters, digits, ``-``, ``_`` and inner dots."""
    return re.sub(r"[^\w.-]", "_", name).strip(".") or "voice"


def _voice(voice: SampleVoice, out: Path, name: str, sentences: int) -> dict[str, Any]:
    """Synthesise and write one voice's audio; returns the template values."""
    clips = voice.dataset.validation
    spoken = choose_utterances(clips, lang=voice.lang, seed=voice.seed, max_clips=sentences)
    spoken = [utterance for utterance in spoken if utterance.length is None]
    recordings = {f"{clip.split}/{clip.name}": clip.path for clip in clips}
    (out / name).mkdir(parents=True, exist_ok=True)
    samples = []
    for number, utterance in enumerate(spoken, 1):
        sounds = {RECORDINGS: read_audio(recordings[utterance.name])}
        for role, pack in voice.takes.items():
            sounds[role] = speak_utterance(voice.base.kmodel, utterance.phonemes, pack, seed=voice.seed + number)
        takes = [(_title(role, voice), _write(sound, out, name, number, role)) for role, sound in sounds.items()]
        samples.append((utterance.text, takes))
    findings = _findings(voice.file)
    return {
        "title": voice.pack.name,
        "samples": samples,
        "in_words": verdict_in_words(findings) if findings is not None else [],
        "bars": bars_of(findings) if findings is not None else [],
        "facts": _facts(voice),
    }


def _write(sound: np.ndarray, out: Path, name: str, number: int, role: str) -> str:
    """Write one audio file; returns its relative URL."""
    file = f"{number}_{'recording' if role == RECORDINGS else role}.flac"
    with sound_file(out / name / file) as write:
        write(sound)
    return f"{quote(name)}/{file}"


def _title(role: str, voice: SampleVoice) -> str:
    if role == RECORDINGS:
        return "recording"
    same_as = stock_name(voice.takes[role], voice.base) if role == BEST_STOCK else None
    return f"{title_of(role)} ({same_as})" if same_as else title_of(role)


def _facts(voice: SampleVoice) -> list[tuple[str, str]]:
    from voiceclone import __version__

    train = voice.dataset.train
    minutes = sum(clip.seconds for clip in train) / 60
    return [
        ("made from", f"{len(train)} clips, {minutes:.1f} minutes"),
        ("base", voice.base.title),
        ("consent", voice.consent),
        ("spoken", f"{datetime.now(timezone.utc):%Y-%m-%d} by voiceclone {__version__}"),
    ]


def _findings(voice: Path) -> Findings | None:
    """Results of an evaluation stored beside the voice; None where there is none or the voice is newer."""
    path = voice.parent / EVALUATION
    try:
        if path.stat().st_mtime < voice.stat().st_mtime:
            return None
        return Findings(**json.loads(path.read_text(encoding="utf-8"))["findings"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
