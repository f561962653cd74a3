"""Measure a clone and reference voices on clips and sentences that were not used for training.

Each voice speaks the dataset's validation clips and a few fixed sentences. Speaker similarity is the cosine to the
speaker's recordings by up to three encoders, two of which are never used in training. F0, rate and spectrum are
compared with the recordings of the same sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from voiceclone.audio.io import read_audio
from voiceclone.bases.base import Base
from voiceclone.data.dataset import Clip, Dataset
from voiceclone.evaluation.config import VALIDATION_CLIPS
from voiceclone.evaluation.metrics import PhoneScorer, SpeakerEncoder
from voiceclone.evaluation.metrics_opinion import OpinionJudge
from voiceclone.evaluation.metrics_words import WordRecognizer, unit_of
from voiceclone.evaluation.report_material import choose_references, choose_utterances, samples_of, sentences_of
from voiceclone.evaluation.report_measuring import (
    Judges,
    Recorded,
    References,
    ReportUtterance,
    Scores,
    clip_key,
    score,
    score_recording,
    speak_utterance,
)
from voiceclone.evaluation.report_results import Evaluation, VoiceResult, summed_up
from voiceclone.evaluation.report_verdict import doubts_about_judges, reach_verdict
from voiceclone.evaluation.report_words import findings_of
from voiceclone.evaluation.sentences import held_out_sentences
from voiceclone.evaluation.voices import CLONE, RECORDINGS, in_order, stock_name
from voiceclone.tracking.progress import QUIET, Progress, Reporter
from voiceclone.voice.health import HealthRange, examine
from voiceclone.voice.pack import VoicePack


def evaluate_voices(
    voices: Mapping[str, VoicePack],
    dataset: Dataset | Sequence[Clip],
    base: Base,
    *,
    encoders: Sequence[SpeakerEncoder],
    recognizer: PhoneScorer | None,
    words: WordRecognizer | None = None,
    opinion: OpinionJudge | None = None,
    seed: int = 0,
    lang: str = "a",
    max_clips: int = VALIDATION_CLIPS,
    left_out: Sequence[str] = (),
    reporter: Reporter | None = None,
) -> Evaluation:
    """Measure voices on a speaker's validation clips and on held-out sentences.

    Args:
        voices: by name; the one called ``clone`` gets a verdict.
        dataset: the speaker's clips. Training clips are used only to fill up the reference recordings.
        base: synthesises; its model stays on its device.
        encoders: speaker encoders.
        recognizer: phone recogniser. It supports English only; None for other languages.
        words: word recogniser, or None.
        opinion: predictor of the mean opinion score, or None.
        seed: of the synthesis noise, the choice of clips and the bootstrap.
        lang: Kokoro's language code; the held-out sentences are English.
        max_clips: maximum number of validation clips.
        left_out: metrics that the caller could not provide, one line each.
        reporter: receives messages and progress.

    Raises:
        VoicecloneError: there is no validation clip, or the model gives no finite audio.
    """
    clips = (*dataset.train, *dataset.validation) if isinstance(dataset, Dataset) else tuple(dataset)
    spoken = choose_utterances(clips, lang=lang, seed=seed, max_clips=max_clips)
    chosen = choose_references(clips, spoken, seed=seed)
    total = 2 * len(chosen) + len(voices) * len(spoken)
    with (reporter or Reporter(verbosity=QUIET)).task("Evaluation", total=total, unit="utterance") as task:
        audio = {clip_key(clip): read_audio(clip.path) for clip in chosen}
        spoken = [replace(utterance, recording=audio.get(utterance.name)) for utterance in spoken]
        references = References(audio, encoders, advance=lambda: task.advance(1, note=RECORDINGS))
        judges = Judges(references=references, phones=recognizer, words=words, opinion=opinion)
        scores, speech = _judge_voices(voices, spoken, base, judges, seed, task)
        scores[RECORDINGS] = _judge_recordings(chosen, audio, judges, task)
    names = tuple(encoder.name for encoder in encoders)
    results = _summed_up(scores, voices, base, names, seed)
    verdict = reach_verdict(scores, names, seed=seed) if CLONE in voices else None
    return Evaluation(
        voices=results,
        verdict=verdict,
        encoders=names,
        doubts=tuple(doubts_about_judges(scores, names)),
        left_out=(*left_out, *_left_out(lang, recognizer), *judges.notes),
        validation_clips=sum(utterance.recording is not None for utterance in spoken),
        reference_clips=len(chosen),
        seed=seed,
        packs=dict(voices),
        samples=samples_of(spoken, speech),
        sentences=sentences_of(spoken, speech),
        findings=findings_of(results, verdict, names, unit_of(lang)),
    )


def _judge_voices(
    voices: Mapping[str, VoicePack],
    spoken: Sequence[ReportUtterance],
    base: Base,
    judges: Judges,
    seed: int,
    task: Progress,
) -> tuple[dict[str, tuple[Scores, ...]], dict[str, list[np.ndarray]]]:
    """Scores of every voice for each utterance, and its audio: float32 ``(T,)`` at 24 kHz."""
    recorded = {u.name: Recorded.of(u.recording, u.bandwidth_hz) for u in spoken if u.recording is not None}
    scores: dict[str, tuple[Scores, ...]] = {}
    speech: dict[str, list[np.ndarray]] = {}
    for name in in_order(voices):
        speech[name], rows = [], []
        for number, utterance in enumerate(spoken):
            sound = speak_utterance(base.kmodel, utterance.phonemes, voices[name], seed=seed + number)
            rows.append(score(utterance, sound, recorded.get(utterance.name), judges))
            speech[name].append(sound)
            task.advance(1, note=name)
        scores[name] = tuple(rows)
    return scores, speech


def _judge_recordings(
    chosen: Sequence[Clip], audio: Mapping[str, np.ndarray], judges: Judges, task: Progress
) -> tuple[Scores, ...]:
    """Scores of the speaker's own recordings, each compared with the others."""
    rows = []
    for clip in chosen:
        rows.append(score_recording(clip, audio[clip_key(clip)], judges))
        task.advance(1, note=RECORDINGS)
    return tuple(rows)


def _summed_up(
    scores: Mapping[str, Sequence[Scores]],
    voices: Mapping[str, VoicePack],
    base: Base,
    encoders: tuple[str, ...],
    seed: int,
) -> dict[str, VoiceResult]:
    expected = HealthRange.of(base.stock_voices.values())
    return {
        name: summed_up(
            tuple(scores[name]),
            encoders,
            seed=seed,
            health=examine(voices[name], expected) if name in voices else None,
            same_as=stock_name(voices[name], base) if name in voices else None,
        )
        for name in in_order(scores)
    }


def _left_out(lang: str, recognizer: PhoneScorer | None) -> list[str]:
    lines = []
    if not held_out_sentences(lang):
        lines.append(f"held-out sentences: they are English, the language is '{lang}'")
    if recognizer is None:
        lines.append("phone error rate: no recogniser for this language")
    return lines
