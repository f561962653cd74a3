"""Code blocks of the documents and the command lines in them."""

from __future__ import annotations

import re
import shlex

from support import REPOSITORY

DOCUMENTS = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "datasets" / "README.md",
    REPOSITORY / "benchmarks" / "README.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
]
BLOCK = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<mark>run|walk) -->\n *)?```(?P<kind>bash|python)\n(?P<code>.*?)^ *```", re.M | re.S
)
SCRIPT = re.compile(r"^(?:OMP_NUM_THREADS=\d+ )?python ((?:benchmarks|scripts)/\w+\.py)")
CALL = re.compile(r"^(?:python -m voiceclone|python training_styletts2\.py|voiceclone) ")


def blocks(kind: str, *, mark: str | None = None) -> list[tuple[str, str]]:
    """(document, code) of every block of a kind; with ``mark`` only those after a comment ``<!-- MARK -->``."""
    found = []
    for document in DOCUMENTS:
        for match in BLOCK.finditer(document.read_text()):
            if match["kind"] == kind and (mark is None or match["mark"] == mark):
                code = "\n".join(line.removeprefix(match["indent"]) for line in match["code"].splitlines())
                found.append((document.name, code))
    return found


def lines(code: str) -> list[str]:
    """The lines of a shell block without comments; those that end in a backslash are joined with the next."""
    return [line for line in code.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]


def call(line: str) -> list[str] | None:
    """The arguments of a voiceclone command line, without a pipe or comment; None for other commands."""
    if not CALL.match(line):
        return None
    words = shlex.split(line, comments=True)
    words = words[: words.index("|")] if "|" in words else words
    if words[1] == "-m":
        return words[3:]
    return words[1:] if words[0] == "voiceclone" else ["clone", *words[2:]]


def scripts() -> list[tuple[str, str, list[str]]]:
    """(document, path, arguments) of every call of a benchmark or script in the shell blocks."""
    calls = [(document, line) for document, code in blocks("bash") for line in lines(code)]
    found = [(document, match[1], line[match.end() :]) for document, line in calls if (match := SCRIPT.match(line))]
    return [(document, path, shlex.split(rest, comments=True)) for document, path, rest in found]


def commands(*, mark: str | None = None) -> list[tuple[str, list[str]]]:
    """(document, arguments) of every voiceclone command line in the shell blocks."""
    calls = [(document, call(line)) for document, code in blocks("bash", mark=mark) for line in lines(code)]
    return [(document, arguments) for document, arguments in calls if arguments is not None]
