"""Rough alignment of recordings to their texts, with a cache of one recording's features and one synthesis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voiceclone.alignment.coarse import WINDOW_SECONDS, CostModel, Section, align_long, align_window, pace
from voiceclone.alignment.features import Scale, scale_of
from voiceclone.alignment.reading import Reader, Reading
from voiceclone.alignment.recording_features import FRAME, RecordingFeatures, read_features
from voiceclone.data.recordings import Part, Recording, Script
from voiceclone.errors import VoicecloneError
from voiceclone.text.espeak import EspeakSynthesizer

OWN_SCALE_SECONDS = 30.0  # seconds of speech; shorter recordings share one scale
_SHORTEST_PART = 0.3  # seconds


class RoughAligner:
    """Aligns recordings roughly.

    It caches the features of the last recording and the synthesis of the last running text.

    Args:
        recordings: the recordings.
        script: their texts.
        lang: one of :data:`~voiceclone.alignment.reading.ESPEAK_VOICES`; None where alignment is not supported.
    """

    def __init__(self, recordings: Sequence[Recording], script: Script, lang: str | None) -> None:
        self.recordings, self.script, self.lang = recordings, script, lang
        self.parts: dict[int, list[Part]] = {}
        for part in script.parts:
            self.parts.setdefault(part.recording, []).append(part)
        self._engine: EspeakSynthesizer | None = None
        self._features: tuple[int, RecordingFeatures] | None = None
        self._running: tuple[str, Reading] | None = None

    def features(self, index: int) -> RecordingFeatures:
        """Features of recording ``index``.

        Raises:
            VoicecloneError: the file cannot be read.
        """
        if self._features is None or self._features[0] != index:
            self._features = (index, read_features(self.recordings[index].path))
        return self._features[1]

    def scale(self, index: int, shared: Scale) -> Scale:
        """The scale of recording ``index``; the shared one where it is too short."""
        sound = self.features(index)
        speech = sound.speech
        if float(speech.sum()) * FRAME < OWN_SCALE_SECONDS:
            return shared
        return scale_of([(sound.mel, speech)], pool=shared.pool, range_db=shared.range_db)

    def reader(self, variant: str) -> Reader:
        """A :class:`Reader` with a variant of the language's voice."""
        self._engine = self._engine or EspeakSynthesizer()
        assert self.lang is not None, "nothing can be read aloud"
        return Reader(self.lang, variant, self._engine)

    def rough(
        self, index: int, variant: str, cost_model: CostModel, stretch: float, first_word: int
    ) -> Iterator[tuple[Part | None, Reading, Section]]:
        """Rough position of the text in recording ``index``, section by section. The part is None for a running text.

        Parts without speakable text or after the end of the recording are skipped.
        """
        sound = self.features(index)
        if self.script.running is not None:
            reading = self._read_running(variant)
            for section in align_long(sound, reading, first_word, cost_model, stretch):
                yield None, reading, section
            return
        for part in self.parts.get(index, []):
            end = min(part.end or sound.seconds, sound.seconds)
            if end - part.start < _SHORTEST_PART:
                continue
            try:
                reading = self.reader(variant).read(part.text)
            except VoicecloneError:
                continue
            window = sound.part(part.start, end)
            if window.seconds <= WINDOW_SECONDS:
                sections = iter([align_window(window, reading, cost_model)])
            else:
                sections = align_long(window, reading, 0, cost_model, pace(window, reading, 0, cost_model)[0])
            for section in sections:
                yield part, reading, section.moved(part.start, 0)

    def _read_running(self, variant: str) -> Reading:
        if self._running is None or self._running[0] != variant:
            assert self.script.running is not None
            self._running = (variant, self.reader(variant).read(self.script.running))
        return self._running[1]
