"""The page: whole in itself, escaped, well formed, with pictures and sound that open."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
import torch

from voiceclone.evaluation import html
from voiceclone.evaluation.bootstrap import mean_interval
from voiceclone.evaluation.figures import f0_contours, mel_panels, row_norms, similarity_bars
from voiceclone.evaluation.html import PageInfo, Pictures, encode_audio, render_page
from voiceclone.evaluation.report_measuring import Scores
from voiceclone.evaluation.report_results import Evaluation, Sample, summed_up
from voiceclone.evaluation.report_text import as_text
from voiceclone.evaluation.report_verdict import reach_verdict
from voiceclone.voice.health import Health
from voiceclone.voice.pack import VoicePack

EVIL = "<script>alert('x')</script> & $1 \"quoted\""
VOID = {"meta", "img"}


def tone(hertz: float, seconds: float = 1.5) -> np.ndarray:
    time = np.arange(int(seconds * 24_000)) / 24_000
    wave = sum(np.sin(2 * np.pi * k * hertz * time) / k for k in range(1, 10))
    return (0.1 * wave * (1.2 + np.sin(2 * np.pi * 4 * time))).astype(np.float32)


def scores(similarity: float, *, recorded: bool = True) -> tuple[Scores, ...]:
    measured = {"f0_error_semitones": 1.5, "mcd_db": 5.0, "slower_percent": -4.0} if recorded else {}
    rows = [
        Scores(
            utterance=f"validation/{n}",
            phonemes=40,
            length=None,
            seconds=2.0,
            similarity={"xvector": similarity + 0.01 * n},
            phone_errors=4.0,
            phones=40.0,
            **measured,
        )
        for n in range(4)
    ]
    if recorded:
        rows.append(
            Scores(utterance="s", phonemes=60, length=60, seconds=4.0, similarity={"xvector": similarity}, phones=60.0,
                   phone_errors=6.0)
        )  # fmt: skip
    return tuple(rows)


@pytest.fixture(scope="module")
def evaluation():
    by_voice = {
        "clone": scores(0.8),
        "best_stock": scores(0.6),
        EVIL: scores(0.5),
        "recordings": scores(0.9, recorded=False),
    }
    packs = {name: VoicePack(0.2 * torch.randn(510, 1, 256), name) for name in by_voice if name != "recordings"}
    health = Health(healthy=False, reasons=(f"norm {EVIL}",), norm=9.0, spread=1.0)
    audio = {"clone": tone(120), "best_stock": tone(180), EVIL: tone(200), "recordings": tone(130)}
    return Evaluation(
        voices={
            name: summed_up(rows, ["xvector"], seed=0, health=None if name == "recordings" else health)
            for name, rows in by_voice.items()
        },
        verdict=reach_verdict(by_voice, ["xvector"], seed=0),
        encoders=("xvector",),
        doubts=(EVIL,),
        left_out=(EVIL,),
        validation_clips=4,
        reference_clips=8,
        seed=0,
        packs=packs,
        samples=(Sample(text=EVIL, audio=audio),),
    )


@pytest.fixture(scope="module")
def pictures(evaluation):
    sample = evaluation.samples[0]
    return Pictures(
        similarity=similarity_bars(evaluation),
        mels=mel_panels(sample),
        f0=f0_contours(sample),
        norms=row_norms(evaluation.packs, list(evaluation.packs.values())),
    )


@pytest.fixture(scope="module")
def page(evaluation, pictures):
    return render_page(evaluation, pictures, PageInfo(title=EVIL, base=EVIL, doubts=[EVIL], notes=[EVIL]))


class Outline(HTMLParser):
    """Tags with attributes; fails where they do not nest."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_nothing_is_fetched_and_nothing_runs(page):
    found = outline(page)
    names = {tag for tag, _ in found.tags}
    assert not names & {"script", "link", "iframe", "object", "form"}
    for tag, attributes in found.tags:
        for name in ("src", "href", "srcset", "poster", "action", "onclick", "onload", "style"):
            if name in attributes:
                assert name == "src" and attributes[name].startswith("data:"), (tag, name)
    policy = next(a["content"] for t, a in found.tags if t == "meta" and a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    assert "url(" not in page and "@import" not in page
    assert EVIL not in page
    assert "".join(found.text).count(EVIL) >= 6


def test_it_fits_a_phone(page):
    found = outline(page)
    viewport = next(a for t, a in found.tags if t == "meta" and a.get("name") == "viewport")
    assert viewport["content"].startswith("width=device-width")
    assert "@media (max-width" in page and "max-width: 40rem" in page


def test_verdict_comes_before_everything_else(page, evaluation):
    found = outline(page)
    text = " ".join("".join(found.text).split())
    assert evaluation.verdict.line in text
    assert text.index(evaluation.verdict.line) < text.index("Listen")
    assert 'class="verdict better"' in page


def test_pictures_and_sound_open(page):
    found = outline(page)
    images = [a for t, a in found.tags if t == "img"]
    assert len(images) == 4 and all(a["alt"] for a in images)
    from PIL import Image

    for image in images:
        kind, _, content = image["src"].partition(";base64,")
        assert kind == "data:image/png"
        picture = Image.open(io.BytesIO(base64.b64decode(content)))
        assert picture.width == pytest.approx(832, abs=2) and np.asarray(picture.convert("L")).std() > 5
    players = [a["src"] for t, a in found.tags if t == "audio"]
    assert len(players) == 4
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(players[0].partition(",")[2])))
    assert rate == 24_000 and len(sound) / rate == pytest.approx(1.5, abs=0.15)


def test_sound_is_small_and_its_fallbacks_are_whole(monkeypatch):
    audio = tone(150, 3.0)
    kind, content = encode_audio(audio)
    assert len(content) < len(audio)  # half of 16-bit samples, at most
    everything = soundfile.available_formats()
    monkeypatch.setattr(soundfile, "available_formats", lambda: {k: v for k, v in everything.items() if k != "MP3"})
    kind, content = encode_audio(2 * audio)
    assert kind == "audio/flac"
    back, _ = soundfile.read(io.BytesIO(content))
    assert np.abs(back - np.clip(2 * audio, -1, 1)).max() < 1e-3
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"WAV": ""})
    assert encode_audio(audio)[0] == "audio/wav"


def test_the_table_shows_what_was_measured(page):
    assert "similarity, xvector" in page and "wrong phones, %" in page and "wrong words" not in page
    assert re.search(r'data-label="pace, % off"><span><b>4</b>', page)


def test_without_verdict_samples_or_pictures_the_page_still_stands():
    rows = scores(0.7, recorded=False)
    bare = Evaluation(
        voices={"recordings": summed_up(rows, [], seed=0)},
        verdict=None,
        encoders=(),
        doubts=(),
        left_out=(),
        validation_clips=1,
        reference_clips=1,
        seed=0,
        packs={},
        samples=(),
    )
    text = render_page(bare, html.Pictures(), PageInfo(title="v", base="b"))
    assert "1 validation clip;" in text and not [t for t, _ in outline(text).tags if t in ("audio", "img")]


def test_the_text_begins_with_the_verdict(evaluation):
    lines = as_text(evaluation).splitlines()
    assert lines[0] == evaluation.verdict.line
    assert re.match(r"clone +0\.8\d \[", lines[2])
    assert f"left out: {EVIL}" in lines
    interval = mean_interval([0.8, 0.81, 0.82, 0.83, 0.8], seed=0)
    assert f"{interval.mean:.2f}" in lines[2]
