"""eSpeak-NG as a synthesiser that also returns the start time of each phoneme.

The shared library comes inside the ``espeakng_loader`` wheel and keeps its state in C globals. Every synthesiser has a
private copy of the library (as the phonemizer behind misaki does, so that they do not interfere) and loads it again
for every call: otherwise noise and timing depend on earlier calls, and equal calls give different samples.
"""

from __future__ import annotations

import contextlib
import ctypes
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from voiceclone.errors import UsageError, VoicecloneError

# From espeak-ng's speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_PHONEME_EVENTS = 1
_INITIALIZE_PHONEME_IPA = 2
_INITIALIZE_DONT_EXIT = 0x8000
_EVENT_LIST_TERMINATED = 0
_EVENT_WORD = 1
_EVENT_PHONEME = 7
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1
_RATE_LIMITS = (80, 450)  # words per minute
# espeak-ng keeps the data path in a fixed buffer of 160 bytes and cuts what is longer.
_DATA_PATH_BYTES = 120


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class PhonemeEvent(NamedTuple):
    """One phoneme as eSpeak-NG spoke it."""

    ipa: str
    """IPA with stress marks, at most 8 UTF-8 bytes; empty for a pause."""
    start: float
    """Seconds from the start of the audio."""


class WordEvent(NamedTuple):
    """One word as eSpeak-NG spoke it; a word read as several (1455) has several, words read as one (of the) one."""

    position: int
    """Index of its first character in the text."""
    start: float
    """Seconds from the start of the audio."""


class SynthesizedSpeech(NamedTuple):
    """Synthesised speech."""

    audio: np.ndarray
    """float32 ``(T,)``, full scale 1.0."""
    sample_rate: int
    """Hz."""
    events: tuple[PhonemeEvent, ...]
    """In order of time; the last one ends where the audio ends."""
    words: tuple[WordEvent, ...] = ()
    """In order of time."""


class EspeakSynthesizer:
    """Speak text with one copy of eSpeak-NG; calls from several threads are served one after the other.

    Args:
        data_path: folder with the layout of ``espeak-ng-data`` (voice variants lie in ``voices/!v``);
            the one in the ``espeakng_loader`` wheel when None.

    Raises:
        VoicecloneError: the library or its data cannot be loaded.
    """

    def __init__(self, data_path: Path | str | None = None) -> None:
        import espeakng_loader

        self._lock = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="espeak-"))
        self._close = weakref.finalize(self, shutil.rmtree, self._folder, True)
        data = Path(data_path) if data_path is not None else Path(espeakng_loader.get_data_path())
        if not (data / "phondata").is_file():
            raise VoicecloneError(f"{data}: holds no eSpeak-NG data (phondata is missing): reinstall espeakng-loader")
        library = Path(espeakng_loader.get_library_path())
        self._copy = self._folder / library.name
        try:
            shutil.copyfile(library.resolve(), self._copy)
        except OSError as error:
            raise VoicecloneError(f"eSpeak-NG cannot be copied ({error}): free some space in {self._folder}") from error
        self._data = self._short_path(data.resolve())
        with self._loaded():
            pass

    def speak(
        self,
        text: str,
        voice: str = "en-us",
        *,
        rate_wpm: int = 150,
        pitch: int = 50,
        range: int = 50,
    ) -> SynthesizedSpeech:
        """Speak ``text``; the same call gives the same samples, whatever was spoken before.

        Args:
            voice: eSpeak-NG voice name, with a variant after a plus sign (``en-us+f3``).
            rate_wpm: words per minute, 80-450.
            pitch: 0-100, 50 is the voice's own.
            range: pitch range, 0-100, 0 is monotone, 50 the voice's own.

        Raises:
            UsageError: the voice is not known or a setting is out of range.
            VoicecloneError: eSpeak-NG failed or gave no audio.
        """
        _check("rate_wpm", rate_wpm, *_RATE_LIMITS)
        _check("pitch", pitch, 0, 100)
        _check("range", range, 0, 100)
        with self._loaded() as (library, rate):
            self._select(library, voice)
            for parameter, value in ((_RATE, rate_wpm), (_PITCH, pitch), (_RANGE, range)):
                library.espeak_SetParameter(parameter, int(value), 0)
            return _synthesize(library, rate, text)

    def _select(self, library: ctypes.CDLL, voice: str) -> None:
        _, plus, variant = voice.partition("+")
        # eSpeak-NG ignores an unknown variant silently and uses the plain voice.
        known = not plus or (Path(variant).name == variant and (self._data / "voices" / "!v" / variant).is_file())
        if not known or library.espeak_SetVoiceByName(voice.encode("utf-8")) != 0:
            raise UsageError(f"eSpeak-NG has no voice {voice!r}: use a name such as en-us, en-gb or en-us+f3")

    @contextlib.contextmanager
    def _loaded(self) -> Iterator[tuple[ctypes.CDLL, int]]:
        """The library, freshly loaded and initialised, and its sample rate in Hz."""
        with self._lock:
            try:
                library = ctypes.CDLL(str(self._copy))
            except OSError as error:
                raise VoicecloneError(f"eSpeak-NG cannot be loaded ({error}): reinstall espeakng-loader") from error
            try:
                _declare(library)
                options = _INITIALIZE_PHONEME_EVENTS | _INITIALIZE_PHONEME_IPA | _INITIALIZE_DONT_EXIT
                rate = library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, str(self._data).encode(), options)
                if rate <= 0:
                    raise VoicecloneError(f"eSpeak-NG cannot read its data in {self._data}: reinstall espeakng-loader")
                _seed(library)
                yield library, rate
                library.espeak_Terminate()
            finally:
                _unload(library)

    def _short_path(self, data: Path) -> Path:
        if len(str(data).encode()) <= _DATA_PATH_BYTES:
            return data
        link = self._folder / "espeak-ng-data"
        try:
            link.symlink_to(data, target_is_directory=True)
        except OSError as error:
            raise VoicecloneError(f"{data}: too long a path for eSpeak-NG: move it to a shorter one") from error
        return link


