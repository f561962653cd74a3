"""Formatting of ``--help``: flags in groups, defaults, one example per command; and the overview of all steps."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from voiceclone.errors import shown

NEED, QUALITY, SPEED, TRACKING, FILES, EXPERTS, OTHER = GROUPS = (
    "what you need",
    "quality",
    "speed",
    "tracking and output",
    "files and network",
    "for experts",
    "other",
)
# Group of a flag by its name. Others are for experts; positional and required arguments go to the first group.
_GROUP_OF = {
    **dict.fromkeys(
        ("data", "name", "file", "voice", "base", "out", "lang", "consent", "text", "subtitles", "metadata",
         "transcribe", "source", "check", "host", "port", "browser", "steps", "minutes", "plot", "mic",
         "list_mics", "sentences"),
        NEED,
    ),
    **dict.fromkeys(
        ("epochs_projection", "finish", "max_style_samples", "max_training_clips", "fidelity", "validation",
         "min_seconds", "max_seconds", "loudness", "clips", "also", "keep_best", "speed", "preset", "voices",
         "alignment", "kept_out", "alpha", "beta", "diffusion_steps", "guidance", "carry", "style_from", "style_text",
         "expressive", "variants"),
        QUALITY,
    ),
    **dict.fromkeys(
        ("device", "precision", "processes", "address", "gpus_per_voice", "threads", "compile", "bfloat16", "queue"),
        SPEED,
    ),
    **dict.fromkeys(("tensorboard", "wandb", "wandb_project", "json", "quiet", "verbose"), TRACKING),
    **dict.fromkeys(("resume", "overwrite", "offline", "config", "add"), FILES),
    **dict.fromkeys(("help", "version"), OTHER),
}  # fmt: skip

EXAMPLES = {
    "record": "voiceclone record --out ./my_dataset",
    "clone": "voiceclone clone --data ./my_dataset --name my_voice --base kokoro",
    "zero-shot": "voiceclone zero-shot me.wav --name my_voice",
    "batch": "voiceclone batch voices.csv --processes 2",
    "say": 'voiceclone say "Hello!" --voice output/my_voice/my_voice.pt --out hello.mp3',
    "voices": "voiceclone voices --out output",
    "evaluate": "voiceclone evaluate --voice output/my_voice/my_voice.pt --data ./my_dataset",
    "inspect": "voiceclone inspect output/my_voice/my_voice.pt --plot my_voice.png",
    "mix": 'voiceclone mix "0.7*output/my_voice/my_voice.pt + 0.3*af_heart" --out softer.pt',
    "fidelity": "voiceclone fidelity output/my_voice/my_voice.pt 0.7 --out my_voice_70.pt",
    "export": "voiceclone export output/my_voice/my_voice.pt --to safetensors --out my_voice.safetensors",
    "prepare": "voiceclone prepare reading.wav --text reading.txt --out ./my_dataset",
    "demo-data": "voiceclone demo-data --out datasets/demo",
    "download": "voiceclone download --from registry",
    "doctor": "voiceclone doctor",
    "stock-table": "voiceclone stock-table --base ./my_base",
    "serve": "voiceclone serve --out output --port 8880",
    "ui": "voiceclone ui --browser",
    "train-base": "voiceclone train-base --data ./corpus --out ./my_base --minutes 60",
}
_PATH = (  # short enough for a terminal of 100 columns; what is left out is the default
    ("voiceclone prepare reading.wav --text reading.txt --out my_dataset", "clips"),
    ("voiceclone clone --data my_dataset --name my_voice", "a voice"),
    ('voiceclone say "Hello!" --voice output/my_voice/my_voice.pt', "it speaks"),
    ("voiceclone evaluate --voice output/my_voice/my_voice.pt --data my_dataset", "how near it is"),
    ("voiceclone export output/my_voice/my_voice.pt --to npz --out voices.npz", "for others"),
)


class CommandParser(argparse.ArgumentParser):
    """A parser that puts each flag into its group, shows its default, and refuses unknown flags with its own usage."""

    def __init__(self, *, example: str = "", **settings: Any) -> None:
        epilog = f"example:\n  {example}" if example else None
        super().__init__(
            epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter, add_help=False, **settings
        )
        self._by_title = {title: self.add_argument_group(title) for title in GROUPS}
        self.add_argument("-h", "--help", action="help", help="show this help and exit")

    def add_argument(self, *flags: Any, **settings: Any) -> argparse.Action:
        """As argparse's; the group depends on the flag's name."""
        positional = not flags or not flags[0].startswith("-")
        name = settings.get("dest") or flags[-1].lstrip("-").replace("-", "_")
        title = NEED if positional or settings.get("required") else _GROUP_OF.get(name, EXPERTS)
        return self._by_title[title].add_argument(*flags, **_with_default(settings))

    def add_mutually_exclusive_group(self, **settings: Any) -> Any:
        """Only used for quiet and verbose."""
        return self._by_title[TRACKING].add_mutually_exclusive_group(**settings)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse everything here: the parent parser would show its own usage for unknown flags."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Print one line and a pointer to ``--help`` instead of the whole usage."""
        self.exit(2, f"{self.prog}: error: {shown(message)} (see {self.prog} --help)\n")


def _with_default(settings: dict[str, Any]) -> dict[str, Any]:
    """Append the default to the help text, unless it is already mentioned."""
    default, text = settings.get("default"), settings.get("help", "")
    if default in (None, False, argparse.SUPPRESS) or default == [] or "(default" in text:
        return settings
    return {**settings, "help": f"{text} (default: {str(default).replace('%', '%%')})"}


def summary_sentence(summary: str) -> str:
    """A command's summary as a sentence: only its first letter is changed."""
    return f"{summary[:1].upper()}{summary[1:]}."


def path_through() -> str:
    """From a recording to a voice, in five lines."""
    width = max(len(command) for command, _ in _PATH)
    lines = [f"{number}. {command:<{width}}  {what}" for number, (command, what) in enumerate(_PATH, 1)]
    return "\n".join(lines)
