"""Load the models that measure an evaluation, as far as they are installed."""

from __future__ import annotations

from dataclasses import dataclass

from voiceclone.evaluation.metrics import PhoneScorer, SpeakerEncoder
from voiceclone.evaluation.metrics_opinion import OpinionJudge, load_opinion_judge
from voiceclone.evaluation.metrics_words import WordRecognizer, load_word_recognizer
from voiceclone.text.normalization import ENGLISH


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """The loaded models, and one line for each that is missing."""

    encoders: tuple[SpeakerEncoder, ...]
    recognizer: PhoneScorer | None
    words: WordRecognizer | None
    left_out: tuple[str, ...]
    opinion: OpinionJudge | None = None


def load_panel(lang: str) -> Panel:
    """Load the available models for a language code of Kokoro's. Nothing is downloaded.

    Raises:
        VoicecloneError: the file of a model is damaged.
    """
    from voiceclone.nets import campplus
    from voiceclone.nets.phone_recognizer import load_recognizer
    from voiceclone.nets.resemblyzer import INSTALL, load_resemblyzer
    from voiceclone.nets.xvector import load_speaker_net

    left_out = []
    strongest = campplus.load_campplus()
    if strongest is None:
        left_out.append(f"similarity by campplus, the most accurate: it is not installed ({campplus.INSTALL})")
    resemblyzer = load_resemblyzer()
    if resemblyzer is None:
        left_out.append(f"similarity by resemblyzer: it is not installed ({INSTALL})")
    words, why = load_word_recognizer(lang)
    if words is None:
        left_out.append(why)
    opinion, why = load_opinion_judge()
    if opinion is None:
        left_out.append(why)
    return Panel(
        encoders=tuple(encoder for encoder in (strongest, load_speaker_net(), resemblyzer) if encoder is not None),
        recognizer=load_recognizer() if lang in ENGLISH else None,
        words=words,
        left_out=tuple(left_out),
        opinion=opinion,
    )


def load_untrained_encoder() -> SpeakerEncoder:
    """The most accurate installed speaker encoder that is never used in training: CAM++, or else xvector.

    Raises:
        VoicecloneError: its file is damaged.
    """
    from voiceclone.nets.campplus import load_campplus
    from voiceclone.nets.xvector import load_speaker_net

    return load_campplus() or load_speaker_net()
