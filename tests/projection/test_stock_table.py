"""The table of stock voices: measured, stored, and used to reduce the candidates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from voiceclone.errors import VoicecloneError
from voiceclone.projection.objective import Speaker
from voiceclone.projection.stock_table import (
    FILE,
    NEAREST,
    StockTable,
    find_table,
    measure_stock,
    shortlist,
    table_cache_path,
)


class Ear:
    """Replaces the speaker encoder: the spectral shape in 256 bands."""

    def embed(self, audio: np.ndarray) -> np.ndarray:
        spectrum = np.abs(np.fft.rfft(audio))[: 256 * (len(audio) // 1024)]
        bands = spectrum.reshape(256, -1).mean(axis=1)
        return (bands / np.linalg.norm(bands)).astype(np.float32)


@pytest.fixture(scope="module")
def table(base, kokoro) -> StockTable:
    return measure_stock(kokoro, base.stock_voices, Ear(), lambda text: "hɛlˈO ðɛɹ mI fɹˈɛnd")


def test_measures_are_those_of_the_voices(base, kokoro, table: StockTable) -> None:
    assert table.names == tuple(base.stock_voices) and table.prosody.shape == (4, 4)
    torch.testing.assert_close(table.speaker.norm(dim=1), torch.ones(4))
    assert torch.isfinite(table.prosody).all()
    again = measure_stock(kokoro, base.stock_voices, Ear(), lambda text: "hɛlˈO ðɛɹ mI fɹˈɛnd")
    assert torch.equal(again.prosody, table.prosody) and torch.equal(again.speaker, table.speaker)


def test_a_table_is_kept_with_its_names(table: StockTable, tmp_path: Path) -> None:
    table.save(tmp_path / FILE)
    back = StockTable.load(tmp_path / FILE)
    assert back.names == table.names and torch.equal(back.prosody, table.prosody)
    torch.testing.assert_close(back.speaker, table.speaker, atol=1e-3, rtol=0)


def test_an_invalid_table_is_one_line(tmp_path: Path) -> None:
    save_file({"speaker": torch.zeros(2, 256), "prosody": torch.zeros(3, 4)}, tmp_path / FILE, {"names": "a,b"})
    with pytest.raises(VoicecloneError, match="not a table of stock voices"):
        StockTable.load(tmp_path / FILE)


def test_the_base_folders_own_table_is_found_and_one_of_other_voices_is_not_used(base, table, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    here = replace(base, folder=tmp_path)
    assert find_table(here) is None
    table.save(tmp_path / FILE)
    assert find_table(here).names == table.names
    other = replace(here, stock_voices={"other": base.stock_voices["stock_0"]})
    assert find_table(other) is None
    StockTable(names=("other",), speaker=table.speaker[:1], prosody=table.prosody[:1]).save(table_cache_path(other))
    assert find_table(other).names == ("other",)


def made_up(count: int) -> StockTable:
    return StockTable(
        names=tuple(f"v{i}" for i in range(count)),
        speaker=torch.nn.functional.normalize(torch.eye(256)[:count] + 0.01, dim=1),
        prosody=torch.tensor([[5.0 + 0.1 * i, 0.2, 2.5, 0.0] for i in range(count)]),
    )


def test_the_nearest_by_speaker_come_first_and_then_by_prosody() -> None:
    wanted = torch.nn.functional.normalize(torch.eye(256)[7] + 0.5 * torch.eye(256)[3], dim=0)
    names = made_up(12).nearest(wanted, torch.tensor([5.0, 0.2, 2.5, 99.0]), count=2)
    assert names == ["v7", "v3", "v0", "v1"]


def test_a_search_looks_at_the_nearest_voices_alone(base, targets) -> None:
    voices = {f"v{i}": base.stock_voices["stock_0"] for i in range(20)}
    speaker = Speaker(encoder=torch.nn.Identity(), vector=torch.eye(256)[11])
    chosen = shortlist(voices, made_up(20), targets, speaker)
    assert "v11" in chosen and len(chosen) <= 2 * NEAREST
    assert shortlist(voices, None, targets, speaker) is voices
    assert shortlist(voices, made_up(20), targets, None) is voices
