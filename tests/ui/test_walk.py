"""The page in a real browser: from an empty folder to a downloaded voice that works with KPipeline."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import REPOSITORY

from voiceclone.data.demo import make_demo_dataset
from voiceclone.system.extras import is_installed
from voiceclone.ui.whisper import find_whisper

pytestmark = pytest.mark.slow
WAIT_MS = 600_000.0
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
EPOCHS = "2"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of the page on nano, and its output folder, which is empty at first."""
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("gradio is not installed: pip install '.[ui]'")
    out = tmp_path_factory.mktemp("walk") / "out"
    command = [
        sys.executable,
        "-m",
        "voiceclone",
        "ui",
        "--base",
        "nano",
        "--out",
        str(out),
        "--offline",
        "--port",
        "0",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)
    try:
        line = next(line for line in process.stderr if "page:" in line or "error:" in line)
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line
        yield found[0], out
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demo clips with their texts in ``.txt`` files, all in one folder."""
    made = make_demo_dataset(tmp_path_factory.mktemp("speech") / "demo", clips=7)
    folder = tmp_path_factory.mktemp("clips")
    for listing in made.glob("*/metadata.jsonl"):
        for row in map(json.loads, listing.read_text().splitlines()):
            shutil.copy(listing.parent / row["file_name"], folder)
            (folder / row["file_name"]).with_suffix(".txt").write_text(row["text"])
    return folder


@pytest.fixture(scope="module")
def chromium(speech: Path) -> Iterator[Any]:
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if binary is None or importlib.util.find_spec("playwright") is None:
        pytest.skip("needs chromium and playwright: apt install chromium; pip install playwright")
    from playwright.sync_api import sync_playwright

    microphone = min(speech.glob("*.wav"))
    flags = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=binary, args=[*flags, f"--use-file-for-fake-audio-capture={microphone}"]
        )
        yield browser
        browser.close()


class Visitor:
    """A browser window that records external requests and policy violations."""

    def __init__(self, browser: Any, url: str, size: str, *, dark: bool = False) -> None:
        width, height = SIZES[size]
        self.name = f"{size}{'-dark' if dark else ''}"
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            permissions=["microphone"],
        )
        self.context.set_default_timeout(WAIT_MS)
        self.page, self.url = self.context.new_page(), url
        self.elsewhere: list[str] = []
        self.refused: list[str] = []
        self.page.on("request", lambda request: self._note(request.url))
        self.page.on(
            "console", lambda message: "Content Security" in message.text and self.refused.append(message.text)
        )
        self.open()

    def _note(self, address: str) -> None:
        if not address.startswith((self.url, "data:", "blob:")):
            self.elsewhere.append(address)

    def open(self) -> None:
        """Load the page; what a step holds is there only while it is the visitor's own."""
        self.page.goto(self.url)
        self.page.wait_for_selector(".steps .now", state="attached")

    def press(self, part: str) -> None:
        self.page.locator(f"#{part}").click()

    def fill(self, part: str, value: str) -> None:
        self.page.locator(f"#{part} textarea, #{part} input").first.fill(value)

    def see(self, selector: str, text: str = "") -> None:
        found = self.page.locator(selector)
        (found.filter(has_text=text) if text else found).first.wait_for(state="visible")

    def plays(self, selector: str) -> None:
        """Wait until a player has loaded its audio."""
        self.page.wait_for_function(
            "s => { const a = document.querySelector(s); return a && a.duration > 0.2 }", arg=f"{selector} audio"
        )

    def fits(self) -> None:
        """Check that nothing is wider than the window."""
        assert self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0

    def shot(self, name: str) -> None:
        self.page.wait_for_timeout(600)
        self.fits()
        if folder := os.environ.get("VOICECLONE_SCREENSHOTS"):
            self.page.screenshot(path=str(Path(folder) / f"{name}-{self.name}.png"), full_page=True)


