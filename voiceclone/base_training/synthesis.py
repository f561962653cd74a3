"""Synthesise a multi-speaker corpus with eSpeak-NG: varied custom voices, public-domain text, exact durations.

The output is an AudioFolder: ``metadata.jsonl`` with ``file_name, text, speaker, phonemes, durations`` beside the
audio.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voiceclone.alignment.conditioning import trim_and_level
from voiceclone.alignment.durations import MAX_EDIT_COST, durations_from_events
from voiceclone.audio.features import FRAME_SAMPLES, SAMPLE_RATE
from voiceclone.audio.io import resample, write_wav
from voiceclone.data.tables import read_text
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import write_text
from voiceclone.text.espeak import EspeakSynthesizer

logger = logging.getLogger(__name__)

STOCK_VARIANTS = (
    "f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "Alex", "Alicia", "Andrea", "Andy",
    "Annie", "Denis", "Gene", "Hugo", "Jacky", "Lee", "Marco", "Michael", "Mike", "adam", "anika", "belinda",
    "benjamin", "boris", "david", "ed", "edward", "john", "kaukovalta", "linda", "pablo", "paul", "rob", "robert",
    "sandro", "shelby", "steph", "travis",
)  # fmt: skip
ACCENTS = ("en-us", "gmw/en", "gmw/en-GB-scotland", "gmw/en-GB-x-rp", "gmw/en-US-nyc")


@dataclass(frozen=True, kw_only=True)
class SyntheticSpeaker:
    """One eSpeak-NG speaker."""

    name: str
    accent: str
    """eSpeak-NG voice name."""
    variant: str
    """Variant name after the plus sign."""
    variant_file: str | None
    """Content of a custom variant file; None for a variant that comes with eSpeak-NG."""
    rate_wpm: int
    """Speaking rate in words per minute."""
    pitch: int
    """0-100; 50 is the variant's default."""
    pitch_range: int
    """0-100; 50 is the variant's default."""


