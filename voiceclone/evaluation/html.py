"""The report as one HTML page: pictures and sound inside it, nothing fetched, one column that fits a phone."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from voiceclone.audio.io import SAMPLE_RATE
from voiceclone.evaluation.html_style import CSS
from voiceclone.evaluation.report_results import Evaluation, VoiceResult
from voiceclone.evaluation.voices import (
    BEST_BLEND,
    BEST_STOCK,
    CLONE,
    ORACLE,
    PLAIN_RECIPE,
    RECORDINGS,
    ZERO_SHOT,
    in_order,
)

if TYPE_CHECKING:
    from voiceclone.bases.base import Base

MEANINGS = {
    CLONE: "the voice under test",
    ZERO_SHOT: "the mean style of the clips, without any training",
    BEST_STOCK: "the stock voice nearest to the speaker",
    BEST_BLEND: "the mix of stock voices nearest to the speaker",
    PLAIN_RECIPE: "a voice made by another recipe",
    ORACLE: "made by the encoders the base was trained with: what the base could reach",
    RECORDINGS: "the speaker, each clip against the others: the ceiling",
}
COLUMNS = (  # key in ``VoiceResult.measures``, heading, format, scale
    ("f0_error_semitones", "F0 level, semitones off", "{:.1f}", 1),
    ("f0_spread_error_semitones", "F0 spread, semitones off", "{:.1f}", 1),
    ("rate_error_percent", "pace, % off", "{:.0f}", 1),
    ("mcd_db", "mel-cepstral distortion, dB", "{:.1f}", 1),
    ("phone_error_rate", "wrong phones, %", "{:.0f}", 100),
    ("word_error_rate", "wrong words, %", "{:.0f}", 100),
)
HOW_TO_READ = """
<p><b>similarity</b>: cosine between an utterance's speaker vector and the mean of the speaker's recordings, without the
recording of the same sentence; higher is better. Scales differ by encoder: compare within one. <b>xvector</b> is the
honest judge, no training ever uses it; a cloner may have been trained on <b>resemblyzer</b>.</p>
<p><b>F0 level and spread, pace, mel-cepstral distortion</b>: against the recording of the same validation sentence;
lower is better. Differences of half a semitone or 5 % of pace are hard to hear.</p>
<p><b>wrong phones</b>: by a small phone recogniser; lower is better. It errs on clear speech, too: hold it against the
recordings and the stock voices.</p>
<p>Brackets and black lines: 95 % intervals, by drawing the utterances again and again. From fewer than ten
utterances they are rather too narrow.</p>
"""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """PNG bytes by place; None where there is nothing to draw."""

    similarity: bytes | None = None
    mels: bytes | None = None
    f0: bytes | None = None
    norms: bytes | None = None


def draw(evaluation: Evaluation, base: Base, *, advance: Callable[[], None] = lambda: None) -> Pictures:
    """All four pictures of an evaluation; mels and F0 of the first sample. ``advance`` is called after each."""
    from voiceclone.evaluation import figures

    first = evaluation.samples[0] if evaluation.samples else None
    drawings = {
        "similarity": lambda: figures.similarity_bars(evaluation) if evaluation.encoders else None,
        "mels": lambda: figures.mel_panels(first) if first else None,
        "f0": lambda: figures.f0_contours(first) if first else None,
        "norms": lambda: figures.row_norms(evaluation.packs, list(base.stock_voices.values())),
    }
    drawn = {}
    for name, drawing in drawings.items():
        drawn[name] = drawing()
        advance()
    return Pictures(**drawn)


@dataclass(frozen=True, kw_only=True)
class PageInfo:
    """What the page says beside the figures."""

    title: str
    base: str
    doubts: Sequence[str] = ()
    """Why the figures may not mean what they seem to; shown at the top."""
    notes: Sequence[str] = ()
    """Shown at the end."""


def render_page(evaluation: Evaluation, pictures: Pictures, info: PageInfo) -> str:
    """The whole page; every text is escaped, and a policy in the head forbids all that is not in the file."""
    sections = [
        _verdict(evaluation),
        _doubts([*info.doubts, *evaluation.doubts]),
        _picture(pictures.similarity, "Mean similarity to the speaker by voice, with 95 % intervals"),
        _listening(evaluation),
        _section("All measures", _table(evaluation)),
        _section("Spectra", _picture(pictures.mels, "Log-mels of the recording, the clone and the best stock voice")),
        _section("Pitch", _picture(pictures.f0, "F0 of the recording, the clone and the best stock voice over time")),
        _section("By length of the sentence", _lengths(evaluation)),
        _section("Rows of the voices", _picture(pictures.norms, "Norms of both halves of the voices by row")),
        _section("Health", _health(evaluation)),
        _section("How to read this", HOW_TO_READ),
        _section("Left out, and notes", _list([*evaluation.left_out, *info.notes])),
    ]
    title = escape(info.title)
    policy = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}: evaluation</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{title}</h1>\n{_facts(evaluation, info)}\n"
        + "\n".join(filter(None, sections))
        + "\n</main>\n</body>\n</html>\n"
    )


def encode_audio(audio: np.ndarray) -> tuple[str, bytes]:
    """Audio ``(T,)`` at 24 kHz as a MIME type and a small file that every browser plays.

    MP3, since phones of some years do not play Opus in OGG; FLAC and then WAV where libsndfile cannot write it.
    """
    import soundfile

    audio = np.clip(np.asarray(audio, dtype=np.float32), -1.0, 1.0)
    known = soundfile.available_formats()
    for form, kind in (("MP3", "audio/mpeg"), ("FLAC", "audio/flac"), ("WAV", "audio/wav")):
        if form not in known:
            continue
        buffer = io.BytesIO()
        try:
            soundfile.write(buffer, audio, SAMPLE_RATE, format=form, subtype=None if form == "MP3" else "PCM_16")
        except (soundfile.SoundFileError, ValueError):  # built without the encoder
            continue
        return kind, buffer.getvalue()
    raise AssertionError("libsndfile always writes WAV")


def data_uri(kind: str, content: bytes) -> str:
    """``content`` as a URI that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _facts(evaluation: Evaluation, info: PageInfo) -> str:
    clips = f"{evaluation.validation_clips} validation clip{'s' if evaluation.validation_clips != 1 else ''}"
    return (
        f'<p class="facts">Base: {escape(info.base)}. {clips}; the speaker\'s mean from '
        f"{evaluation.reference_clips} recordings. Seed {evaluation.seed}. Synthetic speech, except the recordings.</p>"
    )


