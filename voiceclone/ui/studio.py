"""Functions of the page without its layout: voices of the output folder, speech, the speaker's clips, mixes."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voiceclone.audio.io import SAMPLE_RATE
from voiceclone.bases.finder import facts_of_custom_base
from voiceclone.bases.stock_names import placed_base
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import write_json
from voiceclone.ui.names import check_new_name, new_folder
from voiceclone.voice.library import voice_files
from voiceclone.voice.lookup import VoiceFinder
from voiceclone.voice.mixing import Mix, blend
from voiceclone.voice.origin import AUTO, common_base, known_base, provenance_of_mix
from voiceclone.voice.pack import VoicePack

if TYPE_CHECKING:
    from voiceclone.bases.base import Base
    from voiceclone.models.vits2.speaking import SpeechNoise

logger = logging.getLogger(__name__)

Sound = tuple[int, np.ndarray]  # sample rate in Hz, int16 samples (T,)
MAX_CLIPS = 50  # recordings of a speaker that are offered for comparison
BASES_KEPT = 2  # bases that stay in memory
MAX_TEXT = 3_000  # characters of one request: about four minutes of speech


class Studio:
    """Voices and speech for the page.

    Voices are named as on the command line: a path (``FILE:NAME`` for one of several), or a stock voice.

    Args:
        out: the output folder of ``clone``.
        base: the base model for voices whose report names none.
        lang: Kokoro's language code.
        offline: never use the network.
    """

    def __init__(self, out: Path, *, base: str = "auto", lang: str = "a", offline: bool = False) -> None:
        # Absolute, as the paths in the voices' config.json are: they are compared with them, and written there.
        self.out, self.base = Path(out).absolute(), placed_base(base)
        self.lang, self.offline = lang, offline
        self.warn: Callable[[str], None] = logger.warning
        """Takes a line for each kind of thing in a text that could not be spoken; the page shows it."""
        # one synthesis at a time: the model and torch's global random state are shared
        self._speaking = threading.Lock()
        self._loading, self._warmed = threading.Lock(), False
        self._bases: dict[str, Base] = {}  # by name or folder, the last used one last

    def own_voices(self) -> list[str]:
        """Finished voices of the output folder, newest first."""
        return [str(path) for path in voice_files(self.out)]

    def all_voices(self) -> list[str]:
        """Own voices, then the stock voices of the base."""
        from voiceclone.bases.base import load_stock_voices
        from voiceclone.bases.stock_names import planned_base

        return [*self.own_voices(), *load_stock_voices(planned_base(self.base, offline=self.offline))]

    def base_of(self, voice: str) -> str:
        """The base of a voice: the one that its report names, else the studio's, as for voices that fit several."""
        found = known_base(voice) or AUTO
        return self.base if found == AUTO else found

    def clips_of(self, voice: str) -> list[tuple[str, str]]:
        """``(path, text)`` of a voice's training clips, held-out ones first; empty where they were deleted."""
        from voiceclone.data.metadata import read_dataset

        try:
            data = json.loads((Path(voice).parent / "config.json").read_text(encoding="utf-8"))["data"]
            splits = read_dataset(data)
        except (OSError, ValueError, KeyError, TypeError, VoicecloneError):
            return []
        clips = [(str(entry.path), entry.text) for split in ("validation", "train") for entry in splits.get(split, ())]
        return [clip for clip in clips if Path(clip[0]).is_file()][:MAX_CLIPS]

    def load_base(self, which: str) -> Base:
        """Load a base; the last two stay in memory, whether ``auto`` or their own name was given."""
        from voiceclone.bases.stock_names import planned_base

        with self._loading:
            key = str(planned_base(which, offline=self.offline))
            base = self._bases.pop(key, None) or self._load_base(key)
            kept = list(self._bases.items())[1 - BASES_KEPT :]
            self._bases = {**dict(kept), base.kind if key == AUTO else key: base}
            return base

    def warm_up(self) -> None:
        """Load the studio's base in the background, once, while a visitor is still recording.

        The first sound then need not wait for it. Nothing is fetched for that.
        """
        if not self._warmed:
            self._warmed = True
            threading.Thread(target=self._warm_up, name="voiceclone-warm-up", daemon=True).start()

    def _warm_up(self) -> None:
        from voiceclone.bases.stock_names import planned_base

        try:
            if planned_base(self.base, offline=self.offline) != AUTO:  # else it has to be fetched
                base = self.load_base(self.base)
                base.pipeline(self.lang)
                if base.styles_are_voices:
                    _ = base.style_encoders
        except VoicecloneError as error:  # the visitor is told when the base is needed
            logger.info("the base was not loaded ahead: %s", error)

    def find(self, voice: str) -> VoicePack:
        """Load a voice by name. The base is loaded only for stock voices."""
        return self._finder_of(self.base_of(voice)).find(voice)

    def audio(
        self,
        text: str,
        voice: str | VoicePack,
        *,
        base: str | None = None,
        speed: float = 1.0,
        seed: int = 0,
        noise: SpeechNoise | None = None,
    ) -> np.ndarray:
        """Synthesise a text: float32 ``(T,)`` at 24 kHz.

        Args:
            text: to speak.
            voice: its name, or a voice that was loaded.
            base: the voice's own base where None; required for a :class:`VoicePack`, which does not name it.
            speed: factor on the speaking rate.
            seed: of the noise.
            noise: of a VITS2; its own where None.

        Raises:
            UsageError: there is nothing to say, or too much, or ``noise`` is given for another base than a VITS2.
        """
        if isinstance(voice, str):
            which = self.base_of(voice) if base is None else base
            return self._audio(text, lambda base: self._finder(base).find(voice), which, speed, seed, noise)
        return self._audio(text, lambda _: voice, base or self.base, speed, seed, noise)

    def speak(self, text: str, voice: str, *, speed: float = 1.0) -> Sound:
        """Synthesise a text as 16-bit audio."""
        return as_sound(self.audio(text, voice, speed=speed))

    def mix(self, voices: tuple[str, str], timbre: float, prosody: float) -> VoicePack:
        """Mix two voices. ``timbre`` and ``prosody`` are the share of the second voice in each half, 0 to 1."""
        return self._mix(self.load_base(self._common_base(voices)), voices, timbre, prosody)

    def mix_audio(self, text: str, voices: tuple[str, str], timbre: float, prosody: float) -> np.ndarray:
        """Synthesise a text with a mix: float32 ``(T,)`` at 24 kHz."""
        which = self._common_base(voices)
        return self._audio(text, lambda base: self._mix(base, voices, timbre, prosody), which)

    def save_mix(self, name: str, voices: tuple[str, str], timbre: float, prosody: float) -> Path:
        """Write a mix to ``OUT/NAME/NAME.pt``.

        Raises:
            UsageError: the name is not valid or taken, or the voices belong to different bases.
            VoicecloneError: the folder cannot be written.
        """
        check_new_name(self.out, name)
        which = self._common_base(voices)
        pack = self._mix(self.load_base(which), voices, timbre, prosody)
        halves = (("timbre", timbre), ("prosody", prosody))
        facts = provenance_of_mix(voices, " + ".join(_as_text(half, voices, share) for half, share in halves))
        with new_folder(self.out, name) as folder:
            pack.save(folder / f"{name}.pt", provenance={name: facts | facts_of_custom_base(which)})
            if Path(which).is_dir():  # only the folder tells where a custom base is: the voice's file does not
                write_json(folder / "config.json", {"name": name, "base": which})
        return self.out / name / f"{name}.pt"

    def _mix(self, base: Base, voices: tuple[str, str], timbre: float, prosody: float) -> VoicePack:
        first, second = voices
        halves = [_shares(first, second, share) for share in (timbre, prosody)]
        return blend(Mix(*halves), self._finder(base).single)

    def _common_base(self, voices: tuple[str, str]) -> str:
        """The base of both voices.

        Raises:
            UsageError: they belong to different bases.
        """
        found = common_base(voices, AUTO)
        return self.base if found == AUTO else found

    def _finder(self, base: Base) -> VoiceFinder:
        return VoiceFinder(lambda: base.stock_voices, where=base.name)

    def _finder_of(self, which: str) -> VoiceFinder:
        return VoiceFinder(lambda: self.load_base(which).stock_voices, where=which)

    def _audio(
        self,
        text: str,
        voice: Callable[[Base], VoicePack],
        which: str,
        speed: float = 1.0,
        seed: int = 0,
        noise: SpeechNoise | None = None,
    ) -> np.ndarray:
        from voiceclone.models.vits2.speaking import speech_noise
        from voiceclone.text.g2p import LANGUAGES
        from voiceclone.text.pieces import LeftOut
        from voiceclone.voice.speaking import speak_whole

        if not text.strip():
            raise UsageError("nothing to say: the text is empty")
        if len(text) > MAX_TEXT:
            raise UsageError(f"the text has {len(text)} characters: the page speaks {MAX_TEXT} at most")
        left_out = LeftOut()
        base = self.load_base(which)
        with self._speaking, speech_noise(base.kmodel, noise):
            pipeline = base.pipeline(self.lang)
            audio = speak_whole(pipeline, text, voice(base).tensor, speed=speed, seed=seed, left_out=left_out)
        for warning in left_out.warnings(LANGUAGES[pipeline.lang_code]):
            self.warn(warning)
        return audio

    def _load_base(self, which: str) -> Base:
        from voiceclone.bases.base import load_base

        return load_base(which, offline=self.offline)


def as_sound(audio: np.ndarray) -> Sound:
    """Convert float32 ``(T,)`` at 24 kHz to 16-bit samples."""
    return SAMPLE_RATE, (np.clip(audio, -1.0, 1.0) * 32767).astype(np.int16)


def _as_text(half: str, voices: tuple[str, str], share: float) -> str:
    """One half of a mix as a command line would name it, with the voices' plain names."""
    first, second = (Path(voice).stem if voice.endswith(".pt") else voice for voice in voices)
    weights = _shares(first, second, share)
    return f"{half}({' + '.join(f'{weight:.3g}*{name}' for name, weight in weights.items())})"


def _shares(first: str, second: str, share: float) -> dict[str, float]:
    """Weights of the two voices in one half. If both are the same voice, its weight is 1."""
    return {first: 1.0} if first == second else {first: 1.0 - share, second: share}