@pytest.mark.parametrize("size", SIZES)
def test_from_an_empty_folder_to_a_voice_that_kokoro_speaks_with(
    server: tuple[str, Path], chromium: Any, speech: Path, tmp_path: Path, size: str
) -> None:
    url, out = server
    visitor = Visitor(chromium, url, size)
    name = f"anna_{size}"
    _give(visitor, speech)
    _agree(visitor, name)
    _clone(visitor, name)
    _reload(visitor, name)
    voice = _take_away(visitor, name, tmp_path)
    report = json.loads((out / name / "report.json").read_text())
    assert "Anna Example" in report["consent"] and report["epochs"] == int(EPOCHS)
    _speaks(voice)
    _library(visitor, name, out)
    assert visitor.elsewhere == [] and visitor.refused == []
    visitor.context.close()


def _give(visitor: Visitor, speech: Path) -> None:
    page = visitor.page
    page.wait_for_selector("#sentence .reading", state="attached")
    assert page.locator("#to-texts").count() == 0 or not page.locator("#to-texts").is_visible()
    visitor.shot("1-empty")
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(3500)
    page.get_by_role("button", name="Stop", exact=True).click()
    visitor.see("#heard .note", "Sentence 1")
    visitor.see("#sentence", "Sentence 2 of 20")
    visitor.shot("1-read")
    page.get_by_role("tab", name="Clips").click()
    page.locator("#clips input[type=file]").set_input_files(sorted(map(str, speech.iterdir())))
    visitor.see("#summary", "8 clips")
    visitor.shot("1-clips")
    visitor.press("to-texts")
    visitor.see("#clip-0 figure", "Sentence 1")
    visitor.plays("#clip-1")
    assert page.locator("#text-1 textarea").input_value()
    visitor.shot("2-texts")
    visitor.press("remove-0")  # what the false microphone said was not the sentence
    visitor.see("#clip-0 figure", "clip_001.wav")


def _agree(visitor: Visitor, name: str) -> None:
    visitor.press("to-consent")
    visitor.see(".steps .now", "3 Consent")
    visitor.page.wait_for_timeout(1500)  # what was entered before comes into the fields
    visitor.fill("person", "Anna Example")
    visitor.fill("name", name)
    visitor.press("to-clone")
    visitor.see("body", "without consent no voice is cloned")
    visitor.page.locator("#agreed input").check()
    visitor.shot("3-consent")
    visitor.page.get_by_role("button", name="Back to step 2 Texts").click()
    visitor.see(".steps .now", "2 Texts")
    visitor.press("to-consent")
    visitor.see(".steps .now", "3 Consent")
    visitor.page.wait_for_timeout(1500)
    assert visitor.page.locator("#person input, #person textarea").first.input_value() == "Anna Example"
    visitor.press("to-clone")


def _clone(visitor: Visitor, name: str) -> None:
    page = visitor.page
    visitor.see("#before", name)
    page.get_by_role("button", name="Expert settings").click()
    visitor.fill("epochs", EPOCHS)
    visitor.shot("4-before")
    visitor.press("start")
    visitor.see("#progress progress")
    visitor.plays("#first-sound")
    visitor.shot("4-first")


def _reload(visitor: Visitor, name: str) -> None:
    """Reload as after closing the tab: the run continues and is shown again."""
    visitor.page.close()
    visitor.page = visitor.context.new_page()
    visitor.open()
    visitor.see("#progress", name)
    visitor.plays("#so-far")
    visitor.shot("4-so-far")
    visitor.see("#verdict", f"{name} is ready")
    visitor.plays("#clone-0")
    visitor.see("#verdict .verdict")
    visitor.see("#verdict .gauge svg")
    visitor.shot("5-result")


def _take_away(visitor: Visitor, name: str, folder: Path) -> Path:
    with visitor.page.expect_download() as download:
        visitor.page.locator("#download-pt").click()
    assert download.value.suggested_filename == f"{name}.pt"
    download.value.save_as(folder / f"{name}.pt")
    return folder / f"{name}.pt"


