#!/usr/bin/env python3
"""Synthesise a corpus with a base's voices, blends and perturbed blends, to train style encoders and student models.

    python scripts/speak_with_teacher.py --text sentences.txt --out speech --utterances 5000
    python scripts/speak_with_teacher.py --text sentences.txt --out speech --utterances 5000 --part 2/2   # beside it
    python scripts/speak_with_teacher.py --text sentences.txt --out prosody --utterances 12000 --prosody-only

Resumable: the same command continues, and existing utterances are kept. An utterance depends on the seed and
its number alone, so that several processes can share the work by --part.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from script import add_text, parser_of, run

from voiceclone.errors import UsageError
from voiceclone.files import write_text

if TYPE_CHECKING:
    from voiceclone.base_training.teacher import TeacherConfig
    from voiceclone.bases.base import Base
    from voiceclone.voice.pack import VoicePack

ENGLISH = ("a", "b")  # Kokoro's codes: American, British


def main() -> int:
    """Speak; the exit code."""
    options = _options()
    from voiceclone.base_training.teacher import TeacherConfig
    from voiceclone.bases.base import load_base

    base = load_base(options.base)
    english = {name: base.stock_voices[name] for name in base.stock_voices if name.startswith(ENGLISH)}
    unknown = sorted(set(options.kept_out) - set(english))
    if unknown:
        raise UsageError(f"--kept-out {' '.join(unknown)}: no English stock voice of {base.title}: see `voices`")
    config = TeacherConfig(held_out=tuple(options.kept_out), phonemes=tuple(options.phonemes), seed=options.seed)
    lines = read_lines(options.text)[: None if options.kept_back == 0 else -options.kept_back]
    texts = clauses_as_phonemes(lines, options.out.parent / f"{options.out.name}_phonemes", config.phonemes)
    numbers = range(options.part[0] - 1, options.utterances, options.part[1])
    speak_corpus(base, english, config, texts, options.out, numbers, with_audio=not options.prosody_only)
    return 0


def speak_corpus(
    base: Base,
    voices: Mapping[str, VoicePack],
    config: TeacherConfig,
    texts: list[str],
    folder: Path,
    numbers: range,
    *,
    with_audio: bool,
) -> None:
    """Speak the utterances of these numbers into a folder; existing ones are kept."""
    import torch

    from voiceclone.base_training.teacher import VoiceSampler, speak_teacher_utterance
    from voiceclone.distributed import convolution_dtype
    from voiceclone.models.frozen_kokoro import FrozenKokoro
    from voiceclone.tracking.progress import Reporter

    folder.mkdir(parents=True, exist_ok=True)
    device = torch.device("cpu")
    kokoro = FrozenKokoro(base.kmodel, device, convolutions=convolution_dtype("auto", device))
    sampler = VoiceSampler(voices, config)
    with Reporter().task(f"Speaking {folder.name}", total=len(numbers), unit="utterance") as task:
        for number in numbers:
            speak_teacher_utterance(number, kokoro, sampler, texts, folder, with_audio=with_audio)
            task.advance(1)


def read_lines(source: Path) -> list[str]:
    """The lines of a text file.

    Raises:
        UsageError: it cannot be read as UTF-8.
    """
    try:
        return source.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--text {source}: cannot be read as UTF-8: check the path") from error


def clauses_as_phonemes(lines: list[str], folder: Path, limits: tuple[int, int]) -> list[str]:
    """Phoneme strings within the limits of whole lines and of their clauses, American and British; kept in ``folder``.

    Every fourth text is British.
    """
    from voiceclone.text.g2p import Phonemizer

    clauses = {part.strip() for line in lines for part in (line, *re.split(r"(?<=[,;:.?!])\s+", line))}
    chosen = sorted(clause for clause in clauses if 14 < len(clause) < 1.1 * limits[1])
    found: list[str] = []
    for lang, mine in (("a", [c for i, c in enumerate(chosen) if i % 4]), ("b", chosen[::4])):
        cache = folder / f"{lang}.txt"
        if not cache.exists():
            phonemizer = Phonemizer(lang)
            write_text(cache, "\n".join(phonemizer.phonemes(clause) for clause in mine))
        found += cache.read_text(encoding="utf-8").splitlines()
    return [text for text in found if limits[0] <= len(text) <= limits[1]]


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__, out_help="folder for the speech")
    add_text(parser)
    parser.add_argument("--base", default="kokoro")
    parser.add_argument("--utterances", type=int, default=5000)
    parser.add_argument("--phonemes", type=int, nargs=2, default=(16, 130), metavar=("LEAST", "MOST"))
    parser.add_argument("--kept-out", nargs="*", default=[], metavar="VOICE", help="stock voices to leave out")
    parser.add_argument("--kept-back", type=int, default=300, metavar="N", help="last lines of the text left unused")
    parser.add_argument(
        "--prosody-only", action="store_true", help="no audio: durations, F0 and energy, to train a student's predictor"
    )
    parser.add_argument("--part", type=_part, default=(1, 1), metavar="K/N", help="speak every N-th, from the K-th")
    return parser.parse_args()


def _part(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a part: give it as 1/2")
    return int(match[1]), int(match[2])


if __name__ == "__main__":
    run(main)
