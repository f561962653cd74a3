"""MP3 files with a variable bit rate and without a header that states their length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from voiceclone.audio import mp3_length
from voiceclone.audio.io import decode_audio, probe
from voiceclone.audio.mp3_length import _frame, unstated_length

DECODER_DELAY = 576  # samples after those that a decoder leaves out in any case; only the full header tells it that
TAG = b"ID3\x04\0\0" + bytes([0, 0, 1, 5]) + b"\xff\xfb" * 66 + b"\0"  # 133 bytes, which look like frames


def write_mp3(path: Path, rate: int, channels: int, *, pause_first: bool) -> np.ndarray:
    """Write 2 s of silence and 2 s of noise, or the reverse, at a variable bit rate; the decoded samples ``(T, C)``."""
    noise = 0.1 * np.random.default_rng(0).standard_normal((2 * rate, channels))
    audio = np.concatenate([np.zeros_like(noise), noise][:: 1 if pause_first else -1])
    soundfile.write(path, audio, rate, bitrate_mode="VARIABLE", compression_level=0.5)
    return soundfile.read(path, always_2d=True, dtype="float32")[0]


def strip_header(path: Path, *, tag: bytes = b"", end: bytes = b"") -> None:
    """Remove the frame that states the length."""
    content = path.read_bytes()
    first = _frame(content, 0)
    assert first is not None
    path.write_bytes(tag + content[first.size :] + end)


@pytest.mark.parametrize("pause_first", [True, False])
@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (24_000, 1), (22_050, 2), (44_100, 2)])
def test_the_whole_file_is_read_and_no_more(rate: int, channels: int, pause_first: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    wanted = write_mp3(path, rate, channels, pause_first=pause_first)
    assert unstated_length(path) is None and len(decode_audio(path)[0]) == len(wanted)
    strip_header(path, tag=TAG, end=b"TAG" + bytes(125))
    assert abs(soundfile.info(path).duration - 4.0) > 1.0, "libsndfile guesses"
    samples, _ = decode_audio(path)
    assert probe(path).frames == len(samples) and 0 <= len(samples) / rate - 4.0 < 0.2
    np.testing.assert_allclose(samples[DECODER_DELAY:][: len(wanted)], wanted, atol=1e-6)


def test_no_file_is_searched_for_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = []
    monkeypatch.setattr(mp3_length, "_frame", lambda content, at: looked_at.append(at))
    for name, content in (("a", b"\xff" * 4_000_000), ("b", b"\xff\xfb\x90" * 1_400_000)):
        (tmp_path / name).write_bytes(content)
        assert unstated_length(tmp_path / name) is None
        assert len(looked_at) < 400_000
        looked_at.clear()


def test_a_constant_bit_rate_needs_no_header(tmp_path: Path) -> None:
    path, audio = tmp_path / "a.mp3", 0.1 * np.random.default_rng(0).standard_normal(48_000)
    soundfile.write(path, audio, 24_000, bitrate_mode="CONSTANT", compression_level=0.5)
    strip_header(path)
    np.testing.assert_array_equal(decode_audio(path)[0], soundfile.read(path, always_2d=True, dtype="float32")[0])


def test_frames_are_found_behind_what_is_no_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    write_mp3(path, 24_000, 1, pause_first=True)
    strip_header(path)
    whole = unstated_length(path)
    content = path.read_bytes()
    assert whole is not None and (frame := _frame(content, 0)) is not None
    cut = 2 * frame.size  # the first frames are of silence, and equally long
    path.write_bytes(b"\xff" + content[:cut] + b"\xff\xf3\xff no frame \xff" + content[cut:] + content[:20])
    found = unstated_length(path)
    assert found is not None and found.samples == whole.samples
