"""Synthesise a corpus with a base: many voices, many texts, and the voice vector of each utterance.

Style encoders and student models are trained on it. An utterance depends only on the seed and its number, so that a run
can be interrupted, continued, and distributed over processes.

Layout of the folder::

    000017.flac          audio, 24 kHz mono, 16 bit; missing in a corpus of prosody alone
    000017.safetensors   tokens, durations, f0, energy, vector, base; text, phonemes and voice as metadata
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from voiceclone.audio.features import FRAME_SAMPLES, SAMPLE_RATE
from voiceclone.files import write_bytes
from voiceclone.models.frozen_kokoro import STYLE_DIM, FrozenKokoro, PredictedProsody, SynthesizedUtterance
from voiceclone.voice.pack import ROWS, VOICE_DIM, VoicePack
from voiceclone.voice.profile import REFERENCE_ROW

ATTEMPTS = 200  # maximum number of texts drawn for one utterance to satisfy its length limits
ENERGY_KEPT = 0.9999  # fraction of the stock voices' variance that the random directions cover
PEAK = 0.99  # maximum amplitude (full scale 1.0); louder speech is scaled down, because FLAC would clip it


@dataclass(frozen=True, kw_only=True)
class TeacherConfig:
    """Distribution of the voices, and size of the corpus."""

    held_out: tuple[str, ...] = ()
    """Stock voices that are not used, so that they can be used for tests."""
    stock_share: float = 0.2
    """Fraction of the utterances with an unmodified stock voice."""
    mixed: int = 5
    """Maximum number of stock voices in a blend (minimum 2). Each half has its own blend."""
    moved_share: float = 0.6
    """Fraction of the blends that are shifted along the stock voices' principal directions."""
    moved: float = 0.8
    """Maximum size of the shift in standard deviations of the stock voices; uniform from 0."""
    scattered: float = 0.12
    """Standard deviation at most (uniform from 0) of a further move of the blends in every one of the 256 values.
    Cloning takes voices by about 0.1 a value out of the span of the stock voices."""
    other_row: float = 0.25
    """Fraction of the utterances with the row of another length than their own."""
    phonemes: tuple[int, int] = (20, 200)
    """Minimum and maximum length of the texts, in phonemes."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class TeacherVoice:
    """The voice drawn for one utterance."""

    rows: Tensor = field(repr=False)  # (510, 256)
    recipe: str  # human-readable description of how it was made

    @property
    def base(self) -> Tensor:
        """The vector ``(256,)`` at the reference row: the target of a style encoder."""
        return self.rows[REFERENCE_ROW]


class VoiceSampler:
    """Draws voices from the space spanned by the stock voices.

    Args:
        voices: stock voices by name.
        config: the distribution; ``held_out`` voices are not used.
    """

    def __init__(self, voices: Mapping[str, VoicePack], config: TeacherConfig) -> None:
        self.config = config
        self.names = [name for name in sorted(voices) if name not in config.held_out]
        if len(self.names) < 2:
            raise ValueError("two stock voices at least are needed to draw voices from")
        self.packs = torch.stack([voices[name].tensor[:, 0] for name in self.names])  # (V, 510, 256)
        self.directions = _principal_directions(self.packs[:, REFERENCE_ROW])  # (K, 256)

    def draw(self, rng: np.random.Generator) -> TeacherVoice:
        """Draw one voice: a stock voice, a blend for each half, or a shifted blend."""
        if rng.random() < self.config.stock_share:
            pick = int(rng.integers(len(self.names)))
            return TeacherVoice(rows=self.packs[pick], recipe=self.names[pick])
        halves, recipes = zip(self._blend(rng), self._blend(rng))
        rows, recipe = torch.cat([halves[0][:, :STYLE_DIM], halves[1][:, STYLE_DIM:]], dim=1), " | ".join(recipes)
        if rng.random() < self.config.moved_share:
            size, scatter = float(rng.uniform(0.0, self.config.moved)), float(rng.uniform(0.0, self.config.scattered))
            noise = torch.from_numpy(rng.standard_normal(len(self.directions))).float()
            further = torch.from_numpy(rng.standard_normal(VOICE_DIM)).float()
            rows = rows + size * noise @ self.directions + scatter * further
            recipe = f"{recipe} moved {size:.2f} scattered {scatter:.3f}"
        return TeacherVoice(rows=rows, recipe=recipe)

    def _blend(self, rng: np.random.Generator) -> tuple[Tensor, str]:
        picked = rng.choice(len(self.names), size=min(int(rng.integers(2, self.config.mixed + 1)), len(self.names)),
                            replace=False)  # fmt: skip
        weights = rng.dirichlet(np.ones(len(picked)))
        rows = torch.einsum("v,vrd->rd", torch.from_numpy(weights).float(), self.packs[torch.from_numpy(picked)])
        return rows, " + ".join(f"{weight:.2f}*{self.names[pick]}" for weight, pick in zip(weights, picked))


@dataclass(frozen=True, kw_only=True, eq=False)
class TeacherUtterance:
    """One utterance of the corpus. ``T`` tokens with BOS and EOS, ``F`` frames of 25 ms."""

    audio: np.ndarray = field(repr=False)  # (600 F,) float32; empty in a corpus of prosody alone
    tokens: Tensor = field(repr=False)  # (T,) int64
    durations: Tensor = field(repr=False)  # (T,) int64, frames
    f0: Tensor = field(repr=False)  # (2F,) Hz, the predictor's output
    energy: Tensor = field(repr=False)  # (2F,)
    vector: Tensor = field(repr=False)  # (256,): the row it was synthesised with
    base: Tensor = field(repr=False)  # (256,): the voice's reference row
    phonemes: str
    voice: str


def speak_teacher_utterance(
    number: int,
    kokoro: FrozenKokoro,
    sampler: VoiceSampler,
    texts: Sequence[str],
    folder: Path,
    *,
    with_audio: bool = True,
) -> float:
    """Synthesise and write utterance ``number``, unless it exists. Returns the seconds of new speech.

    Args:
        number: of the utterance.
        kokoro: the base.
        sampler: draws the voice.
        texts: phoneme strings to draw from.
        folder: of the corpus.
        with_audio: False predicts the prosody alone, which is many times faster.
    """
    audio_path, values_path = utterance_paths(folder, number)
    if values_path.exists() and (audio_path.exists() or not with_audio):
        return 0.0
    rng = np.random.default_rng([sampler.config.seed, number])
    voice = sampler.draw(rng)
    phonemes = _draw_text(texts, sampler.config.phonemes, rng)
    text = kokoro.text(phonemes)
    length = int(rng.integers(ROWS)) if rng.random() < sampler.config.other_row else min(len(phonemes), ROWS) - 1
    row = voice.rows[length]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        spoken = (kokoro.utter if with_audio else kokoro.predict)(text, row[None].to(kokoro.device))
    write_bytes(values_path, _values(spoken, text.input_ids[0], row, voice, phonemes))
    if isinstance(spoken, SynthesizedUtterance):
        write_bytes(audio_path, _flac(spoken.audio.cpu().numpy()))
    return int(spoken.durations.sum()) * FRAME_SAMPLES / SAMPLE_RATE


def read_utterance(folder: Path, number: int) -> TeacherUtterance:
    """Read an utterance written by :func:`speak_teacher_utterance`."""
    audio_path, values_path = utterance_paths(folder, number)
    audio = soundfile.read(audio_path, dtype="float32")[0] if audio_path.exists() else np.zeros(0, dtype=np.float32)
    with safe_open(values_path, framework="pt") as file:
        values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        facts = file.metadata()
    return TeacherUtterance(
        audio=audio,
        tokens=values["tokens"].long(),
        durations=values["durations"].long(),
        f0=values["f0"].float(),
        energy=values["energy"].float(),
        vector=values["vector"],
        base=values["base"],
        phonemes=facts["phonemes"],
        voice=facts["voice"],
    )


def utterance_numbers(folder: Path, *, with_audio: bool = True) -> list[int]:
    """Numbers of the finished utterances in a folder, ascending; those without audio too unless ``with_audio``."""
    found = folder.glob("*.safetensors")
    return sorted(int(path.stem) for path in found if not with_audio or path.with_suffix(".flac").exists())


def _principal_directions(vectors: Tensor) -> Tensor:
    """Principal components ``(K, 256)`` of stock vectors ``(V, 256)``, each scaled to one standard deviation."""
    centred = vectors - vectors.mean(dim=0)
    _, sizes, directions = torch.linalg.svd(centred, full_matrices=False)
    energy = sizes.square().cumsum(0) / sizes.square().sum()
    kept = int((energy < ENERGY_KEPT).sum()) + 1
    return (sizes[:kept, None] / max(len(vectors) - 1, 1) ** 0.5) * directions[:kept]


def _draw_text(texts: Sequence[str], limits: tuple[int, int], rng: np.random.Generator) -> str:
    """Draw a text within the length limits; if none is found, the first words of a longer one."""
    text = ""
    for _ in range(ATTEMPTS):
        text = texts[int(rng.integers(len(texts)))]
        if limits[0] <= len(text) <= limits[1]:
            return text
    return text[: limits[1]].rsplit(" ", 1)[0]


def _values(spoken: PredictedProsody, tokens: Tensor, row: Tensor, voice: TeacherVoice, phonemes: str) -> bytes:
    tensors = {
        "tokens": tokens.to(torch.int16),
        "durations": spoken.durations.to(torch.int16),
        "f0": spoken.f0.float(),  # rounded to half, it shifts the phases of the upper harmonics
        "energy": spoken.energy.half(),
        "vector": row,
        "base": voice.base,
    }
    assert len(row) == VOICE_DIM
    tensors = {name: value.cpu().contiguous().clone() for name, value in tensors.items()}
    return save(tensors, metadata={"phonemes": phonemes, "voice": voice.recipe})


def _flac(audio: np.ndarray) -> bytes:
    peak = float(np.abs(audio).max(initial=0.0))
    stream = io.BytesIO()
    soundfile.write(stream, audio * min(1.0, PEAK / max(peak, 1e-9)), SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return stream.getvalue()


def utterance_paths(folder: Path, number: int) -> tuple[Path, Path]:
    """Files of an utterance: the audio, and all else."""
    return folder / f"{number:06d}.flac", folder / f"{number:06d}.safetensors"
