"""Find the command, run it, and turn exceptions into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence

from voiceclone import __version__
from voiceclone.cli.help import EXAMPLES, CommandParser, path_through, summary_sentence
from voiceclone.errors import VoicecloneError, shown, speaking_of_flags
from voiceclone.ranges import check_numbers
from voiceclone.system.processes import let_break_interrupt

# Command -> (module, what it does). Modules have add_arguments(parser) and run(args) -> exit code.
COMMANDS = {
    "record": ("voiceclone.cli.record", "record a dataset from a microphone, sentence by sentence"),
    "clone": ("voiceclone.cli.clone", "clone a voice from a folder of clips"),
    "zero-shot": ("voiceclone.cli.zero_shot", "a voice from a few seconds of speech, without training"),
    "batch": ("voiceclone.cli.batch", "clone many voices, listed in a table"),
    "say": ("voiceclone.cli.say", "speak a text with a voice"),
    "voices": ("voiceclone.cli.voices", "list your voices and the stock voices of a base"),
    "evaluate": ("voiceclone.cli.evaluate", "measure a voice beside stock voices and recordings, with a verdict"),
    "inspect": ("voiceclone.cli.inspect", "look at a voice: shape, norms by row, health"),
    "mix": ("voiceclone.cli.mix", "mix voices, whole or half by half"),
    "fidelity": (
        "voiceclone.cli.fidelity",
        "a finished clone more natural, or more like the speaker, without training",
    ),
    "export": ("voiceclone.cli.export", "write a voice for kokoro-onnx, kokoro.js or as safetensors, and back"),
    "prepare": ("voiceclone.cli.prepare", "long recordings and their text to a dataset of clips"),
    "demo-data": ("voiceclone.cli.demo_data", "speak a small dataset with eSpeak-NG"),
    "download": ("voiceclone.cli.download", "fetch the real Kokoro and StyleTTS2 files into the Hub cache"),
    "doctor": ("voiceclone.cli.doctor", "say what this machine has: device, weights, extras, free space"),
    "stock-table": ("voiceclone.cli.stock_table", "measure the stock voices of a base, once: cloning then tries fewer"),
    "serve": ("voiceclone.cli.serve", "an OpenAI-compatible HTTP server that speaks with your voices"),
    "ui": ("voiceclone.cli.ui", "a web page for cloning, listening, mixing and downloading"),
    "train-base": ("voiceclone.cli.train_base", "train a Kokoro-format base of your own"),
}
# Programs beside the command, as COMMANDS: each has a script of its own.
SCRIPTS = {"mamba-conv": ("voiceclone.cli.mamba_conv", "train and try a Mamba-Conv synthesizer on one recording")}
INTERRUPTED = 130
# In torch's messages. Before its allocator for the CPU there is the place in its source, behind it the number of bytes.
_NO_MEMORY_ON_CPU = "DefaultCPUAllocator: "
_NO_MEMORY_ON_GPU = ("CUDA out of memory", "CUDA error: out of memory", "ALLOC_FAILED", "MPS backend out of memory")
TRACEBACK = "VOICECLONE_TRACEBACK"  # environment variable: show the traceback of a bug


def main(arguments: Sequence[str] | None = None, *, program: str | None = None) -> int:
    """Run one command line; returns the exit code."""
    with speaking_of_flags():
        return _main(arguments, program)


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of one of :data:`COMMANDS`, checked; ``options.run(options)`` runs it and raises what goes wrong."""
    options = _parser(arguments, None).parse_args(arguments)
    check_numbers(vars(options), options.command)
    return options


