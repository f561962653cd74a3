"""Compare a clone with recordings of its speaker on three sentences: audio pairs and a few metrics.

It takes about 30 seconds. ``voiceclone evaluate`` makes the full report; this is the short version that the web page
runs after a training.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voiceclone.errors import UsageError
from voiceclone.evaluation.in_words import SOUNDS, WORDS, Findings
from voiceclone.files import held, write_json

if TYPE_CHECKING:
    from voiceclone.ui.studio import Studio
    from voiceclone.voice.pack import VoicePack

COMPARISON = "comparison.json"  # file name, in the folder of the voice
SENTENCES = 3
REFERENCES = 8  # recordings from which the speaker's mean embedding is computed
CLONE, STRANGER, NEAREST = "clone", "stranger", "nearest"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A sentence and the recording of it."""

    text: str
    recording: Path


def pairs_of(studio: Studio, voice: str) -> list[Pair]:
    """The sentences to compare with their recordings; held-out clips come first."""
    return [Pair(text=text, recording=Path(path)) for path, text in studio.clips_of(voice)[:SENTENCES]]


def compare(
    studio: Studio, voice: str, *, heard: Callable[[int, np.ndarray], None] = lambda number, audio: None
) -> Findings:
    """Synthesise the sentences, measure them, and write :data:`COMPARISON` into the folder of the voice.

    Args:
        studio: synthesises the speech.
        voice: file of a voice whose dataset still exists.
        heard: called with the index of a sentence and the clone's audio ``(T,)`` at 24 kHz as soon as it is
            synthesised.

    Raises:
        UsageError: the recordings of the voice were deleted.
    """
    from voiceclone.audio.io import read_audio

    clips = studio.clips_of(voice)[:REFERENCES]
    if not clips:
        raise UsageError("the recordings of this voice are not here: it cannot be compared with them")
    recordings = [read_audio(path) for path, _ in clips]
    texts = [text for _, text in clips[:SENTENCES]]
    speech: dict[str, list[np.ndarray]] = {CLONE: []}
    for number, text in enumerate(texts):
        speech[CLONE].append(studio.audio(text, voice))
        heard(number, speech[CLONE][-1])
    others = _others(studio, voice)
    for role, pack in others.items():
        speech[role] = [studio.audio(text, pack, base=studio.base_of(voice)) for text in texts]
    found = measure_clone(recordings, texts, speech, lang=studio.lang, nearest_name=_name_of(others.get(NEAREST)))
    if Path(voice).is_file():
        with held(Path(voice).parent, instead="voice"):
            if Path(voice).is_file():  # the folder of one that was renamed or deleted meanwhile must not come back
                write_json(Path(voice).parent / COMPARISON, asdict(found))
    return found


def measure_clone(
    recordings: Sequence[np.ndarray],
    texts: Sequence[str],
    speech: Mapping[str, Sequence[np.ndarray]],
    *,
    lang: str,
    nearest_name: str = "",
) -> Findings:
    """Measure speaker similarity with an encoder never used in training, and intelligibility with a speech recogniser.

    Args:
        recordings: audio ``(T,)`` at 24 kHz; the first ``len(texts)`` are the recordings of ``texts``.
        texts: the sentences.
        speech: by role (clone, stock voices), one audio ``(T,)`` at 24 kHz for each text.
        lang: Kokoro's language code.
        nearest_name: name of the nearest stock voice, for the report.
    """
    from voiceclone.evaluation.metrics import slower_percent
    from voiceclone.evaluation.metrics_opinion import load_opinion_judge
    from voiceclone.evaluation.report_judges import load_untrained_encoder

    embed = load_untrained_encoder().embed
    known = np.stack([embed(audio) for audio in recordings])

    def likeness(audios: Sequence[np.ndarray]) -> float:
        return float(np.mean([_cosine(embed(audio), _without(known, at)) for at, audio in enumerate(audios)]))

    judge, _ = load_opinion_judge()

    def naturalness(audios: Sequence[np.ndarray]) -> float | None:
        return None if judge is None or not audios else float(np.mean([judge.score(audio) for audio in audios]))

    words = _recogniser(lang)
    return Findings(
        clone=likeness(speech[CLONE]),
        stranger=likeness(speech[STRANGER]) if STRANGER in speech else 0.0,
        recordings=likeness(recordings) if len(recordings) > 1 else 1.0,
        nearest=likeness(speech[NEAREST]) if NEAREST in speech else None,
        nearest_name=nearest_name,
        understood=_understood(words, texts, speech[CLONE]),
        understood_recordings=_understood(words, texts, recordings[: len(texts)]),
        counted=WORDS if words is None else words[1],
        slower_percent=float(np.mean([slower_percent(a, r) for a, r in zip(speech[CLONE], recordings)])),
        natural=naturalness(speech[CLONE]),
        natural_recordings=naturalness(recordings[: len(texts)]),
        natural_nearest=naturalness(speech.get(NEAREST, ())),
    )


