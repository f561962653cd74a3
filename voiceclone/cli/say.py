"""``voiceclone say``: speak a text with a voice."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.cli.output_files import check_free
from voiceclone.cli.say_config import SayConfig
from voiceclone.cli.say_style import (
    add_style_arguments,
    expressive_voices,
    sampled_voices,
    sampling_settings,
    variant_names,
)
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.models.vits2.config import NOISE_SCALE, NOISE_SCALE_W
from voiceclone.system.settings import add_flags, given, words_of

if TYPE_CHECKING:
    from kokoro import KPipeline

    from voiceclone.bases.base import Base
    from voiceclone.models.vits2.speaking import SpeechNoise
    from voiceclone.tracking.progress import Reporter
    from voiceclone.voice.pack import VoicePack

STDOUT = "-"
DEFAULT_OUT = "speech.wav"
Parts = list[tuple[str | None, str]]  # voice, text; None is the voice of --voice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``say``."""
    parser.add_argument(
        "text",
        metavar="TEXT",
        nargs="?",
        help="what to say; - reads standard input; [voice:NAME] in it changes the voice",
    )
    voice, out, switch = words_of(SayConfig, "voice"), words_of(SayConfig, "out"), {"action": "store_true"}
    add_flags(
        parser, SayConfig, file={"type": Path, "metavar": "FILE"}, voice={"help": f"{voice} (default: af_heart)"},
        base={}, out={"metavar": "FILE", "help": f"{out} (default: {DEFAULT_OUT}, or the next free name)"}, lang={},
        speed={"type": float}, seed={"type": int}, device={}, json=switch, overwrite=switch, offline=switch,
    )  # fmt: skip
    add_style_arguments(parser)
    noise, noise_w = (words_of(SayConfig, name) for name in ("noise_scale", "noise_scale_w"))
    add_flags(
        parser, SayConfig, noise_scale={"type": float, "help": f"{noise} (default: {NOISE_SCALE})"},
        noise_scale_w={"type": float, "help": f"{noise_w} (default: {NOISE_SCALE_W})"},
    )  # fmt: skip
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Synthesise, write the audio as it is produced, report the speed."""
    from voiceclone.text.voice_markers import parts_by_voice
    from voiceclone.tracking.progress import Reporter

    parts = parts_by_voice(_text(options.text, options.file))
    config = given(SayConfig, options)
    if config.samples_styles:
        sampling_settings(config)  # refuses values out of range
    config, chosen = _with_out(config)
    config, planned = _with_base(config, parts)
    reporter = Reporter(verbosity=verbosity(options))
    # Standard output may carry the audio, so output of libraries goes to standard error.
    output = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        spoken = _speak(config, parts, planned, chosen, reporter, output)
    if config.json:
        shown = spoken if config.variants is not None else spoken[0]
        print(json.dumps(shown, indent=2), file=sys.stderr if config.out == STDOUT else output)
        return 0
    for facts in spoken:
        count = f"{facts['pieces']} piece{'' if facts['pieces'] == 1 else 's'}"
        target = "standard output" if facts["out"] == STDOUT else facts["out"]
        reporter.info(
            f"{target}: {facts['seconds']:.1f} s of speech in {count}, "
            f"real-time factor {facts['real_time_factor']:.2f}, first audio after {facts['first_audio_seconds']:.2f} s"
        )
    return 0


def _with_base(config: SayConfig, parts: Parts) -> tuple[SayConfig, str | Path]:
    """The config with the base of its voices, and the base that will be used, as far as known.

    Unknown voices are refused here, before torch is imported.
    """
    from voiceclone.bases.stock_names import checked_base, planned_base, stock_names
    from voiceclone.voice.lookup import check_names
    from voiceclone.voice.origin import base_for

    voices = [voice for voice in dict.fromkeys((config.voice, *(voice for voice, _ in parts))) if voice is not None]
    base = config.base
    for voice in voices:
        base = base_for(voice, base)
    config = replace(config, base=base)
    planned = planned_base(checked_base(base), offline=config.offline)
    if (names := stock_names(planned)) is not None:
        for voice in voices:
            check_names(voice, names, where=_where(config))
    return config, planned


def _where(config: SayConfig) -> str:
    """The base of the stock voices, for messages."""
    return "the base" if config.base == "auto" else f"--base {config.base}"


def _speak(
    config: SayConfig, parts: Parts, planned: str | Path, chosen: str, reporter: Reporter, output: Any
) -> list[dict[str, Any]]:
    """Load the voices and their base, and synthesise as often as requested; returns the facts of each time."""
    from voiceclone.distributed import choose_device
    from voiceclone.models.vits2.speaking import speech_noise
    from voiceclone.text.g2p import notice_of
    from voiceclone.voice.speaking import check_speed

    check_speed(config.speed)
    noise = _noise(config)
    device = choose_device(config.device)
    started = time.perf_counter()
    config, packs, base = _voices_and_base(config, parts, planned, chosen, reporter)
    base.kmodel.to(device)
    pipeline = base.pipeline(config.lang)
    if notice := notice_of(pipeline):
        reporter.warn(notice)
    common = {
        "voice": config.voice,
        "voices": list(packs),
        "base": base.title,
        "load_seconds": round(time.perf_counter() - started, 3),
        "device": str(device),
    }
    assert config.out is not None
    spoken = []
    for number, out in enumerate(variant_names(config.out, config.variants)):
        voices: dict[Any, Any] = {name: pack.tensor for name, pack in packs.items()}
        if config.samples_styles:
            voices = dict(sampled_voices(config, base, packs, pipeline, variant=number))
        elif config.expressive is not None:
            voices = dict(expressive_voices(config, base, packs, variant=number))
        said = [(text, voices[voice or config.voice]) for voice, text in parts]
        with speech_noise(base.kmodel, noise):
            facts = _say_once(config, pipeline, said, out, reporter, output, seed=config.seed + number)
        spoken.append({"out": out, **common, **facts})
    return spoken


def _noise(config: SayConfig) -> SpeechNoise | None:
    """The noise of a VITS2 that is asked for; None if none is.

    Raises:
        UsageError: a value is out of range.
    """
    from voiceclone.models.vits2.speaking import SpeechNoise

    given = {name: getattr(config, name) for name in ("noise_scale", "noise_scale_w")}
    given = {name: value for name, value in given.items() if value is not None}
    return SpeechNoise(**given) if given else None


def _say_once(
    config: SayConfig,
    pipeline: KPipeline,
    said: list[tuple[str, Any]],
    out: str,
    reporter: Reporter,
    output: Any,
    *,
    seed: int,
) -> dict[str, Any]:
    """Synthesise (text, voice) pairs into one file or stream; returns speed, and what could not be spoken."""
    from voiceclone.audio.stream import sound_file, sound_stream
    from voiceclone.text.g2p import LANGUAGES
    from voiceclone.text.pieces import LeftOut
    from voiceclone.voice.speaking import deliver, speak_parts

    left_out = LeftOut()
    opened = sound_stream(output.buffer) if out == STDOUT else sound_file(Path(out))
    with opened as write, reporter.task("Speaking", unit="piece") as task:

        def write_piece(audio: Any) -> None:
            write(audio)
            task.advance(1)

        pieces = speak_parts(pipeline, said, speed=config.speed, seed=seed, left_out=left_out)
        delivery = deliver(pieces, write_piece)
    for warning in left_out.warnings(LANGUAGES[pipeline.lang_code]):
        reporter.warn(warning)
    return {
        "seconds": round(delivery.seconds, 3),
        "pieces": delivery.pieces,
        "unspoken": left_out.texts,
        "unknown_symbols": sorted(left_out.symbols),
        "real_time_factor": round(delivery.real_time_factor, 3),
        "first_audio_seconds": round(delivery.first_audio_seconds, 3),
    }


def _voices_and_base(
    config: SayConfig, parts: Parts, planned: str | Path, chosen: str, reporter: Reporter
) -> tuple[SayConfig, dict[str, VoicePack], Base]:
    """The voices first, because wrong names should be reported before a model is loaded.

    The config returned has the default voice if none is given and a part of the text has none.
    """
    from voiceclone.bases.base import NANO, load_base, load_stock_voices
    from voiceclone.bases.stock_names import default_voice
    from voiceclone.voice.lookup import VoiceFinder
    from voiceclone.voice.origin import misfits

    @cache
    def base() -> Base:
        return load_base(config.base, offline=config.offline, notice=reporter.info)

    # The base that ``auto`` selects may only be known after loading.
    finder = VoiceFinder(
        lambda: base().stock_voices if planned == "auto" else load_stock_voices(planned), where=_where(config)
    )
    if config.voice is None and any(voice is None for voice, _ in parts):
        config = replace(config, voice=default_voice(finder.stock))
        if config.voice is None:
            raise UsageError(f"no --voice is given, and {_where(config)} has no stock voices: give --voice FILE")
        chosen = f"with {config.voice}{' ' if chosen else ''}{chosen}"
    if chosen:
        reporter.info(f"speaking {chosen}")
    wanted = dict.fromkeys(voice or config.voice for voice, _ in parts)
    packs = {voice: finder.find(voice) for voice in wanted if voice is not None}
    if base().kind == NANO and config.base == "auto":
        reporter.warn("Kokoro-82M is not cached and no source can be reached: speaking with the nano base")
    for line in (line for voice in packs for line in misfits(voice, base())):
        reporter.warn(line)
    return config, packs, base()


def _text(text: str | None, file: Path | None) -> str:
    """The text, from the command line, a file or standard input."""
    if (text is None) == (file is None):
        raise UsageError("give the text to say either as TEXT (- reads standard input) or with --file")
    if file is not None:
        from voiceclone.data.tables import read_text

        if not file.exists():
            raise UsageError(f"--file {file}: no such file: check the path")
        try:
            text = read_text(file, table=False).replace("\r\n", "\n")
        except VoicecloneError as error:
            raise UsageError(f"--file {error}") from error
    elif text == "-":
        try:
            text = sys.stdin.read()
        except UnicodeDecodeError as error:
            raise UsageError("the text of standard input is not UTF-8: save it as UTF-8") from error
    if text is None or not text.strip():
        raise UsageError("nothing to say: the text is empty")
    return text


def _with_out(config: SayConfig) -> tuple[SayConfig, str]:
    """The config with its output path, checked before any work is done; and ``into FILE`` if that is a default."""
    from voiceclone.audio.sound_formats import format_of

    if config.out is None:
        out = DEFAULT_OUT if config.overwrite else _free_name(Path(DEFAULT_OUT), config.variants)
        return replace(config, out=out), f"into {', '.join(variant_names(out, config.variants))}"
    if config.out == STDOUT:
        if config.variants is not None:
            raise UsageError("--variants: several files need a name: give --out FILE")
        if sys.stdout.isatty():
            raise UsageError("--out -: standard output is a terminal: send it to a file or to a player")
        return config, ""
    format_of(Path(config.out))
    for each in map(Path, variant_names(config.out, config.variants)):
        check_free(each, overwrite=config.overwrite)
    return config, ""


def _free_name(path: Path, variants: int | None) -> str:
    """``speech.wav``, ``speech_2.wav``...: the first name that is free, also for its variants."""
    names = (str(path) if number == 1 else f"{path.stem}_{number}{path.suffix}" for number in itertools.count(1))
    return next(name for name in names if not any(Path(each).exists() for each in variant_names(name, variants)))
