"""What the documents promise is there: flags with their defaults, links, commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import REPOSITORY

from voiceclone.cli.main import COMMANDS
from voiceclone.cloning.config import CloneConfig

README = (REPOSITORY / "README.md").read_text()
CLONE = (REPOSITORY / "docs" / "clone.md").read_text()
DOCUMENTS = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def test_every_setting_is_in_the_table_with_its_default() -> None:
    rows = dict(re.findall(r"^\| (`--[^|]*`) \| ([^|]*) \|", CLONE, re.M))
    listed = {flag: default for flags, default in rows.items() for flag in re.findall(r"--[a-z-]+", flags)}
    for name, default in CloneConfig(data="").as_dict().items():
        flag = "--" + name.replace("_", "-")
        assert flag in listed, flag
        if isinstance(default, str) and default and name != "data" or isinstance(default, int | float) and default:
            assert listed[flag].strip("` ") == str(default), flag


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", document.read_text())  # what looks like a link in code is none
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (document.parent / target).exists(), target


def test_commands_in_the_documents_exist() -> None:
    for document in DOCUMENTS:
        for command in re.findall(r"python -m voiceclone ([a-z-]+)", document.read_text()):
            assert command in COMMANDS, (document.name, command)


def test_make_targets_in_the_readme_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    contributing = (REPOSITORY / "CONTRIBUTING.md").read_text()
    for target in re.findall(r"^make (\w+)", README + contributing, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
    assert "make test" in (REPOSITORY / ".ci" / "run").read_text()