def read_findings(voice: Path) -> Findings | None:
    """Read the result of an earlier comparison; None where there is none or the voice is newer."""
    path = Path(voice).parent / COMPARISON
    try:
        if path.stat().st_mtime < Path(voice).stat().st_mtime:
            return None
        return Findings(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _others(studio: Studio, voice: str) -> dict[str, VoicePack]:
    """Two reference voices: the stock voice nearest to the speaker, and one at medium distance from the clone."""
    from voiceclone.evaluation.voices import BEST_STOCK, read_candidates, stock_name, stranger_to, title_of
    from voiceclone.voice.pack import VoicePack

    base = studio.load_base(studio.base_of(voice))
    clone = studio.find(voice)
    stranger = stranger_to(clone, base)
    if stranger is None:
        return {}
    nearest = min(base.stock_voices.values(), key=lambda pack: float((pack.tensor - clone.tensor).norm()))
    found = {STRANGER: stranger, NEAREST: nearest}
    best = read_candidates(Path(voice)).get(BEST_STOCK)
    if best is not None:
        found[NEAREST] = VoicePack(best.tensor, stock_name(best, base) or title_of(BEST_STOCK))
    return found


def _recogniser(lang: str) -> tuple[Any, str] | None:
    """The recogniser and what it counts: Whisper, else the shipped English phone recogniser."""
    from voiceclone.evaluation.metrics_words import load_word_recognizer, unit_of
    from voiceclone.nets.phone_recognizer import load_recognizer
    from voiceclone.text.g2p import Phonemizer
    from voiceclone.text.normalization import ENGLISH

    words, _ = load_word_recognizer(lang)
    if words is not None:
        return words.error_rate, unit_of(lang)
    if lang not in ENGLISH:
        return None
    phonemizer, sounds = Phonemizer(lang), load_recognizer()
    return (lambda audio, text: sounds.error_rate(audio, phonemizer.phonemes(text))), SOUNDS


def _understood(recogniser: tuple[Any, str] | None, texts: Sequence[str], audios: Sequence[np.ndarray]) -> float | None:
    if recogniser is None:
        return None
    rows = [recogniser[0](audio, text) for audio, text in zip(audios, texts)]
    total = sum(count for _, count in rows)
    return max(0.0, 1.0 - sum(errors for errors, _ in rows) / total) if total else None


def _without(known: np.ndarray, at: int) -> np.ndarray:
    """Mean of all rows but ``at``, so that a sentence is not compared with the recording of the same text."""
    return (np.delete(known, at, axis=0) if len(known) > 1 and at < len(known) else known).mean(axis=0)


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other) + 1e-12))


def _name_of(pack: VoicePack | None) -> str:
    return "" if pack is None else pack.name


def tenths_of(found: Findings | None) -> str:
    """A score such as ``9/10`` for lists; empty where the voice was not compared."""
    tenths = None if found is None else found.tenths(found.clone)
    return "" if tenths is None else f"{tenths}/10"
