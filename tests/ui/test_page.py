"""The page in a real browser: drop clips, watch the training, hear target and clone, mix, download."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support import REPOSITORY, write_base, write_dataset

from voiceclone import VoicePack
from voiceclone.bases.base import load_stock_voices

pytestmark = pytest.mark.slow
WAIT_SECONDS = 240.0


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The page of a server process on a tiny base, and its output folder."""
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("gradio is not installed: pip install '.[ui]'")
    place = tmp_path_factory.mktemp("ui")
    base = write_base(place / "base", voices=6)
    command = [sys.executable, "-m", "voiceclone", "ui", "--base", str(base), "--out", str(place / "out"), "--offline"]
    server = subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)
    try:
        line = next(line for line in server.stderr if "page:" in line or "error:" in line)
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line
        yield found[0], place / "out"
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None or importlib.util.find_spec("selenium") is None:
        pytest.skip("needs chromium, chromedriver and selenium: apt install chromium-driver; pip install selenium")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--window-size=1400,1500",
    ):
        options.add_argument(flag)
    window = webdriver.Chrome(options=options, service=Service(driver))
    yield window
    window.quit()


def until(condition: Callable[[], Any], what: str) -> Any:
    """What ``condition`` gives once it is true; elements that the page redraws meanwhile count as not there."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except Exception as error:
            if type(error).__name__ not in ("StaleElementReferenceException", "TimeoutException"):
                raise
        time.sleep(0.3)
    Page.last.shot("failed")
    pytest.fail(f"not seen within {WAIT_SECONDS:g} s: {what}")


class Page:
    """What a person sees and does; parts of the page are found by the ids that it gives them."""

    last: Page

    def __init__(self, window: Any) -> None:
        self.window = window
        Page.last = self

    def one(self, css: str) -> Any:
        """The first element of a selector, None where there is none."""
        return next(iter(self.window.find_elements("css selector", css)), None)

    def value(self, part: str) -> str:
        """What the field of a part holds."""
        field = self.one(f"#{part} textarea, #{part} input")
        return "" if field is None else field.get_attribute("value")

    def text(self, part: str) -> str:
        """The text of a part in one line (names of files are broken before their suffix); empty where not shown."""
        element = self.one(f"#{part}")
        return "" if element is None else element.text.replace("\n", "")

    def plays(self, part: str) -> bool:
        """Whether a player has something to play: it then shows how long."""
        return re.search(r"0:(0[1-9]|[1-9])", self.text(part)) is not None

    def press(self, part: str) -> None:
        until(lambda: self.one(f"#{part}") is not None and self.one(f"#{part}").is_enabled(), part)
        self.window.execute_script("arguments[0].click()", self.one(f"#{part}"))

    def fill(self, part: str, value: str) -> None:
        field = until(lambda: self.one(f"#{part} textarea, #{part} input"), part)
        field.clear()
        field.send_keys(value, "\t")

    def tab(self, name: str) -> None:
        tabs = until(lambda: self.window.find_elements("css selector", "button[role=tab]"), "tabs")
        next(tab for tab in tabs if tab.text == name).click()

    def shot(self, name: str) -> None:
        """A picture for people, where ``VOICECLONE_SCREENSHOTS`` names a folder."""
        if folder := os.environ.get("VOICECLONE_SCREENSHOTS"):
            self.window.save_screenshot(str(Path(folder) / f"{name}.png"))


def test_clone_listen_mix(address: tuple[str, Path], browser: Any, tmp_path: Path) -> None:
    url, out = address
    clips = write_dataset(tmp_path / "ds", clips=5) / "train"
    for line in (clips / "metadata.jsonl").read_text().splitlines():
        name, text = re.findall(r'": "([^"]+)"', line)
        (clips / name).with_suffix(".txt").write_text(text)
    page = Page(browser)
    browser.get(url)
    _clone(page, clips, out)
    _listen(page)
    _mix(page, out, out.parent / "base")


def _clone(page: Page, clips: Path, out: Path) -> None:
    drop = until(lambda: page.one("#clips input[type=file]"), "the drop zone")
    drop.send_keys("\n".join(str(path) for path in sorted(clips.iterdir()) if path.suffix in (".wav", ".txt")))
    until(lambda: "hello there my friend" in page.text("transcripts"), "transcripts in the table")
    page.fill("name", "../evil")
    page.press("start")
    until(lambda: "--name '../evil'" in page.window.page_source, "the error as one line")
    page.shot("error")
    page.fill("name", "anna")
    page.fill("epochs", "3")
    page.press("start")
    until(lambda: page.value("status").startswith("Training"), "a running training")
    until(lambda: page.value("status").startswith(("Done", "Failed")), "the end")
    assert page.value("status").startswith("Done"), page.value("status")
    until(lambda: "anna.pt" in page.text("voice"), "the finished voice")
    until(lambda: page.one("#mel img") and page.one("#loss img"), "mel and loss")
    until(lambda: page.plays("target") and page.plays("clone"), "both to hear")
    page.shot("done")
    assert page.one("#voice a[download]") is not None
    report = json.loads((out / "anna" / "report.json").read_text())
    assert report["epochs"] == 3 and VoicePack.load(out / "anna" / "anna.pt").tensor.shape == (510, 1, 256)


def _listen(page: Page) -> None:
    page.tab("Listen")
    until(lambda: page.value("listen-voice").endswith("anna.pt"), "the new voice in the list")
    page.press("listen-speak")
    until(lambda: page.plays("listen-spoken"), "speech")
    until(lambda: page.plays("listen-target"), "a clip to compare with")
    page.press("listen-same")
    until(lambda: page.plays("listen-clone"), "the voice saying the same")
    page.shot("listen")


def _mix(page: Page, out: Path, base: Path) -> None:
    page.tab("Mix")
    until(lambda: page.value("mix-first") and page.value("mix-second"), "two voices")
    page.press("mix-speak")
    until(lambda: page.plays("mix-spoken"), "the mix to hear")
    page.fill("mix-name", "half")
    page.press("mix-save")
    until(lambda: "half.pt" in page.text("mix-file"), "the mix to download")
    page.shot("mix")
    stock = load_stock_voices(base)
    first, second = (
        stock[name].tensor if name in stock else VoicePack.load(name).tensor
        for name in (page.value("mix-first"), page.value("mix-second"))
    )
    mixed = VoicePack.load(out / "half" / "half.pt").tensor
    torch.testing.assert_close(mixed, 0.5 * first + 0.5 * second)  # both sliders stand in the middle
