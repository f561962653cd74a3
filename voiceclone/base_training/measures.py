"""Metrics of a trained base on held-out sentences: prosody errors, mel distance, speaker similarity."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from kokoro.model import KModel
from torch import Tensor

from voiceclone.audio.features import SAMPLE_RATE, track_f0
from voiceclone.base_training.batches import BatchMaker
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.losses import SpectralLoss
from voiceclone.models.batched_forward import decode_frames, text_features
from voiceclone.nets.phone_recognizer import PhoneRecognizer
from voiceclone.nets.resemblyzer import Embed


@torch.no_grad()
def speak_phonemes(model: KModel, phonemes: str, voice: Tensor, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Synthesise ``phonemes`` with a voice pack and predicted prosody; audio ``(T,)`` and frames of every token."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        output = model(phonemes, voice[len(phonemes) - 1], return_output=True)
    return output.audio.numpy(), output.pred_dur.numpy()


@torch.no_grad()
def teacher_forced_audio(
    model: KModel, encoders: torch.nn.Module, batches: BatchMaker, index: int
) -> tuple[Tensor, Tensor]:
    """2 s of an utterance, decoded with its true durations, F0 and energy, and its recording, each ``(T,)``."""
    batch = batches.fixed([index], frames=80)
    style = encoders.acoustic(batch.style_mel.unsqueeze(1))
    features = text_features(model, batch.tokens, batch.lengths)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        audio = decode_frames(model, features, batch.frame_tokens, batch.f0, batch.energy, style)
    return audio[0], batch.audio[0]


@torch.no_grad()
def teacher_forced_mel(model: KModel, encoders: torch.nn.Module, batches: BatchMaker, indices: Sequence[int]) -> float:
    """Mean multi-resolution log-mel L1 with true durations, F0 and energy, on 2 s of each utterance."""
    loss, values = SpectralLoss(), []
    for index in indices:
        audio, recording = teacher_forced_audio(model, encoders, batches, index)
        values.append(float(loss(audio[None], recording[None])["mel"]))
    return float(np.mean(values))


def spoken_measures(
    model: KModel,
    corpus: Corpus,
    voices: dict[str, Tensor],
    indices: Sequence[int],
    *,
    embed: Embed | None = None,
    own_audio: int = 4,
    recognizer: PhoneRecognizer | None = None,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Synthesise utterances with their speaker's voice, with all prosody predicted, and compare them to the recordings.

    Args:
        model: the base.
        corpus: holds the recordings.
        voices: voice packs by speaker; must include the speaker of every utterance.
        indices: of the utterances.
        embed: a speaker encoder; None where none is installed.
        own_audio: number of recordings for a speaker's mean embedding.
        recognizer: the phone recogniser, for English.
        advance: called after each utterance.

    Returns:
        ``duration_frames`` (mean absolute error of a token), ``rate_percent`` (mean absolute error of the length of the
        utterance), ``f0_semitones`` (mean absolute difference of the medians), and with ``embed`` ``similarity`` (mean
        cosine to the speaker's recordings), ``own_first_percent`` (own speaker is the nearest of ``voices``) and
        ``true_similarity`` (the same cosine for the recording itself, which is left out of the mean). With
        ``recognizer`` ``phone_error_percent`` and ``true_phone_error_percent`` (the same for the recordings).
    """
    duration, rate, f0, similar, first, ceiling, heard, truly = [], [], [], [], [], [], [], []
    centres = _centres(corpus, voices, indices, embed, own_audio) if embed is not None else {}
    for index in indices:
        utterance = corpus.utterances[index]
        audio, frames = speak_phonemes(model, utterance.phonemes, voices[utterance.speaker])
        truth = np.array(utterance.durations)
        duration.append(np.abs(frames - truth)[1:-1].mean())
        rate.append(abs(frames[1:-1].sum() / truth[1:-1].sum() - 1.0))
        ours, theirs = track_f0(audio), corpus.f0(index)
        if (ours > 0).sum() > 5 and (theirs > 0).sum() > 5:
            f0.append(12 * abs(np.log2(np.median(ours[ours > 0]) / np.median(theirs[theirs > 0]))))
        if embed is not None:
            vector = embed(audio)
            scores = {name: float(vector @ centre) for name, centre in centres.items()}
            similar.append(scores[utterance.speaker])
            first.append(max(scores, key=scores.__getitem__) == utterance.speaker)
            ceiling.append(float(embed(corpus.audio(index)) @ centres[utterance.speaker]))
        if recognizer is not None:
            heard.append(recognizer.error_rate(audio, utterance.phonemes))
            truly.append(recognizer.error_rate(corpus.audio(index), utterance.phonemes))
        advance()
    result = {
        "utterances": float(len(indices)),
        "duration_frames": float(np.mean(duration)),
        "rate_percent": 100 * float(np.mean(rate)),
    }
    if f0:  # a base with little training may produce unvoiced audio only
        result["f0_semitones"] = float(np.mean(f0))
    if embed is not None:
        result.update(
            similarity=float(np.mean(similar)),
            own_first_percent=100 * float(np.mean(first)),
            true_similarity=float(np.mean(ceiling)),
        )
    if recognizer is not None:
        for name, counts in (("phone_error_percent", heard), ("true_phone_error_percent", truly)):
            errors, phones = np.sum(counts, axis=0)
            result[name] = 100 * float(errors) / float(phones)
    return {name: round(value, 4) for name, value in result.items()}


def _centres(
    corpus: Corpus, voices: dict[str, Tensor], indices: Sequence[int], embed: Embed, count: int
) -> dict[str, np.ndarray]:
    centres = {}
    for speaker in voices:
        others = [i for i in corpus.by_speaker.get(speaker, []) if i not in set(indices)][:count]
        if others:
            mean = np.mean([embed(corpus.audio(i)) for i in others], axis=0)
            centres[speaker] = mean / np.linalg.norm(mean)
    return centres


def resemblyzer_embed() -> Embed | None:
    """Resemblyzer's speaker encoder where it is installed, else None."""
    try:
        from resemblyzer import VoiceEncoder, preprocess_wav
    except ImportError:
        return None
    encoder = VoiceEncoder("cpu", verbose=False)
    return lambda audio: encoder.embed_utterance(preprocess_wav(audio, source_sr=SAMPLE_RATE))
