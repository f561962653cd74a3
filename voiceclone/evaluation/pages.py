"""HTML by jinja2 with everything escaped, and a policy that lets a page run and load nothing but what it was made with.

The templates, styles and the script of the A/B switch lie in ``assets``.
"""

from __future__ import annotations

import base64
import hashlib
import io
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from voiceclone.audio.io import SAMPLE_RATE

if TYPE_CHECKING:
    from jinja2 import Environment

STYLES = ("gauge.css", "page.css")
SCRIPT = "listen.js"


def render_html(template: str, **values: Any) -> str:
    """A template of ``assets`` with values, which are escaped."""
    return _environment().get_template(template).render(**values)


def render_document(template: str, *, sounds: str, **values: Any) -> str:
    """A whole page, with its styles and script inside it, and the policy that allows these alone.

    Args:
        sounds: where sound may come from, as the policy names it: ``data:`` for a page that is a single file.
    """
    style, script = "".join(map(asset, STYLES)), asset(SCRIPT)
    policy = (
        f"default-src 'none'; img-src data:; media-src {sounds}; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return render_html(template, policy=policy, style=_literal(style), script=_literal(script), **values)


@cache
def asset(name: str) -> str:
    """A file of ``assets`` as text."""
    from importlib.resources import files

    return (files("voiceclone.evaluation") / "assets" / name).read_text(encoding="utf-8")


def data_uri(kind: str, content: bytes) -> str:
    """``content`` as a URI that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


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


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("voiceclone.evaluation", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _hash(text: str) -> str:
    """The source expression that allows an inline element of exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _literal(text: str) -> Any:
    """Our own style or script, which must not be escaped."""
    from markupsafe import Markup

    return Markup(text)
