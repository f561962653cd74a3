"""Speaker vector and prosody of each stock voice, measured once for a base, so that ranking them is a table lookup.

All voices speak the same sentences. The table holds each voice's speaker vector, F0, speaking rate and energy. It is
stored in the base's folder, in the package (Kokoro-82M), or in the cache, where ``voiceclone stock-table`` writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from voiceclone.audio.features import FRAME_SAMPLES, MIN_VOICED_HZ
from voiceclone.bases.base import Base
from voiceclone.errors import VoicecloneError
from voiceclone.files import write_bytes
from voiceclone.models.checkpoint import read_safetensors
from voiceclone.models.frozen_kokoro import FrozenKokoro, SynthesizedUtterance
from voiceclone.models.store import cache_root
from voiceclone.nets.resemblyzer import ResemblyzerEncoder
from voiceclone.projection.objective import Speaker
from voiceclone.projection.targets import Target
from voiceclone.voice.pack import VoicePack
from voiceclone.voice.space import KOKORO_SPACE

FILE = "stock_table.safetensors"
KOKORO_TABLE = Path(__file__).parent / "assets" / "kokoro_stock_table.safetensors"
PROSODY = ("log_f0", "f0_spread", "log_rate", "energy")
# Differences with equal weight in a ranking: 2 semitones of F0, 1 semitone of its spread, 10 % of the rate.
_UNITS = torch.tensor([0.115, 0.058, 0.1])
NEAREST = 4  # number of nearest voices by speaker vector, and as many by prosody, that become candidates
SENTENCES = (
    "The boat came slowly round the bend, and everybody on the bank began to wave.",
    "How much would you pay for a house with a garden and a view of the sea?",
    "She put the letters back into the drawer, and dropped the key into her pocket.",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class StockTable:
    """Measurements of V stock voices."""

    names: tuple[str, ...]
    speaker: Tensor = field(repr=False)  # (V, 256): unit vectors of the speaker encoder
    # (V, 4): mean and standard deviation of log F0, log of tokens per second, mean log energy
    prosody: Tensor = field(repr=False)

    def save(self, path: Path) -> None:
        """Write the table atomically, with speaker vectors as float16."""
        tensors = {"speaker": self.speaker.half().contiguous(), "prosody": self.prosody.float().contiguous()}
        write_bytes(path, save(tensors, metadata={"names": ",".join(self.names)}))

    @classmethod
    def load(cls, path: Path) -> StockTable:
        """Read a table.

        Raises:
            VoicecloneError: the file is damaged or not a table.
        """
        from safetensors import safe_open

        found = read_safetensors(path)
        with safe_open(str(path), framework="pt") as file:
            names = tuple((file.metadata() or {}).get("names", "").split(","))
        shapes = {name: tuple(value.shape) for name, value in found.items()}
        if shapes != {"speaker": (len(names), 256), "prosody": (len(names), len(PROSODY))}:
            raise VoicecloneError(f"{path} is not a table of stock voices: make it again with `voiceclone stock-table`")
        return cls(names=names, speaker=found["speaker"].float(), prosody=found["prosody"].float())

    def nearest(self, speaker: Tensor, prosody: Tensor, count: int = NEAREST) -> list[str]:
        """The ``count`` voices nearest to a speaker vector ``(256,)``, then those nearest in prosody ``(4,)``.

        Energy is ignored, because it depends on microphone and room.
        """
        likeness = self.speaker @ speaker
        distance = ((self.prosody - prosody)[:, :3] / _UNITS).square().sum(dim=1)
        order = [*likeness.argsort(descending=True)[:count].tolist(), *distance.argsort()[:count].tolist()]
        return [self.names[index] for index in dict.fromkeys(order)]


def find_table(base: Base) -> StockTable | None:
    """The table of a base; None where there is none of its voices.

    Raises:
        VoicecloneError: the file is damaged.
    """
    places = [] if base.folder is None else [base.folder / FILE]
    places += [KOKORO_TABLE] if base.voice_space == KOKORO_SPACE else []
    tables = (StockTable.load(place) for place in (*places, table_cache_path(base)) if place.is_file())
    return next((table for table in tables if set(table.names) <= set(base.stock_voices)), None)


def table_cache_path(base: Base) -> Path:
    """Path of the cached table for a base that has none in its folder."""
    return cache_root() / "stock_tables" / f"{base.sha256[:16]}.safetensors"


@torch.no_grad()
def measure_stock(
    kokoro: FrozenKokoro,
    stock: Mapping[str, VoicePack],
    encoder: ResemblyzerEncoder,
    phonemize: Callable[[str], str],
    *,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> StockTable:
    """Synthesise the sentences with every stock voice and measure them."""
    texts = [kokoro.text(phonemize(sentence)) for sentence in SENTENCES]
    vectors, prosodies = [], []
    for pack in stock.values():
        spoken = []
        for number, text in enumerate(texts):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed + number)
                spoken.append(kokoro.utter(text, pack.row(text.phoneme_count).to(kokoro.device)))
        found = torch.stack([torch.from_numpy(encoder.embed(one.audio.cpu().numpy())) for one in spoken])
        vectors.append(torch.nn.functional.normalize(found.mean(dim=0), dim=0))
        prosodies.append(torch.stack([_prosody_of(one) for one in spoken]).mean(dim=0))
        advance()
    return StockTable(names=tuple(stock), speaker=torch.stack(vectors), prosody=torch.stack(prosodies))


def shortlist(
    stock: Mapping[str, VoicePack], table: StockTable | None, targets: Sequence[Target], speaker: Speaker | None
) -> Mapping[str, VoicePack]:
    """Candidates for the initialization: the nearest stock voices; all of them without a table or speaker encoder."""
    if table is None or speaker is None:
        return stock
    prosody = torch.stack([_prosody_of_target(target) for target in targets]).mean(dim=0)
    return {name: stock[name] for name in table.nearest(speaker.vector.cpu(), prosody)}


def _prosody_of(spoken: SynthesizedUtterance) -> Tensor:
    """The measurements :data:`PROSODY` of speech by the base. The rate leaves out BOS and EOS (silence)."""
    voiced = spoken.f0[spoken.f0 > MIN_VOICED_HZ].log()
    frames = int(spoken.durations[1:-1].sum())
    rate = (len(spoken.durations) - 2) / max(frames, 1) / (FRAME_SAMPLES / 24_000)
    return _measures(voiced, rate, spoken.energy)


def _prosody_of_target(target: Target) -> Tensor:
    """The same for a recording whose leading and trailing silence was trimmed."""
    voiced = target.f0[target.f0 > MIN_VOICED_HZ].log()
    return _measures(voiced, (target.text.tokens - 2) / (target.frames * FRAME_SAMPLES / 24_000), target.energy)


def _measures(voiced: Tensor, rate: float, energy: Tensor) -> Tensor:
    if len(voiced) < 2:
        voiced = torch.tensor([5.0, 5.0])
    values = [float(voiced.mean()), float(voiced.std()), float(torch.tensor(rate).log()), float(energy.mean())]
    return torch.tensor(values)
