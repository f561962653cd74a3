"""``voiceclone record``: a dataset from a microphone, sentence by sentence."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.recording.config import RecordConfig
from voiceclone.system.extras import require
from voiceclone.system.settings import add_flags, given, words_of

if TYPE_CHECKING:
    from voiceclone.recording.microphone import Microphone
    from voiceclone.recording.session import Session
    from voiceclone.tracking.progress import Reporter

RECORD, SKIP, AGAIN, STOP = "", "s", "r", "q"  # answers
# Advice for a refused clip, by the beginning of the reason.
ADVICE = {
    "empty": "is the microphone on, and the right one (--mic)?",
    "silent": "is the microphone on, and the right one (--mic)?",
    "too quiet": "go nearer, or raise the microphone's level",
    "clipped": "go farther away, or lower the microphone's level",
    "too short": "read the whole sentence before you press Enter",
    "too long": "press Enter directly after the sentence",
    "interrupted": "close other programs",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``record``."""
    sentences, mic = words_of(RecordConfig, "sentences"), words_of(RecordConfig, "mic")
    add_flags(
        parser, RecordConfig, out={"type": Path},
        sentences={"type": Path, "metavar": "FILE",
                   "help": f"{sentences} (default: 20 English sentences that hold every sound)"},
        mic={"metavar": "NAME", "help": f"{mic} (default: the system's)"}, list_mics={"action": "store_true"},
    )  # fmt: skip
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Show, record, trim, check, write; continue where an earlier call stopped."""
    from voiceclone.files import held
    from voiceclone.recording.microphone import Microphone, inputs
    from voiceclone.recording.sentences import SENTENCES, read_sentences
    from voiceclone.recording.session import Session
    from voiceclone.tracking.progress import Reporter

    config = given(RecordConfig, options)
    if config.list_mics:
        require("record", what="--list-mics")
        print("\n".join(inputs()) or "no microphones")
        return 0
    sentences = read_sentences(config.sentences) if config.sentences else SENTENCES
    session = Session(config.out)  # refuses a folder with other content before a lock file is created in it
    require("record", what="recording")
    microphone = Microphone(config.mic)
    reporter = Reporter(verbosity=verbosity(options))
    with held(config.out, instead="--out"):
        _record_all(sentences, session, microphone, reporter)
    done = sum(text in session.texts for text in sentences)
    reporter.info(f"{config.out}: {done} of {len(sentences)} sentences")
    if done < len(sentences):
        reporter.info("continue with the same command")
    else:
        reporter.info(f"next: voiceclone clone --data {config.out} --name my_voice")
    return 0


def _record_all(sentences: tuple[str, ...], session: Session, microphone: Microphone, reporter: Reporter) -> None:
    """Record every sentence without a clip, until the user stops."""
    reporter.info(
        f"microphone: {microphone.name}, {microphone.rate} Hz. Sit still, read at an even pace, pause at the end."
    )
    at, last = 0, None
    while at < len(sentences):
        text = sentences[at]
        if text in session.texts:
            at += 1
            continue
        again = "" if last is None else f", {AGAIN}: the last one again"
        answer = _ask(f"\n{at + 1}/{len(sentences)}  {text}\n[Enter: record, {SKIP}: skip{again}, {STOP}: stop] ")
        if answer == STOP:
            return
        if answer == SKIP:
            at += 1
        elif answer == AGAIN and last is not None:
            _record(last, session, microphone)
        elif answer == RECORD and _record(text, session, microphone):
            at, last = at + 1, text


def _record(text: str, session: Session, microphone: Microphone) -> bool:
    """Record one sentence; True if the clip was kept."""
    from voiceclone.recording.session import judged, trimmed_take

    take = microphone.record(lambda: _ask(f"\n  {text}\n  recording; Enter ends it "))
    audio = trimmed_take(take)
    found = judged(take, audio)
    if found.problem is not None:
        advice = next((advice for reason, advice in ADVICE.items() if found.problem.startswith(reason)), "")
        _say(f"  not kept: {found.problem}{': ' if advice else ''}{advice}")
        return False
    path = session.add(text, audio, take.rate)
    _say(f"  kept: {path.name}, {found.seconds:.1f} s, loud parts at {found.level_dbfs:.0f} dBFS")
    for warning in found.warnings:
        _say(f"  but it {warning}")
    return True


def _ask(prompt: str) -> str:
    """A line of input in lower case; end of file means stop."""
    print(prompt, end="", flush=True)
    line = sys.stdin.readline()
    if not line:
        return STOP
    return line.strip().lower()


def _say(line: str) -> None:
    print(line, flush=True)