@dataclass(frozen=True, kw_only=True)
class SynthesisConfig:
    """What to synthesise."""

    speakers: int = 110
    """Number of speakers: stock variants first (at most 45), then custom ones; shuffled by the seed."""
    held_out: int = 10
    """Number of speakers in the ``heldout`` folder."""
    sentences: int = 20
    """Sentences for each speaker. No sentence is used twice before all have been used."""
    max_characters: int = 170
    """Longer sentences are skipped."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.held_out < self.speakers:
            raise ValueError(f"held_out is {self.held_out}: it must be less than speakers ({self.speakers})")


def make_speakers(config: SynthesisConfig) -> list[SyntheticSpeaker]:
    """Draw the speakers. The same config gives the same list."""
    rng = np.random.default_rng(config.seed)
    stock = list(rng.permutation(STOCK_VARIANTS))[: round(config.speakers * 0.4)]
    speakers = []
    for index in range(config.speakers):
        rate = int(rng.integers(115, 171))
        accent = "en-us" if rng.random() < 0.75 else str(rng.choice(ACCENTS[1:]))
        if index < len(stock):
            pitch, pitch_range = int(rng.integers(35, 66)), int(rng.integers(35, 71))
            name, variant, content = f"stock_{stock[index].lower()}", str(stock[index]), None
        else:
            pitch, pitch_range = 50, 50
            name = variant = f"v{index:03d}"
            content = _random_variant(name, rng)
        speakers.append(
            SyntheticSpeaker(
                name=name,
                accent=accent,
                variant=variant,
                variant_file=content,
                rate_wpm=rate,
                pitch=pitch,
                pitch_range=pitch_range,
            )  # fmt: skip
        )
    return [speakers[i] for i in rng.permutation(len(speakers))]


def synthesize_corpus(
    text_file: Path, out: Path, config: SynthesisConfig, phonemize: Callable[[str], str], vocab: dict[str, int]
) -> dict[str, float]:
    """Synthesise the text with every speaker to ``out/train`` and ``out/heldout``.

    Args:
        text_file: one sentence per line, UTF-8.
        out: the folder.
        config: settings.
        phonemize: text to misaki phonemes.
        vocab: Kokoro's symbols; others are dropped from the phonemes.

    Returns:
        Counts: ``utterances``, ``dropped`` and ``seconds`` (whole).

    Raises:
        UsageError: the text file is missing or has too few sentences.
        VoicecloneError: eSpeak-NG failed.
    """
    sentences = read_corpus_sentences(text_file, config.max_characters)
    rng = np.random.default_rng(config.seed + 1)
    rounds = 1 + config.speakers * config.sentences // len(sentences)
    order = np.concatenate([rng.permutation(len(sentences)) for _ in range(rounds)])
    speakers = make_speakers(config)
    counts: dict[str, float] = {"utterances": 0, "dropped": 0, "seconds": 0}
    rows: dict[str, list[dict[str, Any]]] = {"train": [], "heldout": []}
    with tempfile.TemporaryDirectory(prefix="espeak-data-") as folder:
        engine = EspeakSynthesizer(_private_data(Path(folder), speakers))
        for index, speaker in enumerate(speakers):
            split = "heldout" if index < config.held_out else "train"
            picked = order[index * config.sentences : (index + 1) * config.sentences]
            for number, sentence in enumerate(sentences[i] for i in picked):
                row = _utterance(engine, speaker, sentence, phonemize, vocab, out / split, number)
                counts["dropped" if row is None else "utterances"] += 1
                if row is not None:
                    rows[split].append(row)
                    counts["seconds"] += sum(row["durations"]) * FRAME_SAMPLES / SAMPLE_RATE
            logger.info("speaker %d/%d %s: %d utterances", index + 1, len(speakers), speaker.name, counts["utterances"])
    for split, entries in rows.items():
        if entries:
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in entries)
            write_text(out / split / "metadata.jsonl", lines)
    counts["seconds"] = int(counts["seconds"])
    return counts


def read_corpus_sentences(path: Path, max_characters: int) -> list[str]:
    """Lines of ``path`` of 15 to ``max_characters`` characters.

    Raises:
        UsageError: the file cannot be read or has fewer than 10 such lines.
    """
    try:
        lines = read_text(Path(path), table=False).splitlines()
    except VoicecloneError as error:
        raise UsageError(f"{error}; one sentence a line is wanted") from error
    sentences = [" ".join(line.split()) for line in lines]
    sentences = [line for line in sentences if 15 <= len(line) <= max_characters]
    if len(sentences) < 10:
        raise UsageError(f"{path}: holds {len(sentences)} usable sentences: give at least 10, one a line")
    return sentences


def _utterance(
    engine: EspeakSynthesizer,
    speaker: SyntheticSpeaker,
    sentence: str,
    phonemize: Callable[[str], str],
    vocab: dict[str, int],
    folder: Path,
    number: int,
) -> dict[str, Any] | None:
    phonemes = "".join(c for c in phonemize(sentence) if c in vocab)
    speech = engine.speak(
        sentence,
        f"{speaker.accent}+{speaker.variant}",
        rate_wpm=speaker.rate_wpm,
        pitch=speaker.pitch,
        range=speaker.pitch_range,
    )
    audio, events = trim_and_level(resample(speech.audio, speech.sample_rate), speech.events)
    try:
        durations, cost = durations_from_events(phonemes, events, len(audio) / SAMPLE_RATE)
    except ValueError:
        return None
    if cost > MAX_EDIT_COST or len(phonemes) + 2 > 510:
        return None
    name = f"{speaker.name}/{number:03d}.wav"
    write_wav(folder / name, audio)
    return {
        "file_name": name, "text": sentence, "speaker": speaker.name, "phonemes": phonemes,
        "durations": durations.tolist(),
    }  # fmt: skip


def _random_variant(name: str, rng: np.random.Generator) -> str:
    """A variant file: formants scaled jointly (vocal tract length) and individually, pitch, breathiness, stress."""
    female = rng.random() < 0.5
    scale = rng.uniform(0.98, 1.26) if female else rng.uniform(0.82, 1.06)
    base = rng.uniform(125, 215) if female else rng.uniform(65, 125)
    lines = ["language variant", f"name {name}", f"gender {'female' if female else 'male'}", ""]
    lines.append(f"pitch {base:.0f} {base * rng.uniform(1.25, 1.75):.0f}")
    for formant in range(9):
        frequency = 100 * scale * rng.uniform(0.94, 1.06)
        height = rng.uniform(75, 118) if formant else 100
        lines.append(f"formant {formant} {frequency:.0f} {height:.0f} {rng.uniform(85, 150):.0f}")
    lines.append(f"flutter {rng.integers(0, 5)}")
    lines.append(f"roughness {rng.integers(0, 4)}")
    if rng.random() < 0.4:
        lines.append("breath " + " ".join(str(v) for v in rng.integers(0, 4, 8)))
    lines.append("stressAdd " + " ".join(str(v) for v in rng.integers(-20, 31, 8)))
    lines.append(f"consonants {rng.integers(80, 125)} {rng.integers(80, 125)}")
    return "\n".join(lines) + "\n"


def _private_data(folder: Path, speakers: Sequence[SyntheticSpeaker]) -> Path:
    """A copy of eSpeak-NG's data directory with the custom variants."""
    import espeakng_loader

    data = folder / "espeak-ng-data"
    try:
        shutil.copytree(espeakng_loader.get_data_path(), data)
        for speaker in speakers:
            if speaker.variant_file is not None:
                (data / "voices" / "!v" / speaker.variant).write_text(speaker.variant_file, encoding="utf-8")
    except OSError as error:
        raise VoicecloneError(f"eSpeak-NG's data cannot be copied to {folder} ({error}): free some space") from error
    return data