def _verdict(evaluation: Evaluation) -> str:
    if evaluation.verdict is None:
        return ""
    kind = evaluation.verdict.outcome.replace(" ", "-")
    return f'<p class="verdict {kind}">{escape(evaluation.verdict.line)}</p>'


def _doubts(doubts: Sequence[str]) -> str:
    return "".join(f'<p class="doubt">{escape(doubt)}</p>' for doubt in doubts)


def _table(evaluation: Evaluation) -> str:
    """One row a voice; on a phone, one block a voice."""
    shown = [column for column in COLUMNS if any(column[0] in v.measures for v in evaluation.voices.values())]
    heads = [
        "voice",
        *(f"similarity, {name}" for name in evaluation.encoders),
        *(heading for _, heading, _, _ in shown),
    ]
    rows = []
    for name, result in evaluation.voices.items():
        cells = [_cell(result, encoder) for encoder in evaluation.encoders]
        cells += [_measure(result, key, form, scale) for key, _, form, scale in shown]
        labelled = "".join(f'<td data-label="{escape(h)}">{c}</td>' for h, c in zip(heads[1:], cells, strict=True))
        kind = name if name in (CLONE, RECORDINGS) else "other"
        rows.append(f'<tr class="{kind}"><th scope="row">{_named(name, result)}</th>{labelled}</tr>')
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    return f'<table class="voices"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _named(name: str, result: VoiceResult) -> str:
    """A voice's name and what it is."""
    meaning = MEANINGS.get(name, "")
    if result.same_as is not None and result.same_as != name:
        meaning = f"{meaning}: {result.same_as}" if meaning else f"the stock voice {result.same_as}"
    return escape(name) + (f"<small>{escape(meaning)}</small>" if meaning else "")


