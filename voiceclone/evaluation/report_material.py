"""Select the utterances to synthesise, the reference recordings, and the samples for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from voiceclone.audio.io import SAMPLE_RATE
from voiceclone.data.dataset import Clip
from voiceclone.errors import VoicecloneError
from voiceclone.evaluation.report_measuring import ReportUtterance, clip_key
from voiceclone.evaluation.report_results import Sample
from voiceclone.evaluation.sentences import held_out_sentences
from voiceclone.evaluation.voices import BEST_STOCK, CLONE, RECORDINGS
from voiceclone.text.g2p import Phonemizer

REFERENCES = 8  # minimum number of recordings for the speaker's mean embedding; filled up with training clips
SAMPLES = 3  # validation clips whose audio is kept for the page
SAMPLE_SECONDS = 5.0  # seconds; clips nearest to that length are preferred


def choose_utterances(clips: Sequence[Clip], *, lang: str, seed: int, max_clips: int) -> list[ReportUtterance]:
    """At most ``max_clips`` validation clips, then the held-out sentences.

    Raises:
        VoicecloneError: there is no validation clip.
    """
    validation = _some([clip for clip in clips if clip.split == "validation"], max_clips, seed)
    if not validation:
        raise VoicecloneError("there is no validation clip to evaluate with: add some to validation/")
    utterances = [
        ReportUtterance(name=clip_key(clip), text=clip.text, phonemes=clip.phonemes, bandwidth_hz=clip.bandwidth_hz)
        for clip in validation
    ]
    if sentences := held_out_sentences(lang):
        phonemizer = Phonemizer(lang)
        for sentence in sentences:
            name = f"sentence of {sentence.phonemes} phonemes"
            phonemes = phonemizer.phonemes(sentence.text)
            utterances.append(
                ReportUtterance(name=name, text=sentence.text, phonemes=phonemes, length=sentence.phonemes)
            )
    return utterances


def choose_references(clips: Sequence[Clip], spoken: Sequence[ReportUtterance], *, seed: int) -> list[Clip]:
    """The validation clips in ``spoken``, filled up with training clips where there are few."""
    names = {utterance.name for utterance in spoken}
    held_out = [clip for clip in clips if clip_key(clip) in names]
    missing = max(0, REFERENCES - len(held_out))
    return held_out + _some([clip for clip in clips if clip.split == "train"], missing, seed)


def samples_of(spoken: Sequence[ReportUtterance], speech: Mapping[str, Sequence[np.ndarray]]) -> tuple[Sample, ...]:
    """Validation clips of medium length for listening.

    Args:
        spoken: the utterances of the report.
        speech: for each voice the audio ``(T,)`` at 24 kHz of each utterance.
    """
    clips = [(number, u.text, u.recording) for number, u in enumerate(spoken) if u.recording is not None]
    clips.sort(key=lambda clip: abs(len(clip[2]) / SAMPLE_RATE - SAMPLE_SECONDS))
    return tuple(
        Sample(text=text, audio={**{name: said[number] for name, said in speech.items()}, RECORDINGS: recording})
        for number, text, recording in clips[:SAMPLES]
    )


def sentences_of(spoken: Sequence[ReportUtterance], speech: Mapping[str, Sequence[np.ndarray]]) -> tuple[Sample, ...]:
    """The held-out sentences by the clone and the best stock voice. All voices would double the size of the page."""
    names = [name for name in (CLONE, BEST_STOCK) if name in speech]
    return tuple(
        Sample(text=u.text, audio={name: speech[name][number] for name in names})
        for number, u in enumerate(spoken)
        if u.recording is None and names
    )


def _some(clips: Sequence[Clip], count: int, seed: int) -> list[Clip]:
    """At most ``count`` clips, drawn with the seed, in their original order."""
    if len(clips) <= count:
        return list(clips)
    chosen = np.random.default_rng([seed, len(clips)]).choice(len(clips), size=count, replace=False)
    return [clips[index] for index in sorted(chosen)]
