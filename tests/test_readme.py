"""Tests of the documents: flags with their defaults, links, the index of pages, commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import DOCUMENTS
from support import REPOSITORY

from voiceclone.cli.main import COMMANDS
from voiceclone.cloning.config import CloneConfig

README = (REPOSITORY / "README.md").read_text()
CLONE = (REPOSITORY / "docs" / "clone.md").read_text()


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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_links_to_sections_lead_to_a_heading(document: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", document.read_text())
    for target, section in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", text):
        page = document.parent / target if target else document
        headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
        assert section in {_anchor(heading) for heading in headings}, (document.name, target, section)


def _anchor(heading: str) -> str:
    """As GitHub makes it: lower case, spaces to dashes, punctuation dropped."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_page_is_in_the_index() -> None:
    index = (REPOSITORY / "docs" / "README.md").read_text()
    pages = {path.name for path in (REPOSITORY / "docs").glob("*.md")} - {"README.md"}
    assert not {page for page in pages if f"]({page})" not in index}


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
