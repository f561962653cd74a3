"""The model card (README.md) beside a voice: what it is, which base it is for, and where it comes from."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voiceclone.voice.space import KOKORO_SPACE, space_of

STOCK_REPO = "hexgrad/Kokoro-82M"
NOT_STATED = "not stated"
_LANGUAGES = {  # Kokoro's code: ISO 639-1 code, name
    "a": ("en", "American English"),
    "b": ("en", "British English"),
    "e": ("es", "Spanish"),
    "f": ("fr", "French"),
    "h": ("hi", "Hindi"),
    "i": ("it", "Italian"),
    "j": ("ja", "Japanese"),
    "p": ("pt", "Brazilian Portuguese"),
    "z": ("zh", "Mandarin Chinese"),
}


@dataclass(frozen=True, kw_only=True)
class CardInfo:
    """The content of a card. Texts are escaped: markup in them is shown literally."""

    name: str
    base_name: str
    base_weights: str = ""
    """The weights of the base that the voice was made with, if there are several."""
    base_kind: str
    """``kokoro``, ``nano`` or ``custom``."""
    voice_space: str = ""
    """The base's voice space; stock Kokoro-82M can speak with voices of the space ``kokoro-82m``."""
    base: str = ""
    """The folder of a custom base, as ``load_base`` takes it."""
    base_sha256: str = ""
    """SHA-256 of the base's weight file, hex."""
    base_licence: str = ""
    language: str = "a"
    """Kokoro's language code."""
    clips: int
    """Training clips."""
    minutes: float
    """Length of the training clips, in minutes."""
    seed: int
    consent: str = NOT_STATED
    """Who agreed to the cloning, and how."""
    licence: str = NOT_STATED
    """Licence of the voice: an id of the Hub, or free text."""
    dataset_fingerprint: str = ""
    metrics_before: Mapping[str, float] = field(default_factory=dict)
    """Metrics of the initialization."""
    metrics_after: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package name to version."""
    notices: tuple[str, ...] = ()
    verdict: tuple[str, ...] = ()
    """What was found on held-out clips, a line each; the card begins with it."""
    extra: Mapping[str, str | float] = field(default_factory=dict)
    """Further rows of the facts table."""

    @property
    def is_stock(self) -> bool:
        """Whether stock Kokoro-82M can speak with the voice."""
        return space_of(self.base_kind, self.base_sha256, self.voice_space) == KOKORO_SPACE

    @property
    def file(self) -> str:
        """Name of the voice's file."""
        return f"{self.name}.pt"


def render_card(info: CardInfo) -> str:
    """The card as Markdown with the YAML front matter that the Hub reads."""
    sections = [_front_matter(info), f"# {_literal(info.name)}", *_verdict(info), _opening(info)]
    sections += [f"consent: {_literal(info.consent or NOT_STATED)}", "## Use", _usage(info)]
    sections += ["## Facts", _table(("fact", "value"), _facts(info))]
    if info.metrics_before or info.metrics_after:
        sections += ["## Metrics", _metrics(info)]
    if info.notices:
        sections += ["## Notices", "\n".join(f"- {_literal(notice)}" for notice in info.notices)]
    if info.versions:
        sections += ["## Versions", _table(("package", "version"), list(info.versions.items()))]
    return "\n\n".join(sections) + "\n"


def renamed_card(card: str, old: str, new: str) -> str:
    """A card with the new name in its title and in its code; all else, edits by hand too, stays as it is."""
    card = card.replace(f"\n# {_literal(old)}\n", f"\n# {_literal(new)}\n", 1)
    return card.replace(f"voice={_python(f'{old}.pt')}", f"voice={_python(f'{new}.pt')}")


def _verdict(info: CardInfo) -> list[str]:
    lines = [_literal(f"{line[:1].upper()}{line[1:]}.") for line in info.verdict if line]
    return [f"**{lines[0]}** {' '.join(lines[1:])}".rstrip()] if lines else []


def _front_matter(info: CardInfo) -> str:
    lines = ["---", "tags:", "- kokoro", "- text-to-speech", "- voice", "pipeline_tag: text-to-speech"]
    if info.language in _LANGUAGES:
        # Quoted, since a bare "no" would be false in YAML.
        lines += ["language:", f"- {_yaml(_LANGUAGES[info.language][0])}"]
    if info.is_stock:
        lines.append(f"base_model: {STOCK_REPO}")
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", info.base_name):
        lines.append(f"base_model: {_yaml(info.base_name)}")
    return "\n".join([*lines, *licence_matter(info.licence), "---"])


