import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

# The symbols of Kokoro-82M's vocabulary.
VOCAB = frozenset(
    ' ;:,.!?—…"()“”\u0303ʣʥʦʨᵝꭧAIOQSTWYᵊabcdefhijklmnopqrstuvwxyzɑɐɒæβɔɕçɖðʤəɚɛɜɟɡɥɨɪʝɯɰŋɳɲɴøɸθœɹɾɻʁɽʂʃʈʧʊʋʌɣɤχʎʒʔ'
    "ˈˌːʰʲ↓→↗↘ᵻ"
)
TEXTS = (
    "The boat went out to sea.",
    "She sings in the garden.",
    "We ate bread and butter.",
    "The clock struck nine.",
    "He closed the heavy door.",
    "A letter came in the morning.",
)


def speech_like(seconds: float = 2.0, rate: int = 24_000, seed: int = 0, peak: float = 0.3) -> np.ndarray:
    """Noise in syllables: passes every check of the audio."""
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(len(time)) * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * time))
    return (peak * noise / np.abs(noise).max()).astype(np.float32)


class Builder:
    """Writes dataset folders."""

    speech_like = staticmethod(speech_like)
    texts = TEXTS

    def __init__(self, root: Path) -> None:
        self.root = root

    def clip(self, name: str, audio: np.ndarray | None = None, *, seed: int = 0, rate: int = 24_000) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, speech_like(seed=seed) if audio is None else audio, rate, subtype="FLOAT")

    def lines(self, folder: str, rows: list[dict]) -> None:
        path = self.root / folder / "metadata.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def split(self, folder: str, count: int, *, seed: int = 0) -> None:
        rows = []
        for index in range(count):
            name = f"{index:03d}.wav"
            self.clip(str(Path(folder) / name), seed=seed + index)
            rows.append({"file_name": name, "text": TEXTS[index % len(TEXTS)]})
        self.lines(folder, rows)


@pytest.fixture
def builder(tmp_path):
    return Builder(tmp_path / "ds")


@pytest.fixture(scope="session")
def vocab():
    return VOCAB