def _cell(result: VoiceResult, encoder: str) -> str:
    interval = result.similarity.get(encoder)
    return "" if interval is None else _bracketed(interval.mean, interval.low, interval.high, "{:.2f}", 1)


def _measure(result: VoiceResult, key: str, form: str, scale: float) -> str:
    interval = result.measures.get(key)
    return "" if interval is None else _bracketed(interval.mean, interval.low, interval.high, form, scale)


def _bracketed(mean: float, low: float | None, high: float | None, form: str, scale: float) -> str:
    if low is None or high is None:
        return f"<span><b>{form.format(scale * mean)}</b></span>"
    ends = " to ".join(form.format(scale * end) for end in (low, high))
    return f"<span><b>{form.format(scale * mean)}</b> <small>[{ends}]</small></span>"


def _listening(evaluation: Evaluation) -> str:
    """Players: the recording first, then the voices in their order."""
    blocks = []
    for sample in evaluation.samples:
        players = [_player(name, sample.audio[name]) for name in _listening_order(sample.audio)]
        blocks.append(f'<blockquote>{escape(sample.text)}</blockquote><div class="players">{"".join(players)}</div>')
    return _section("Listen: validation sentences", "".join(blocks))


def _listening_order(audio: Mapping[str, np.ndarray]) -> list[str]:
    names = in_order(audio)
    return sorted(names, key=lambda name: name != RECORDINGS)


def _player(name: str, audio: np.ndarray) -> str:
    shown = "recording" if name == RECORDINGS else name
    uri = data_uri(*encode_audio(audio))
    return f'<label>{escape(shown)}<audio controls preload="metadata" src="{uri}"></audio></label>'


def _lengths(evaluation: Evaluation) -> str:
    """Similarity and wrong phones of the held-out sentences, a table for each measure."""
    names = [name for name, result in evaluation.voices.items() if result.by_length]
    if not names:
        return ""
    lengths = sorted({length for name in names for length in evaluation.voices[name].by_length})
    tables = []
    for measure in (*evaluation.encoders, "phone_error_rate"):
        is_rate = measure == "phone_error_rate"
        rows = []
        for name in names:
            values = [evaluation.voices[name].by_length.get(length, {}).get(measure) for length in lengths]
            cells = ["" if v is None else f"{100 * v:.0f}" if is_rate else f"{v:.2f}" for v in values]
            if any(cells):
                rows.append(f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{c}</td>" for c in cells)}</tr>')
        if rows:
            head = "".join(f'<th scope="col">{length}</th>' for length in lengths)
            title = "wrong phones, %" if is_rate else f"similarity, {measure}"
            tables.append(
                f'<table class="lengths"><caption>{escape(title)}; by phonemes in the sentence</caption>'
                f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
            )
    return "".join(tables)


def _health(evaluation: Evaluation) -> str:
    lines = []
    for name, result in evaluation.voices.items():
        if result.health is not None:
            said = "; ".join(result.health.reasons) or "within the range of real voices"
            lines.append(f"{name}: {said} (norm {result.health.norm:.2f}, spread {result.health.spread:.2f})")
    return _list(lines)


def _section(title: str, content: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{content}" if content else ""


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>" if lines else ""


def _picture(png: bytes | None, alt: str) -> str:
    return "" if png is None else f'<img src="{data_uri("image/png", png)}" alt="{escape(alt)}">'