def licence_matter(licence: str) -> list[str]:
    """The front matter's lines about a licence: an id of the Hub or free text; empty if none is given."""
    if licence in ("", NOT_STATED):
        return ["license: unknown"]
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", licence):
        return [f"license: {_yaml(licence.lower())}"]
    return ["license: other", f"license_name: {_yaml(licence)}"]


def _opening(info: CardInfo) -> str:
    if info.is_stock:
        return f"A voice for [Kokoro-82M](https://huggingface.co/{STOCK_REPO}), cloned from {_source(info)}."
    base = "the nano base" if info.base_kind == "nano" else f"the base {_literal(info.base_name)}"
    return (
        f"> **This voice belongs to {base}; stock Kokoro-82M cannot speak with it.**\n"
        f"> Loaded into stock Kokoro-82M it gives distorted speech, without any error message.\n\n"
        f"A voice for {base}, cloned from {_source(info)}."
    )


def _source(info: CardInfo) -> str:
    clips = "1 clip" if info.clips == 1 else f"{info.clips} clips"
    return f"{clips} ({info.minutes:.1f} minutes)"


def _usage(info: CardInfo) -> str:
    voice = _python(info.file)
    if info.is_stock:
        loading = [
            "from kokoro import KPipeline",
            "",
            f'pipeline = KPipeline(lang_code={_python(info.language)}, repo_id="{STOCK_REPO}")  # weights from the Hub',
        ]
    else:
        which = "nano" if info.base_kind == "nano" else info.base or info.base_name
        loading = [
            "import voiceclone",
            "",
            f"pipeline = voiceclone.load_base({_python(which)}).pipeline({_python(info.language)})",
        ]
    code = [
        "import soundfile",
        *loading,
        f'for number, result in enumerate(pipeline("How good it is to hear you.", voice={voice})):',
        '    soundfile.write(f"{number}.wav", result.audio.numpy(), 24000)',
    ]
    text = "\n".join(code)
    fence = "`" * max(3, 1 + max((len(ticks) for ticks in re.findall("`+", text)), default=0))
    return f"{fence}python\n{text}\n{fence}"


def _facts(info: CardInfo) -> list[tuple[str, str | float]]:
    rows: list[tuple[str, str | float]] = [
        ("base", info.base_name if info.is_stock else f"{info.base_name} (not stock Kokoro-82M)"),
        ("weights of the base", info.base_weights),
        ("licence of the base", info.base_licence),
        ("sha256 of the base", info.base_sha256),
        ("language", _language(info.language)),
        ("source", _source(info)),
        ("licence of the voice", info.licence or NOT_STATED),
        ("dataset fingerprint", info.dataset_fingerprint),
        ("seed", info.seed),
        *info.extra.items(),
    ]
    return [(name, value) for name, value in rows if value != ""]


def _language(code: str) -> str:
    return f"{_LANGUAGES[code][1]} (code {code})" if code in _LANGUAGES else code


def _metrics(info: CardInfo) -> str:
    names = list(dict.fromkeys([*info.metrics_before, *info.metrics_after]))
    rows = [(name, info.metrics_before.get(name, ""), info.metrics_after.get(name, "")) for name in names]
    explanation = 'Measured on held-out clips. "Before" is the voice that the training started from.'
    return explanation + "\n\n" + _table(("metric", "before", "after"), rows)


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "not finite"
    return _literal(str(value)).replace("|", "\\|")


def _literal(text: str) -> str:
    """One line of text, escaped for Markdown and HTML."""
    line = " ".join(text.split())
    line = re.sub(r"[\\`*~\[\]]|^[#+-]|(?<![^\W_])_|_(?![^\W_])", lambda match: "\\" + match[0], line)
    return line.replace("<", "&lt;").replace(">", "&gt;")


def _python(text: str) -> str:
    """A Python string literal in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def _yaml(text: str) -> str:
    """A double-quoted YAML scalar: JSON strings are valid ones, once they are ASCII."""
    return json.dumps(text, ensure_ascii=True)
