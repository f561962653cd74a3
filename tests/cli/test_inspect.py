"""``inspect``: its output, the voices it compares with, and the figure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from support import needs_shared

from voiceclone import VoicePack
from voiceclone.bases.base import load_stock_voices
from voiceclone.cli.main import main
from voiceclone.plotting.voice_plot import voice_figure
from voiceclone.voice.comparison import HALVES, neighbours, norm_bands, row_norms, voice_map
from voiceclone.voice.pack import SHAPE
from voiceclone.voice.profile import REFERENCE_ROW


def pack(seed: int, name: str = "v") -> VoicePack:
    return VoicePack(0.2 * torch.randn(1, 1, 256, generator=torch.Generator().manual_seed(seed)).expand(SHAPE), name)


STOCK = {f"s{index}": pack(index, f"s{index}") for index in range(8)}


@pytest.fixture
def voice(tmp_path: Path, base_folder: Path) -> Path:
    load_stock_voices(base_folder)["stock_1"].save(tmp_path / "v.pt")
    return tmp_path / "v.pt"


def inspect_json(capsys, *arguments: str) -> dict:
    assert main(["inspect", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_text_has_shape_neighbours_and_verdict(voice: Path, base_folder: Path, capsys) -> None:
    assert main(["inspect", str(voice), "--base", str(base_folder)]) == 0
    text = capsys.readouterr().out
    assert "(510, 1, 256)" in text and "health:" in text
    assert "nearest in timbre: stock_1 0.00 (1.00)" in text


def test_json_holds_the_figures(voice: Path, base_folder: Path, capsys) -> None:
    facts = inspect_json(capsys, str(voice), "--base", str(base_folder))
    loaded = VoicePack.load(voice)
    first = facts["rows"][0]
    assert first["phonemes"] == 1
    assert first["timbre"]["norm"] == pytest.approx(float(loaded.acoustic[0].norm()), abs=1e-3)
    assert first["prosody"]["norm"] == pytest.approx(float(loaded.prosodic[0].norm()), abs=1e-3)
    assert next(row for row in facts["rows"] if row["phonemes"] == 101)["timbre"]["cosine_to_101"] == 1.0
    assert [other["name"] for other in facts["nearest"]["prosody"]][0] == "stock_1"
    assert isinstance(facts["healthy"], bool)


def test_stock_voices_and_mixes_are_voices_too(base_folder: Path, capsys) -> None:
    facts = inspect_json(capsys, "timbre(stock_0) + prosody(stock_2)", "--base", str(base_folder))
    assert facts["nearest"]["timbre"][0] == {"name": "stock_0", "distance": 0.0, "cosine": 1.0}
    assert facts["nearest"]["prosody"][0]["name"] == "stock_2"


def test_a_cloned_voice_is_compared_with_the_base_its_report_names(voice: Path, capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    assert inspect_json(capsys, str(voice))["compared_with"] == "54 stock voices"  # Kokoro's voices, from the package
    (voice.parent / "report.json").write_text('{"base": {"kind": "nano"}}')
    nano = inspect_json(capsys, str(voice))
    assert nano["compared_with"].endswith("stock voices") and len(nano["nearest"]["timbre"]) == 5
    (voice.parent / "report.json").write_text("[broken")
    assert inspect_json(capsys, str(voice))["compared_with"] == "54 stock voices"


def test_an_unhealthy_voice_is_reported_with_reasons(tmp_path: Path, capsys) -> None:
    VoicePack(3.0 * pack(0).tensor).save(tmp_path / "loud.pt")
    facts = inspect_json(capsys, str(tmp_path / "loud.pt"))
    assert not facts["healthy"] and any(reason.startswith("timbre norm") for reason in facts["reasons"])


def test_picture(voice: Path, base_folder: Path, tmp_path: Path, capsys) -> None:
    picture = tmp_path / "p.png"
    arguments = ["inspect", str(voice), "--base", str(base_folder), "--plot"]
    assert main([*arguments, str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert main([*arguments, str(picture)]) == 2
    assert main([*arguments, str(picture), "--overwrite"]) == 0
    assert main([*arguments, str(tmp_path / "p.jpg")]) == 2
    assert "ends in .png" in capsys.readouterr().err


def test_picture_draws_the_norms_the_range_and_the_map() -> None:
    figure = voice_figure(STOCK["s3"], STOCK, "x")
    norms, _, timbre, _ = figure.axes
    own = next(line for line in norms.get_lines() if line.get_label() == "this voice")
    assert torch.allclose(torch.tensor(own.get_ydata()), row_norms(STOCK["s3"], "timbre"))
    labels = [text.get_text() for text in timbre.get_legend().get_texts()]
    assert labels[0] == "other stock voices" and "1  s3 (0.00)" in labels and len(labels) == 2 + 5
    assert len(voice_figure(STOCK["s3"], {}, "x").axes) == 2


def test_neighbours_are_sorted_by_distance_in_their_half() -> None:
    other = VoicePack(torch.cat([STOCK["s1"].tensor[..., :128], STOCK["s5"].tensor[..., 128:]], dim=-1))
    assert neighbours(other, STOCK, "timbre")[0].name == "s1"
    found = neighbours(other, STOCK, "prosody")
    assert found[0].name == "s5" and found[0].distance == 0.0 and found[0].cosine == pytest.approx(1.0)
    assert [n.distance for n in found] == sorted(n.distance for n in found)


def test_the_map_keeps_distances_as_far_as_two_directions_can() -> None:
    flat = {f"p{index}": VoicePack(_on_plane(index)) for index in range(6)}
    chart = voice_map(flat["p0"], flat, "timbre")
    assert sum(chart.shares) == pytest.approx(1.0, abs=1e-4)  # voices on a plane need no third direction
    assert torch.allclose(chart.own, chart.stock[0], atol=1e-4)
    true = (flat["p0"].acoustic[100] - flat["p4"].acoustic[100]).norm()
    assert torch.allclose((chart.stock[0] - chart.stock[4]).norm(), true, atol=1e-4)
    with pytest.raises(ValueError, match="5 stock voices"):
        voice_map(flat["p0"], {"p0": flat["p0"]}, "timbre")


def test_the_range_is_that_of_the_stock_voices_or_the_published_one() -> None:
    bands, source = norm_bands(STOCK)
    assert source == "8 stock voices"
    norms = torch.stack([row_norms(stock, "timbre") for stock in STOCK.values()])
    assert torch.equal(bands["timbre"].low, norms.amin(0)) and torch.equal(bands["timbre"].high, norms.amax(0))
    assert norm_bands({})[1] == "the 54 official Kokoro voices"


def test_the_published_range_is_that_of_the_official_voices() -> None:
    folder = needs_shared("data", "voices")
    official = {path.stem: VoicePack.load(path) for path in folder.glob("*.pt")}
    measured, _ = norm_bands(official)
    published, _ = norm_bands({})
    for half in HALVES:
        for edge in ("low", "median", "high"):
            difference = getattr(measured[half], edge) - getattr(published[half], edge)
            # The table is linear between its rows; at them it is rounded to two digits.
            assert difference[[0, 1, 2, 5, 10, 20, 50, 100, 200, 300, 509]].abs().max() <= 0.0051, (half, edge)
            assert (difference.abs() / getattr(measured[half], edge)).max() < 0.06, (half, edge)


def _on_plane(index: int) -> torch.Tensor:
    rows = torch.zeros(SHAPE)
    rows[..., 3], rows[..., 40] = float(index % 3), float(index // 3)
    return rows


def test_the_map_is_that_of_the_singular_vectors() -> None:
    generator = torch.Generator().manual_seed(0)
    stock = {f"p{i}": VoicePack(torch.randn(510, 1, 256, generator=generator), f"p{i}") for i in range(8)}
    chart = voice_map(stock["p0"], stock, "timbre")
    centres = torch.stack([pack.tensor[REFERENCE_ROW:, 0, :128].mean(dim=0) for pack in stock.values()])
    _, sizes, directions = torch.linalg.svd(centres - centres.mean(dim=0), full_matrices=False)
    expected = (centres - centres.mean(dim=0)) @ directions[:2].T
    torch.testing.assert_close(chart.stock.abs(), expected.abs(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(chart.own, chart.stock[0])
    assert chart.shares == pytest.approx((sizes.square() / sizes.square().sum())[:2].tolist())
