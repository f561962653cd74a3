"""Errors of word times on synthesised speech with known timing: the aligner of ``prepare`` and Whisper's own.

    pip install '.[transcribe]'
    python benchmarks/word_times.py [--model small] [--voices af_heart am_michael] [--sentences 10]

The base speaks the sentences of ``record`` with its stock voices; its durations are the truth. ``prepare`` aligns the
true text. Whisper transcribes, with word times. Compared are the words that it recognises, by start and by end.
"""

from __future__ import annotations

import argparse
import difflib
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from voiceclone.alignment.coarse import settled
from voiceclone.alignment.fine import align_section
from voiceclone.alignment.learning import learn
from voiceclone.alignment.rough_aligner import RoughAligner
from voiceclone.audio.io import write_wav
from voiceclone.bases.base import Base, load_base
from voiceclone.data.recordings import Recording, Script
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.prepare.recognition import load_recogniser
from voiceclone.recording.sentences import SENTENCES
from voiceclone.text.g2p import Phonemizer

FRAME_SECONDS = 0.025
PAUSE_SECONDS = 0.35
Word = tuple[str, float, float]
"""Text, start and end in seconds."""


def main() -> int:
    """Speak, align, transcribe, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", default="nano")
    parser.add_argument("--model", default="small", help="a faster-whisper model: its name or folder")
    parser.add_argument("--voices", nargs="+", default=["af_heart", "am_michael"])
    parser.add_argument("--sentences", type=int, default=10, help="for each voice")
    options = parser.parse_args()
    torch.set_num_threads(1)
    base, recogniser = load_base(options.base, offline=True), load_recogniser(options.model)
    print("| voice | by | words | start: median, ms | over 100 ms, % | end: median, ms | over 100 ms, % |")
    print("|---|---|---|---|---|---|---|")
    for number, voice in enumerate(options.voices):
        first = number * options.sentences
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "recording.wav"
            truth, text = speak(base, voice, SENTENCES[first : first + options.sentences], path)
            segments, _ = recogniser.transcribe(str(path), language="en", vad_filter=True, word_timestamps=True)
            heard = [(w.word, w.start, w.end) for segment in segments for w in segment.words]
            aligned = align(path, text, len(truth))
        by_whisper = matched(truth, heard)
        for name, found in (("prepare", matched(truth, aligned)), ("Whisper", by_whisper)):
            common = [found[index] for index in by_whisper if index in found]
            starts, ends = (1000 * np.abs(np.array(errors)) for errors in zip(*common, strict=True))
            cells = [f"{np.median(e):.0f} | {100 * np.mean(e > 100):.1f}" for e in (starts, ends)]
            print(f"| {voice} | {name} | {len(common)} of {len(truth)} | {' | '.join(cells)} |", flush=True)
    return 0


@torch.no_grad()
def speak(base: Base, voice: str, sentences: Sequence[str], path: Path) -> tuple[list[Word], str]:
    """Write a recording of the sentences with pauses; its words with their true times, and its text."""
    kokoro, phonemizer = FrozenKokoro(base.kmodel, torch.device("cpu")), Phonemizer("a")
    pause = np.zeros(int(PAUSE_SECONDS * 24_000), dtype=np.float32)
    parts, words, said, at = [pause], [], [], PAUSE_SECONDS
    for sentence in sentences:
        phonemes = phonemizer.phonemes(sentence)
        written, spoken = sentence.split(), phonemes.split(" ")
        if len(written) != len(spoken):  # a number or an abbreviation: no word of the text is one of the phonemes
            continue
        text = kokoro.text(phonemes)
        torch.manual_seed(0)
        audio, durations = kokoro.speak(text, base.stock_voices[voice].row(text.phoneme_count))
        ends = at + FRAME_SECONDS * np.cumsum(durations.numpy())
        token = 1  # after BOS
        for word, symbols in zip(written, spoken, strict=True):
            sounding = len(re.sub(r"[^\w]+$", "", symbols))  # punctuation at the end is a pause
            words.append((word, float(ends[token - 1]), float(ends[token + sounding - 1])))
            token += len(symbols) + 1
        parts += [audio.numpy(), pause]
        at += len(audio) / 24_000 + PAUSE_SECONDS
        said.append(sentence)
    write_wav(path, np.concatenate(parts))
    return words, " ".join(said)


def align(path: Path, text: str, count: int) -> list[Word]:
    """The words of the text as ``prepare`` places them."""
    seconds = path.stat().st_size / 48_000
    recording = Recording(path=path, name=path.name, stem="recording", seconds=seconds)
    aligner = RoughAligner([recording], Script(running=text), "a")
    learned, words = learn(aligner), []
    voice, sound = learned.voice(aligner, 0), aligner.features(0)
    for _, reading, section in aligner.rough(0, learned.variant, voice, learned.stretch, 0):
        for stretch in settled(section, reading):
            for word in align_section(stretch, sound.part(stretch.start, stretch.end), reading, voice)[0]:
                span = reading.words[word.word]
                words.append((reading.text[span.start : span.end], word.start, word.end))
    return words


def matched(truth: Sequence[Word], found: Sequence[Word]) -> dict[int, tuple[float, float]]:
    """Errors of start and end in seconds by the index of the true word, of the words that were found."""
    ours, theirs = ([re.sub(r"[^a-z']", "", word.lower()) for word, _, _ in words] for words in (truth, found))
    errors = {}
    for block in difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks():
        for index in range(block.size):
            _, start, end = truth[block.a + index]
            _, own_start, own_end = found[block.b + index]
            errors[block.a + index] = (own_start - start, own_end - end)
    return errors


if __name__ == "__main__":
    raise SystemExit(main())