def _main(arguments: Sequence[str] | None, program: str | None) -> int:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if not arguments:
            print(f"{path_through()}\n\nall commands: voiceclone --help")
            return 0
        parser = _parser(arguments, program)
        options = parser.parse_args(arguments if program is None else arguments[1:])
        check_numbers(vars(options), arguments[0] if program is not None else options.command)
        _print_any_name()
        let_break_interrupt()
        _quiet_libraries(verbose=getattr(options, "verbose", False))
        return options.run(options)
    except VoicecloneError as error:
        print(f"error: {shown(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted" + _kept(arguments, program), file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader is gone; Python would report it again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # for example a path that is too long or a failing disk: no traceback is needed
        place = f"{error.filename}: " if error.filename is not None else ""
        print(f"error: {shown(place)[-300:]}{shown(error.strerror or error)}: check the path", file=sys.stderr)
        return 1
    except RecursionError:
        print("error: a file is nested too deeply to be read: check config, metadata and base.json", file=sys.stderr)
        return 1
    except Exception as error:
        if (line := _out_of_memory(error)) is not None:
            print(f"error: {line}", file=sys.stderr)
            return 1
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        print(
            f"error: {type(error).__name__}: {shown(error)}: this is a bug of voiceclone, not of yours: set "
            f"{TRACEBACK}=1 to see the traceback, and report it with the command",
            file=sys.stderr,
        )
        return 1


def _out_of_memory(error: Exception) -> str | None:
    """The line for an error that means that memory ran out; None for any other error.

    Told by name and text: torch, which has an exception of its own for GPUs and only a text for the CPU, need not be
    imported.
    """
    text = str(error)
    fewer = "fewer or shorter clips (clone: --max-training-clips) or smaller batches (train-base: --settings)"
    if isinstance(error, MemoryError) or _NO_MEMORY_ON_CPU in text:
        return f"not enough memory: use {fewer}"
    if type(error).__name__ == "OutOfMemoryError" or any(sign in text for sign in _NO_MEMORY_ON_GPU):
        return f"not enough memory on the GPU: use {fewer}, or --device cpu"
    return None


def _print_any_name() -> None:
    """Escape characters that standard output cannot encode: file names need not be UTF-8, output may be ASCII."""
    with contextlib.suppress(AttributeError, ValueError, OSError):  # a replaced or closed stream
        getattr(sys.stdout, "reconfigure")(errors="backslashreplace")  # noqa: B009 - a TextIO need not have it


def _kept(arguments: Sequence[str], program: str | None) -> str:
    """What can be resumed after an interrupted command, if anything."""
    if arguments[:1] == ["batch"]:
        return ": finished voices and epochs are kept; continue with the same command"
    if arguments[:1] == ["record"]:
        return ": finished clips are kept; continue with the same command"
    if arguments[:1] == ["prepare"]:
        return ": finished clips are kept; continue with --resume"
    trains = program is not None or {"clone", "train-base"} & set(arguments[:1])
    return ": finished epochs are kept; continue with --resume" if trains else ""


def _parser(arguments: Sequence[str], program: str | None) -> argparse.ArgumentParser:
    """Only the called command's module is loaded, so that help and errors are fast."""
    version = f"voiceclone {__version__}"
    if program is not None:
        home, summary = {**COMMANDS, **SCRIPTS}[arguments[0]]
        example = EXAMPLES.get(arguments[0], "").replace(f"voiceclone {arguments[0]}", f"python {program}")
        script = CommandParser(prog=program, description=summary_sentence(summary), example=example)
        return _filled(script, home, version)
    parser = argparse.ArgumentParser(
        prog="voiceclone",
        description="Your own voice for Kokoro TTS.",
        epilog=f"from a recording to a voice:\n{path_through()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=CommandParser)
    called = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name, (home, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary_sentence(summary), example=EXAMPLES[name])
        if name == called:
            _filled(command, home, version)
    return parser


def _filled(parser: argparse.ArgumentParser, home: str, version: str) -> argparse.ArgumentParser:
    """Add the flags of the command's module."""
    module = importlib.import_module(home)
    module.add_arguments(parser)
    parser.add_argument("--version", action="version", version=version, help="show the version and exit")
    parser.set_defaults(run=module.run)
    return parser


def _quiet_libraries(*, verbose: bool) -> None:
    """Show other libraries' log output only with --verbose. Set here, never at import of the package."""
    if verbose:
        return
    import warnings

    warnings.filterwarnings("ignore")
    logging.getLogger().setLevel(logging.ERROR)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("LOGURU_LEVEL", "ERROR")
