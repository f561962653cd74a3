"""Compute feature caches of datasets, with phonemes and durations where the datasets lack them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voiceclone.base_training.base_aligner import BaseAligner
from voiceclone.base_training.corpus import Aligner, prepare_corpus
from voiceclone.data.rows import Row, read_rows
from voiceclone.errors import UsageError
from voiceclone.text.normalization import ENGLISH
from voiceclone.tracking.progress import Reporter

ALIGNMENTS = ("auto", "given", "warp", "learned")
"""Kokoro's language codes supported by alignment to eSpeak-NG."""


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Settings of the feature computation."""

    vocab: dict[str, int]
    alignment: str = "auto"
    """Where durations come from that the datasets do not bring: ``warp`` (eSpeak-NG's reading), ``learned`` (an aligner
    trained on the data), ``given`` (nowhere: they must be there); ``auto`` warps English and learns other languages, or
    uses ``base_aligner``."""
    language: str = "a"
    """Kokoro's language code, for texts without phonemes."""
    base_aligner: Callable[[], BaseAligner] | None = field(default=None, repr=False)
    """Loads the aligner of the base that is trained further. With ``auto`` it takes the place of the other methods."""

    def __post_init__(self) -> None:
        if self.alignment not in ALIGNMENTS:
            raise UsageError(f"--alignment {self.alignment}: use one of {', '.join(ALIGNMENTS)}")

    @property
    def method(self) -> str:
        """``given``, ``warp``, ``learned`` or ``base``."""
        if self.alignment != "auto":
            return self.alignment
        if self.base_aligner is not None:
            return "base"
        return "warp" if self.language in ENGLISH else "learned"


def prepare_caches(
    data: Sequence[tuple[Path, Path]],
    kept_out: Sequence[tuple[Path, Path]],
    out: Path,
    config: Preparation,
    *,
    reporter: Reporter | None = None,
) -> None:
    """Compute the features of every ``(dataset, cache)``, or reuse a cache of the same rows, recordings and settings.

    Args:
        data: training data. The learned aligner also trains on it, where rows lack durations.
        kept_out: data for measurements only.
        out: folder of the aligner.
        config: the settings.
        reporter: shows the progress; None for no output.

    Raises:
        UsageError: a dataset lacks metadata or, with ``given``, durations.
        VoicecloneError: no row of a dataset is usable.
    """
    rows = {cache: read_rows([folder]) for folder, cache in [*data, *kept_out]}
    if config.method == "given":
        for folder, cache in [*data, *kept_out]:
            _refuse_missing(folder, rows[cache])
    phonemize = _phonemizer(config) if any(r.phonemes is None for part in rows.values() for r in part) else None
    missing = [r for _, cache in data for r in rows[cache] if r.durations is None]
    missing = missing or [r for part in rows.values() for r in part if r.durations is None]
    align, aligned_by = _aligner(missing, out, config, phonemize) if missing else (None, "")
    for cache, part in rows.items():
        whole = all(row.durations is not None for row in part)
        prepare_corpus(
            part, cache, config.vocab, phonemize=phonemize, language=config.language, reporter=reporter,
            align=None if whole else align, aligned_by="" if whole else aligned_by,
        )  # fmt: skip


def _aligner(
    rows: Sequence[Row], out: Path, config: Preparation, phonemize: Callable[[str], str] | None
) -> tuple[Aligner, str]:
    """The aligner, and a key that identifies its durations in the cache."""
    if config.base_aligner is not None and config.method == "base":
        own = config.base_aligner()
        return own, own.key
    if config.method == "warp":
        from voiceclone.alignment.espeak_warp import EspeakAligner

        return EspeakAligner(), ""
    from voiceclone.alignment.learned import LearnedAligner

    aligner = LearnedAligner(rows, config.vocab, out, phonemize=phonemize, language=config.language)
    return aligner, aligner.key


def _phonemizer(config: Preparation) -> Callable[[str], str]:
    from voiceclone.text.g2p import Phonemizer

    return Phonemizer(config.language).phonemes


def _refuse_missing(folder: Path, rows: Sequence[Row]) -> None:
    count = sum(row.durations is None for row in rows)
    if count:
        raise UsageError(
            f"{folder}: {count} of {len(rows)} rows have no durations: use --alignment warp or --alignment learned"
        )
