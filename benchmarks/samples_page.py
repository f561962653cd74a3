"""Voices beside their speakers' recordings and the best stock voices: a folder with sounds and a page that plays them.

    python benchmarks/samples_page.py output/anna/anna.pt output/ben/ben.pt --out samples

The recordings are those of the dataset that each clone run noted (config.json beside the voice), or VOICE.pt=DATASET.
Results of `voiceclone evaluate` beside a voice are shown with it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from voiceclone.bases.base import Base, load_base
from voiceclone.data.dataset import load_dataset
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.evaluation.api import run_facts
from voiceclone.evaluation.samples import SampleVoice, write_samples
from voiceclone.evaluation.voices import find_voice
from voiceclone.voice.card import NOT_STATED
from voiceclone.voice.lookup import path_of
from voiceclone.voice.origin import base_for
from voiceclone.voice.provenance import facts_of


def main(arguments: list[str] | None = None) -> int:
    """Load, speak, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("voices", nargs="+", metavar="VOICE.pt[=DATASET]")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="sounds and index.html go there")
    parser.add_argument("--base", default="auto", help="auto (the one each voice was made for), kokoro, nano, a folder")
    parser.add_argument("--sentences", type=int, default=3, help="held-out recordings of each voice (default: 3)")
    parser.add_argument("--lang", help="Kokoro's language code (default: that of each run)")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    options = parser.parse_args(arguments)
    bases: dict[str, Base] = {}
    try:
        voices = [_load(given, options, bases) for given in options.voices]
        page = write_samples(voices, options.out, sentences=options.sentences)
    except (UsageError, VoicecloneError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    print(f"page: {page}")
    return 0


def _load(given: str, options: argparse.Namespace, bases: dict[str, Base]) -> SampleVoice:
    """A voice with its base and the recordings it was split from."""
    which, _, data = given.partition("=")
    facts = run_facts(path_of(which))
    data = data or facts.get("data", "")
    if not data:
        raise UsageError(f"{which}: no config.json beside it says which dataset it was made from: give {which}=DATASET")
    chosen = base_for(which, options.base)
    if chosen not in bases:
        bases[chosen] = load_base(chosen, offline=options.offline)
    base, seed = bases[chosen], facts.get("seed", 0)
    lang = options.lang or facts.get("lang", "a")
    vocab = base.kmodel.vocab
    return SampleVoice(
        file=path_of(which),
        pack=find_voice(which, base),
        base=base,
        dataset=load_dataset(Path(data), lang=lang, seed=seed, vocab=vocab),
        lang=lang,
        seed=seed,
        consent=facts.get("consent") or facts_of(path_of(which)).get("consent", NOT_STATED),
    )


if __name__ == "__main__":
    sys.exit(main())
