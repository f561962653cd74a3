"""The microphone, through sounddevice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from voiceclone.errors import UsageError, VoicecloneError

LONGEST = 60.0  # seconds; longest recording


@dataclass(frozen=True, kw_only=True)
class Take:
    """One recording."""

    audio: np.ndarray
    """Mono float32 ``(T,)``, full scale 1.0."""
    rate: int
    """Hz."""
    lost: bool
    """Whether the system dropped audio."""


class Microphone:
    """An input of the sound card at its own rate.

    Args:
        which: number or part of the name of an input; the system's default one for None.

    Raises:
        UsageError: there is no such input.
        VoicecloneError: the sound system cannot be used.
    """

    def __init__(self, which: str | None = None) -> None:
        self._sounddevice = _library()
        device: int | str | None = int(which) if which is not None and which.isdecimal() else which
        try:
            facts = self._sounddevice.query_devices(device, "input")
        except (ValueError, self._sounddevice.PortAudioError) as error:
            reason = " ".join(str(error).split())
            if which is None:
                raise VoicecloneError(
                    f"there is no microphone ({reason}): connect one, or name it with --mic"
                ) from error
            raise UsageError(f"--mic {which}: {reason}: --list-mics shows what there is") from error
        self._device, self.name, self.rate = device, str(facts["name"]), int(facts["default_samplerate"])

    def record(self, until: Callable[[], object]) -> Take:
        """Record while ``until`` runs.

        Raises:
            VoicecloneError: the input cannot be opened.
        """
        blocks: list[np.ndarray] = []
        left = int(LONGEST * self.rate)
        lost = False

        def take(data: np.ndarray, frames: int, time: Any, status: Any) -> None:
            nonlocal left, lost
            lost = lost or bool(getattr(status, "input_overflow", False))
            if left > 0:
                blocks.append(np.array(data[:left, 0], dtype=np.float32))
                left -= frames

        try:
            with self._sounddevice.InputStream(
                samplerate=self.rate, channels=1, dtype="float32", device=self._device, callback=take
            ):
                until()
        except self._sounddevice.PortAudioError as error:
            reason = " ".join(str(error).split())
            raise VoicecloneError(f"the microphone cannot be used ({reason}): choose another with --mic") from error
        return Take(audio=np.concatenate(blocks) if blocks else np.zeros(0, np.float32), rate=self.rate, lost=lost)


def inputs() -> list[str]:
    """One line per input: its number and its name.

    Raises:
        VoicecloneError: the sound system cannot be used.
    """
    devices = _library().query_devices()
    return [f"{at}: {facts['name']}" for at, facts in enumerate(devices) if facts["max_input_channels"] > 0]


def _library() -> Any:
    try:
        import sounddevice
    except OSError as error:  # the package is installed, the system's library is not
        raise VoicecloneError(
            f"the microphone cannot be used ({error}): install PortAudio, for example apt install libportaudio2"
        ) from error
    return sounddevice
