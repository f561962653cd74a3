"""The training corpus of the benchmarks that train a system."""

from __future__ import annotations

from pathlib import Path

from voiceclone.base_training.caches import Preparation, prepare_caches
from voiceclone.base_training.corpus import Corpus
from voiceclone.models.presets import full_config


def corpus_of(data: list[Path], folder: Path) -> Corpus:
    """Datasets with their features, which are computed into ``folder`` where they are missing.

    Raises:
        VoicecloneError: a dataset cannot be read, or lacks something that training needs.
    """
    caches = [(path, folder / f"{number:03d}-{path.name}") for number, path in enumerate(data)]
    prepare_caches(caches, [], folder, Preparation(vocab=full_config()["vocab"]))
    return Corpus([cache for _, cache in caches])
