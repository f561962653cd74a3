"""The length of MP3 files that do not state it.

An MP3 begins with a frame that holds the number of frames (a Xing or Info header), unless a program left it out or cut
it off. libsndfile then guesses the length from the bit rate of the first frame. Where the rate varies, the guess is
wrong by any factor: too long where the file begins with a pause, and otherwise too short, and libsndfile reads no
further than its guess. Here the frames are counted by their headers, which takes part of a second for an hour, and
the missing header is put before the file as it is read.
"""

from __future__ import annotations

import io
import mmap
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_HEADER = 4  # bytes
_VERSION_1 = 3  # the code of MPEG 1; 2 is MPEG 2, 0 its extension to low rates, 1 is reserved
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # Hz
_KBITS_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # by bit-rate code, from 1
_KBITS_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MONO = 3  # code of the channel mode
_ROOMY = 8  # a bit-rate code whose frame holds a Xing header at any sample rate
_FRAMES_ARE_GIVEN = 1  # flag of a Xing header
_BEGINNING = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef]", re.DOTALL)  # of a frame of layer 3
_MOST_JUNK = 1 << 20  # bytes between frames that are searched in all, so that no file takes minutes


@dataclass(frozen=True)
class _Frame:
    """What the header of an MPEG audio frame of layer 3 says."""

    version: int
    rate: int
    """Hz."""
    mono: bool
    size: int
    """Bytes, with the header."""

    @property
    def samples(self) -> int:
        """Samples per channel."""
        return 1152 if self.version == _VERSION_1 else 576

    @property
    def side(self) -> int:
        """Bytes between the header and the place of ``Xing``."""
        mono, stereo = (17, 32) if self.version == _VERSION_1 else (9, 17)
        return mono if self.mono else stereo

    def is_like(self, other: _Frame | None) -> bool:
        """Whether both can be frames of one stream, in which bit rates and channel modes may vary."""
        return other is not None and (self.version, self.rate) == (other.version, other.rate)


@dataclass(frozen=True)
class UnstatedLength:
    """What an MP3 file without a Xing or Info header lacks."""

    samples: int
    """Samples per channel."""
    header: bytes
    """A frame that states the length."""
    start: int
    """Place of the first frame in the file, behind its tags; bytes."""


def unstated_length(path: Path) -> UnstatedLength | None:
    """The length of an MP3 file that does not state it; None where it does, or there are no frames of layer 3.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is empty.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = _next_frame(content, _after_tags(content), None)
        first = None if start is None else _frame(content, start)
        if start is None or first is None:
            return None
        place = start + _HEADER + first.side
        name = content[place : place + 6]  # behind a checksum it lies two bytes further on
        if b"Xing" in name or b"Info" in name:
            return None
        count = _count(content, start, first)
        header = _stating(content[start : start + _HEADER], first, count)
        return UnstatedLength(samples=count * first.samples, header=header, start=start)


class Prefixed(io.RawIOBase):
    """A file for reading, from byte ``start`` on, with other bytes before that."""

    def __init__(self, prefix: bytes, path: Path, start: int) -> None:
        super().__init__()
        self._prefix, self._file, self._start, self._at = prefix, path.open("rb"), start, 0

    def readable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position in bytes, and return it."""
        size = len(self._prefix) + os.fstat(self._file.fileno()).st_size - self._start
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: size}[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill ``buffer`` from the position on; returns the number of bytes, less than asked for at the end."""
        before = self._prefix[self._at : self._at + len(buffer)]
        self._file.seek(self._start + max(0, self._at - len(self._prefix)))
        found = before + self._file.read(len(buffer) - len(before))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _after_tags(content: mmap.mmap) -> int:
    """Where the sound begins, behind ID3v2 tags, which may hold pictures."""
    at = 0
    while content[at : at + 3] == b"ID3" and at + 10 <= len(content):
        size = content[at + 6 : at + 10]  # seven bits a byte
        at += 10 + sum(byte << shift for byte, shift in zip(size, (21, 14, 7, 0), strict=True))
    return at


def _frame(content: mmap.mmap | bytes, at: int) -> _Frame | None:
    """The frame whose header lies at ``at``; None where there is none."""
    return _parsed(content[at : at + _HEADER])


@lru_cache(maxsize=4096)  # the same headers come again and again
def _parsed(header: bytes) -> _Frame | None:
    if len(header) < _HEADER or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:  # the sync word, and layer 3
        return None
    version, bits, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version not in _RATES or not 1 <= bits <= len(_KBITS_1) or rate >= len(_RATES[version]):
        return None
    hertz = _RATES[version][rate]
    bytes_per_kbit, kbits = (144_000, _KBITS_1) if version == _VERSION_1 else (72_000, _KBITS_2)
    size = bytes_per_kbit * kbits[bits - 1] // hertz + (header[2] >> 1 & 1)
    return _Frame(version, hertz, header[3] >> 6 == _MONO, size)


def _next_frame(content: mmap.mmap, at: int, like: _Frame | None, most: int = _MOST_JUNK) -> int | None:
    """The first of ``most`` places from ``at`` on with a frame of the stream of ``like``, if that is given, or None.

    Another frame or the end has to follow, because the sync word also occurs elsewhere.
    """
    for found in _BEGINNING.finditer(content, at, at + most):
        at = found.start()
        frame = _frame(content, at)
        if frame is not None and (like is None or like.is_like(frame)):
            end = at + frame.size
            if end == len(content) or frame.is_like(_frame(content, end)):
                return at
    return None


def _count(content: mmap.mmap, start: int, first: _Frame) -> int:
    """The number of whole frames; what lies between them, and tags at the end, is passed over."""
    count, at, junk = 0, start, 0
    while at < len(content):
        frame = _frame(content, at)
        if frame is None or not first.is_like(frame):
            found = _next_frame(content, at, first, _MOST_JUNK - junk)
            if found is None:
                break
            junk, at = junk + found - at, found
            continue
        at += frame.size
        count += at <= len(content)
    return count


def _stating(header: bytes, first: _Frame, count: int) -> bytes:
    """A frame with a Xing header for ``count`` frames, in the form of the first of them, without a checksum."""
    plain = bytes([header[0], header[1] | 1, _ROOMY << 4 | header[2] & 0x0C, header[3]])
    frame = _frame(plain, 0)
    assert frame is not None
    numbers = _FRAMES_ARE_GIVEN.to_bytes(4, "big") + count.to_bytes(4, "big")
    return (plain + bytes(first.side) + b"Xing" + numbers).ljust(frame.size, b"\0")