def _speaks(voice: Path) -> None:
    from kokoro import KPipeline

    from voiceclone.bases.base import load_base

    pipeline = load_base("nano", offline=True).pipeline("a")
    assert isinstance(pipeline, KPipeline)
    sound = [result.audio for result in pipeline("Hello, it is me.", voice=str(voice))]
    assert sum(len(audio) for audio in sound) > 12_000


def _library(visitor: Visitor, name: str, out: Path) -> None:
    page = visitor.page
    page.get_by_role("tab", name="Library").click()
    page.locator("#own label", has_text=name).click()
    visitor.see("#chosen-title", name)
    visitor.press("library-speak")
    visitor.plays("#library-sound")
    visitor.shot("6-library")
    page.get_by_role("button", name="Mix it with another voice").click()
    visitor.press("mix-speak")
    visitor.plays("#mix-sound")
    visitor.fill("mix-name", f"half_{name}")
    visitor.press("mix-keep")
    visitor.see("#own", f"half_{name}")
    assert (out / f"half_{name}" / f"half_{name}.pt").is_file()
    page.get_by_role("button", name="Rename or delete").click()
    visitor.fill("new-name", f"quarter_{name}")
    visitor.press("rename")
    visitor.see("#own", f"quarter_{name}")
    visitor.press("delete")
    visitor.see("body", "tick that you are sure")
    page.locator("#sure input").check()
    visitor.shot("6-delete")
    visitor.press("delete")
    page.locator("#own", has_text=f"quarter_{name}").wait_for(state="hidden")
    assert not (out / f"quarter_{name}").exists() and (out / name).is_dir()


def test_visitors_are_separated_and_the_dark_page_fits(server: tuple[str, Path], chromium: Any, speech: Path) -> None:
    url, _ = server
    first = Visitor(chromium, url, "phone", dark=True)
    first.page.get_by_role("tab", name="Clips").click()
    clips = sorted(speech.glob("*.wav"))[:3]
    with_texts = [*clips, *(clip.with_suffix(".txt") for clip in clips[:2])]
    first.page.locator("#clips input[type=file]").set_input_files(list(map(str, with_texts)))
    first.see("#summary", "3 clips")
    first.shot("1-clips")
    first.press("to-texts")
    first.plays("#clip-0")
    _missing_text(first)
    first.shot("2-texts")
    sound = first.page.locator("#clip-0 audio").get_attribute("src")
    second = Visitor(chromium, url, "desktop", dark=True)
    second.page.wait_for_timeout(1500)
    assert not second.page.locator("#summary").is_visible() and "clip_001" not in second.page.content()
    guessed = re.sub(r"\.drafts/[^/]+/", ".drafts/" + 24 * "A" + "/", sound)
    assert second.page.request.get(f"{url}/{sound}").ok and not second.page.request.get(f"{url}/{guessed}").ok
    elsewhere = second.page.request.get(f"{url}/gradio_api/file=http://127.0.0.1:1/secret")
    assert elsewhere.status == 403
    second.page.get_by_role("tab", name="Library").click()
    second.page.locator("#stock").wait_for(state="visible")
    second.shot("6-library")
    for visitor in (first, second):
        visitor.context.close()


def _missing_text(visitor: Visitor) -> None:
    """The third clip has no text: Whisper writes it where it can, else the page says how to get Whisper."""
    box = visitor.page.locator("#text-2 textarea")
    assert box.input_value() == ""
    visitor.see("#whisper", "Whisper")
    if find_whisper("a", offline=True).model is None:
        visitor.see("#whisper", "pip install" if not is_installed("transcribe") else "none of its models")
        assert not visitor.page.locator("#fill").is_visible()
        return
    visitor.press("fill")
    visitor.page.wait_for_function("document.querySelector('#text-2 textarea').value.split(' ').length > 2")
    visitor.page.locator("#whisper").wait_for(state="hidden")