def _synthesize(library: ctypes.CDLL, rate: int, text: str) -> SynthesizedSpeech:
    blocks: list[np.ndarray] = []
    events: list[PhonemeEvent] = []
    words: list[WordEvent] = []

    def collect(wave: Any, count: int, event: Any) -> int:
        if wave and count > 0:
            blocks.append(np.ctypeslib.as_array(wave, shape=(count,)).copy())
        index = 0
        while event and event[index].type != _EVENT_LIST_TERMINATED:
            if event[index].type == _EVENT_PHONEME:
                ipa = event[index].id.string.decode("utf-8", "ignore")
                events.append(PhonemeEvent(ipa=ipa, start=event[index].sample / rate))
            elif event[index].type == _EVENT_WORD:
                words.append(WordEvent(position=event[index].text_position - 1, start=event[index].sample / rate))
            index += 1
        return 0

    callback = _Callback(collect)
    library.espeak_SetSynthCallback(callback)
    encoded = text.replace("\0", " ").encode("utf-8", "replace")
    status = library.espeak_Synth(encoded, len(encoded) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None)
    if status == 0:
        status = library.espeak_Synchronize()
    if status != 0 or not blocks:
        raise VoicecloneError(f"eSpeak-NG gave no audio for the text {text[:40]!r} (status {status})")
    audio = np.concatenate(blocks).astype(np.float32) / 32768.0
    return SynthesizedSpeech(
        audio=audio,
        sample_rate=rate,
        events=tuple(sorted(events, key=lambda event: event.start)),
        words=tuple(sorted(words, key=lambda word: word.start)),
    )


def _declare(library: ctypes.CDLL) -> None:
    library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    library.espeak_SetSynthCallback.argtypes = [_Callback]
    library.espeak_SetSynthCallback.restype = None
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    library.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int,
        ctypes.c_uint, ctypes.c_uint, ctypes.POINTER(ctypes.c_uint), ctypes.c_void_p,
    ]  # fmt: skip


def _seed(library: ctypes.CDLL) -> None:
    """Fix both sources of eSpeak-NG's noise: its own generator (seeded by the clock) and the C library's ``rand``."""
    for name in ("espeak_ng_SetRandSeed", "srand"):
        # Older libraries lack the first; the second is found through a library on POSIX only.
        if (function := getattr(library, name, None)) is not None:
            function(ctypes.c_long(1) if name != "srand" else ctypes.c_uint(1))


def _unload(library: ctypes.CDLL) -> None:
    import _ctypes

    close = getattr(_ctypes, "dlclose", None) or getattr(_ctypes, "FreeLibrary")  # noqa: B009 - of Windows alone
    close(library._handle)


def _check(name: str, value: float, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UsageError(f"{name} is {value}: give a number from {low} to {high}")
