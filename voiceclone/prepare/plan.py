"""Planning clips from recordings and a script: the words of each recording are aligned, then cuts are chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voiceclone.alignment.coarse import settled
from voiceclone.alignment.fine import SpokenWord, align_section
from voiceclone.alignment.learning import Learned
from voiceclone.alignment.reading import Reading
from voiceclone.alignment.recording_features import FRAME, pauses
from voiceclone.alignment.rough_aligner import RoughAligner
from voiceclone.data.recordings import Part
from voiceclone.prepare.clips import PlannedClip
from voiceclone.prepare.words import CutRules, Heard, clip_as_it_is, clips_of_cues, clips_of_words

Group = tuple[Part | None, Reading, list[SpokenWord]]


@dataclass(frozen=True, kw_only=True)
class Planned:
    """The clips of one recording."""

    clips: tuple[PlannedClip, ...]
    next_word: int
    """For a running text: index of the next recording's first word."""
    unread: tuple[str, ...] = ()
    """Parts of its text that were not found in the audio."""
    rest: str = ""
    """For a running text: the beginning of the text after this recording."""
    rest_words: int = 0
    """Number of words of the text after this recording."""
    speech_seconds: float = 0.0
    """Seconds of the recording outside of pauses."""


def plan_recording(
    aligner: RoughAligner,
    index: int,
    first_word: int,
    learned: Learned | None,
    rules: CutRules,
    advance: Callable[[float], None] = lambda seconds: None,
) -> Planned:
    """Plan the clips of recording ``index``.

    Args:
        first_word: index of this recording's first word in a running text.
        learned: None if text and audio are not to be aligned.
        advance: called with the seconds of audio that are done.

    Raises:
        VoicecloneError: the recording cannot be read.
    """
    sound = aligner.features(index)
    heard = Heard(index=index, stem=aligner.recordings[index].stem, sound=sound, silent=pauses(sound))
    if learned is None:
        clips = [clip for part in aligner.parts.get(index, []) for clip in _unaligned(heard, part, rules)]
        advance(sound.seconds)
        return Planned(clips=tuple(clips), next_word=first_word, speech_seconds=heard.speech_seconds)
    voice = learned.voice(aligner, index)
    groups: list[Group] = []
    done = 0.0
    for part, reading, section in aligner.rough(index, learned.variant, voice, learned.stretch, first_word):
        if not groups or groups[-1][0] is not part:
            groups.append((part, reading, []))
        for stretch in settled(section, reading):
            local = sound.part(stretch.start, stretch.end)
            # The noise of a long recording changes: pauses are found separately in every segment.
            first = 2 * round(stretch.start / FRAME)
            heard.silent[first : first + len(local.energy)] = pauses(local)
            groups[-1][2].extend(align_section(stretch, local, reading, voice)[0])
        advance(max(0.0, section.end - done))
        done = max(done, section.end)
    advance(max(0.0, sound.seconds - done))
    if aligner.script.running is not None:
        return _of_running_text(heard, groups, first_word, rules)
    return _of_parts(aligner, heard, groups, first_word, rules)


def _of_running_text(heard: Heard, groups: list[Group], first_word: int, rules: CutRules) -> Planned:
    words = [word for _, _, found in groups for word in found]
    reading = groups[0][1] if groups else None
    if not words or reading is None:
        rest = reading.text[reading.words[first_word].start :] if reading and first_word < len(reading.words) else ""
        return Planned(
            clips=(heard.without_text("none of the text was found in it"),), next_word=first_word,
            rest=_beginning(rest), rest_words=len(rest.split()), speech_seconds=heard.speech_seconds,
        )  # fmt: skip
    next_word = words[-1].word + 1
    clips = clips_of_words(heard, reading, words, rules, ready=False)
    unread = unread_text(reading, {word.word for word in words}, first_word, next_word)
    rest = reading.text[reading.words[next_word].start :] if next_word < len(reading.words) else ""
    return Planned(
        clips=tuple(clips), next_word=next_word, unread=tuple(unread), rest=_beginning(rest),
        rest_words=len(rest.split()), speech_seconds=heard.speech_seconds,
    )  # fmt: skip


def _of_parts(aligner: RoughAligner, heard: Heard, groups: list[Group], first_word: int, rules: CutRules) -> Planned:
    ready = aligner.script.ready_cut and heard.sound.seconds <= rules.max_seconds
    clips: list[PlannedClip] = []
    unread: list[str] = []
    for part in aligner.parts.get(heard.index, []):
        group = next((group for group in groups if group[0] is part), None)
        if group is None or not group[2]:
            unread.append(" ".join(part.text.split()))
        if group is None:
            late = part.start >= heard.sound.seconds
            clips.append(heard.without_text("lies behind the end" if late else "nothing in it can be spoken", part))
            continue
        _, reading, words = group
        if not words:
            clips.append(heard.without_text("none of its words was found", part))
            continue
        number = 1 + sum(clip.name is not None for clip in clips)
        clips += clips_of_words(heard, reading, words, rules, ready=ready, first_number=number)
        unread += unread_text(reading, {word.word for word in words})
    return Planned(clips=tuple(clips), next_word=first_word, unread=tuple(unread), speech_seconds=heard.speech_seconds)


def _beginning(text: str) -> str:
    return " ".join(text[:400].split())


def _unaligned(heard: Heard, part: Part, rules: CutRules) -> list[PlannedClip]:
    if part.cues:
        return clips_of_cues(heard, part.cues, rules)
    return [clip_as_it_is(heard, part.text, rules)]


def unread_text(reading: Reading, found: set[int], first: int = 0, last: int | None = None) -> list[str]:
    """The text of words ``first`` to ``last`` that are not in ``found``, one string per contiguous run."""
    texts: list[str] = []
    run: list[int] = []
    for word in [*range(first, len(reading.words) if last is None else last), None]:
        if word is not None and word not in found:
            run.append(word)
        elif run:
            text = reading.text[reading.words[run[0]].start : reading.words[run[-1]].end]
            texts.append(" ".join(text.split()))
            run = []
    return texts
