"""HTML by jinja2 with automatic escaping, and a Content-Security-Policy that allows the page's own content only.

Templates, styles and the script of the A/B switch are in ``assets``.
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
    """Render a template of ``assets``. The values are escaped."""
    return _environment().get_template(template).render(**values)


def render_document(template: str, *, sounds: str, **values: Any) -> str:
    """Render a whole page with inline styles and script, and the policy that allows only these.

    Args:
        template: file name in ``assets``.
        sounds: the policy's source for audio: ``data:`` for a page that is a single file.
        values: variables of the template.
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
    """``content`` as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def encode_audio(audio: np.ndarray) -> tuple[str, bytes]:
    """Encode audio ``(T,)`` at 24 kHz in a compact format for browsers; returns its MIME type and bytes.

    MP3, because older phones do not play Opus in OGG. FLAC or else WAV where libsndfile was built without MP3.
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
    """The policy's source expression for an inline element with exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _literal(text: str) -> Any:
    """Mark the page's own style or script as safe, so that it is not escaped."""
    from markupsafe import Markup

    return Markup(text)
