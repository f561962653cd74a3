"""The page is self-contained, escaped and well formed, with valid images and audio."""

import base64
import hashlib
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
import torch

from voiceclone.evaluation import html
from voiceclone.evaluation.bootstrap import mean_interval
from voiceclone.evaluation.figures import f0_contours, mel_panels, norm_curves, similarity_bars
from voiceclone.evaluation.html import PageInfo, Pictures, render_page
from voiceclone.evaluation.pages import encode_audio
from voiceclone.evaluation.report_measuring import Scores
from voiceclone.evaluation.report_results import Evaluation, Sample, summed_up
from voiceclone.evaluation.report_text import evaluation_text
from voiceclone.evaluation.report_verdict import reach_verdict
from voiceclone.evaluation.report_words import findings_of
from voiceclone.voice.health import Health
from voiceclone.voice.pack import VoicePack

EVIL = "<script>alert('x')</script> & $1 \"quoted\""
VOID = {"meta", "img"}
FACTS = {"date": "2026-01-01 00:00 UTC", "version": "voiceclone 1", "dataset": EVIL, "consent": "the speaker agreed"}


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
        "stranger": scores(0.2),
        "recordings": scores(0.9, recorded=False),
    }
    packs = {name: VoicePack(0.2 * torch.randn(510, 1, 256), name) for name in by_voice if name != "recordings"}
    health = Health(healthy=False, reasons=(f"norm {EVIL}",), norm=9.0, spread=1.0)
    audio = {"clone": tone(120), "best_stock": tone(180), EVIL: tone(200), "recordings": tone(130)}
    voices = {
        name: summed_up(
            rows, ["xvector"], seed=0, health=None if name == "recordings" else health,
            same_as="af_heart" if name == "best_stock" else None,
        )
        for name, rows in by_voice.items()
    }  # fmt: skip
    verdict = reach_verdict(by_voice, ["xvector"], seed=0)
    return Evaluation(
        voices=voices,
        verdict=verdict,
        encoders=("xvector",),
        doubts=(EVIL,),
        left_out=(EVIL, "naturalness: the judge is away"),
        validation_clips=4,
        reference_clips=8,
        seed=0,
        packs=packs,
        samples=(Sample(text=EVIL, audio=audio),),
        sentences=(Sample(text="A longer one.", audio={"clone": tone(110), "best_stock": tone(180)}),),
        findings=findings_of(voices, verdict, ("xvector",), "words"),
    )


@pytest.fixture(scope="module")
def pictures(evaluation):
    sample = evaluation.samples[0]
    return Pictures(
        similarity=similarity_bars(evaluation),
        mels=mel_panels(sample),
        f0=f0_contours(sample),
        norms=norm_curves(evaluation.packs, list(evaluation.packs.values())),
    )


@pytest.fixture(scope="module")
def page(evaluation, pictures):
    return render_page(evaluation, pictures, PageInfo(title=EVIL, base=EVIL, facts=FACTS, doubts=[EVIL], notes=[EVIL]))


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


def test_nothing_is_fetched_and_only_our_own_script_runs(page):
    found = outline(page)
    names = [tag for tag, _ in found.tags]
    assert not {*names} & {"link", "iframe", "object", "form"}
    assert names.count("script") == names.count("style") == 1
    for tag, attributes in found.tags:
        assert not [name for name in attributes if name in {"style", "href", "srcset", "poster"} or name[:2] == "on"]
        assert attributes.get("src", "data:").startswith("data:"), tag
    assert "url(" not in page and "@import" not in page
    assert EVIL not in page
    assert "".join(found.text).count(EVIL) >= 6


def test_the_policy_allows_what_stands_in_the_page_and_nothing_else(page):
    policy = next(a["content"] for t, a in outline(page).tags if t == "meta" and a.get("http-equiv"))
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    for tag, kind in (("script", "script-src"), ("style", "style-src")):
        content = re.search(rf"<{tag}>(.*)</{tag}>", page, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy


def test_the_page_fits_a_narrow_screen(page):
    found = outline(page)
    viewport = next(a for t, a in found.tags if t == "meta" and a.get("name") == "viewport")
    assert viewport["content"].startswith("width=device-width")
    assert "@media (max-width" in page and "max-width: 40rem" in page


def test_the_verdict_in_words_comes_first_then_bars_sounds_and_the_tables(page, evaluation):
    text = " ".join("".join(outline(page).text).split())
    places = [
        text.index(part)
        for part in (
            "Much nearer to you than the stock voice af_heart: 9/10 of the way",
            "best stock voice, af_heart: 6 of 10",
            "Listen",
            "the speaker agreed",
            "For experts",
            evaluation.verdict.line,
            "likeness by xvector (cosine)",
        )
    ]
    assert places == sorted(places)
    assert 'class="verdict better"' in page
    assert "not measured: the judge is away" in text


def test_the_page_shows_no_file_names(page, evaluation):
    """`best_stock` is a key for files only."""
    for text in (" ".join(outline(page).text), evaluation_text(evaluation)):
        assert not re.search(r"best_stock|best_blend|zero_shot", text)


def test_recording_clone_and_stock_voice_stand_together_to_be_switched(page):
    first = page[page.index('class="listen"') :]
    titles = re.findall(r"<figcaption>([^<]*)</figcaption><audio", first)
    assert titles[:5] == ["recording", "clone", "best stock voice (af_heart)", "clone", "best stock voice (af_heart)"]


def test_pictures_and_sound_open(page):
    found = outline(page)
    images = [a for t, a in found.tags if t == "img"]
    assert len(images) == 4 and all(a["alt"] and a["alt"] in found.text for a in images)
    from PIL import Image

    for image in images:
        kind, _, content = image["src"].partition(";base64,")
        assert kind == "data:image/png"
        picture = Image.open(io.BytesIO(base64.b64decode(content)))
        assert picture.width == pytest.approx(832, abs=2) and np.asarray(picture.convert("L")).std() > 5
    players = [a["src"] for t, a in found.tags if t == "audio"]
    assert len(players) == 3 + 2 + 2  # the switch, the long sentence, the voices that the switch does not have
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
    assert "likeness by xvector (cosine)" in page and "phone errors, %" in page and "word errors, %" not in page
    assert re.search(r'data-label="speaking rate, % off"><span><b>4</b>', page)


def test_the_page_works_without_verdict_samples_or_pictures():
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
    text = render_page(bare, html.Pictures(), PageInfo(title="v", base="b", facts={}))
    assert "1 validation clip, which" in text and not [t for t, _ in outline(text).tags if t in ("audio", "img")]


def test_the_text_begins_with_the_verdict_in_words(evaluation):
    lines = evaluation_text(evaluation).splitlines()
    assert lines[0] == " ".join(evaluation.in_words) and lines[1] == evaluation.verdict.line
    assert re.match(r"clone +0\.8\d \[", lines[3])
    assert f"left out: {EVIL}" in lines
    interval = mean_interval([0.8, 0.81, 0.82, 0.83, 0.8], seed=0)
    assert f"{interval.mean:.2f}" in lines[3]
