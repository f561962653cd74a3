"""The reference voices of the report and where they are read from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import torch

from voiceclone.audio.io import read_audio
from voiceclone.bases.base import Base
from voiceclone.data.dataset import Clip
from voiceclone.errors import UsageError
from voiceclone.style.extraction import extract_styles
from voiceclone.voice.compact import TOLERANCE
from voiceclone.voice.formats import read_voices
from voiceclone.voice.lookup import VoiceFinder
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.profile import LengthProfile

CLONE = "clone"
ZERO_SHOT = "zero_shot"  # estimated from the clips without training, for bases whose styles are voices
BEST_STOCK = "best_stock"  # the stock voice nearest to the speaker
BEST_BLEND = "best_blend"  # the convex combination of stock voices nearest to the speaker
STUDENT = "student"  # the clone before ``--finish``, trained on the base's student
PLAIN_RECIPE = "plain_recipe"  # a voice made by another recipe, given with --also
ORACLE = "oracle"  # voice by the base's own style encoders: upper bound of what the base can do
STRANGER = "stranger"  # an unrelated stock voice at median distance to the clone: lower end of the likeness scale
RECORDINGS = "recordings"  # not a voice but the speaker's own clips: upper end of the likeness scale
ORDER = (CLONE, STUDENT, ZERO_SHOT, BEST_STOCK, BEST_BLEND, PLAIN_RECIPE, ORACLE, STRANGER, RECORDINGS)
CANDIDATES = (ZERO_SHOT, BEST_STOCK, BEST_BLEND)
MADE_HERE = (CLONE, ORACLE, STRANGER, RECORDINGS)
TITLES = {
    CLONE: "clone",
    STUDENT: "clone before the finish, trained on nano",
    ZERO_SHOT: "zero-shot clone",
    BEST_STOCK: "best stock voice",
    BEST_BLEND: "best blend of stock voices",
    PLAIN_RECIPE: "plain recipe",
    ORACLE: "oracle",
    STRANGER: "stranger",
    RECORDINGS: "recordings",
}
"""Display names for the names above, which are used in files."""
ORACLE_CLIPS = 100  # maximum number of training clips whose styles are averaged for the oracle


def title_of(name: str) -> str:
    """Display name of a voice; names given by the user are unchanged."""
    return TITLES.get(name, name)


def stranger_to(pack: VoicePack, base: Base) -> VoicePack | None:
    """The stock voice at the median distance from ``pack``; None where the base has none."""
    ranked = sorted(base.stock_voices.values(), key=lambda stock: float((stock.tensor - pack.tensor).norm()))
    return ranked[len(ranked) // 2] if ranked else None


def candidates_file(voice: Path) -> Path:
    """File with the voices that a clone run compared; it lies beside the voice's file."""
    return Path(voice).parent / "artifacts" / "candidates.safetensors"


def read_candidates(voice: Path) -> dict[str, VoicePack]:
    """The candidates stored beside a voice's file, by name; empty where there are none.

    Raises:
        VoicecloneError: the file is damaged or contains something other than voices.
    """
    path = candidates_file(voice)
    if not path.is_file():
        return {}
    found = read_voices(path)
    return {name: found[name] for name in (STUDENT, *CANDIDATES) if name in found}


def find_voice(which: str, base: Base) -> VoicePack:
    """Load a voice by its file, by the name of a stock voice of ``base``, or as a mix.

    Raises:
        UsageError: there is no such file or stock voice.
        VoicecloneError: the file is not a voice.
    """
    return VoiceFinder(lambda: base.stock_voices, where=base.name).find(which)


def parse_also(arguments: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Parse ``NAME=VOICE`` arguments to a dict.

    Raises:
        UsageError: an argument does not have that form, or its name is taken.
    """
    taken, also = {*taken, *MADE_HERE}, {}
    for argument in arguments:
        name, sign, which = (part.strip() for part in argument.partition("="))
        if not (name and sign and which):
            raise UsageError(f"--also {argument}: give NAME=VOICE, for example --also best_stock=af_heart")
        if name in taken or name in also:
            raise UsageError(f"--also {argument}: there is a voice '{name}' already: choose another NAME")
        also[name] = which
    return also


def oracle_voice(
    base: Base, clips: Sequence[Clip], device: torch.device | None = None, *, advance: Callable[[], None] = lambda: None
) -> VoicePack | None:
    """The mean style of ``clips`` by the base's own encoders, with a row for each length as in the base's voices.

    None where the encoders are not known: those of Kokoro-82M were never released.

    Args:
        base: the base.
        clips: training clips; at most :data:`ORACLE_CLIPS` are used.
        device: where the encoders run; the CPU when None.
        advance: called after each clip.
    """
    if base.own_encoders is None or not clips:
        return None
    named = [(clip.name, partial(read_audio, clip.path)) for clip in clips[:ORACLE_CLIPS]]
    styles = extract_styles(named, base.own_encoders, device=device or torch.device("cpu"), advance=advance)
    return LengthProfile.of(base.stock_voices.values()).expand(styles.mean, ORACLE)


def stock_name(pack: VoicePack, base: Base) -> str | None:
    """Name of the stock voice that ``pack`` is a copy of (also in compact form or from a published file), or None."""

    def is_copy(stock: VoicePack) -> bool:
        return float((stock.tensor - pack.tensor).abs().max()) <= TOLERANCE

    return next((name for name, stock in base.stock_voices.items() if is_copy(stock)), None)


def in_order(names: Iterable[str]) -> list[str]:
    """The clone first, then the reference voices, further voices, the oracle, and the recordings last."""
    place = {name: position for position, name in enumerate(ORDER)}
    return sorted(names, key=lambda name: place.get(name, place[ORACLE] - 0.5))
