"""Mix expressions: what they mean, and that nothing else than one clear error comes of nonsense."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone.cli.main import main
from voiceclone.errors import UsageError
from voiceclone.models.base import load_stock_voices
from voiceclone.voice.mixing import blend, parse
from voiceclone.voice.pack import SHAPE, VoicePack

PACKS = {name: VoicePack(torch.randn(SHAPE, generator=torch.Generator().manual_seed(i))) for i, name in enumerate("ab")}
A, B = PACKS["a"].tensor, PACKS["b"].tensor


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a", A),
        ("0.7*a + 0.3*b", 0.7 * A + 0.3 * B),
        ("a*0.7+b*.3", 0.7 * A + 0.3 * B),
        ("1.5*a - 0.5*b", 1.5 * A - 0.5 * B),
        ("timbre(a) + prosody(b)", torch.cat([A[..., :128], B[..., 128:]], dim=-1)),
        ("timbre(0.5*a + 0.5*b) + prosody(a)", torch.cat([0.5 * (A + B)[..., :128], A[..., 128:]], dim=-1)),
        ("0.5*(a + b)", 0.5 * (A + B)),
        ('"a"', A),
    ],
)
def test_meaning(expression: str, expected: torch.Tensor) -> None:
    torch.testing.assert_close(blend(parse(expression), PACKS.__getitem__).tensor, expected)


@pytest.mark.parametrize(
    "name", ["my-voice.pt", "./out/v/v.pt", "C:\\voices\\v.pt", "~/v.pt", "v_2.pt", "2nd.pt", "timbre"]
)
def test_names(name: str) -> None:
    assert parse(name).timbre == {name: 1.0}


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "missing"), ("0.5*a", "sum to 0.5"), ("a + b", "sum to 2"), ("timbre(a)", "prosody half sum to 0"),
        ("3*a - 2*b", "outside"), ("a*b", "multiplied"), ("0.5", "stands alone"), ("(a", "bracket"),
        ("a)", "unexpected"),
        ("a b", "unexpected"), ("0.5 a", "cannot read|unexpected|alone"), ("a + ", "missing"), ("#", "cannot read"),
        ("(" * 100 + "a", "brackets"), ("a+" * 2000, "characters"),
    ],
)  # fmt: skip
def test_nonsense_is_one_clear_error(expression: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse(expression)


@given(st.text(alphabet='ab.*+-() 0123456789"timbreprosody\\\n#é', max_size=60))
@settings(max_examples=400, deadline=None)
def test_any_text_is_a_mix_or_a_usage_error(expression: str) -> None:
    try:
        mix = parse(expression)
    except UsageError as error:
        assert str(error)
    else:
        for half in (mix.timbre, mix.prosody):
            assert sum(half.values()) == pytest.approx(1.0, abs=2e-3)


def test_names_are_found_as_files_with_or_without_suffix_and_as_stock_voices(
    tmp_path: Path, base_folder: Path, monkeypatch
) -> None:
    PACKS["a"].save(tmp_path / "v.pt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    stock = load_stock_voices(base_folder)
    base = ["--base", str(base_folder), "--overwrite", "--quiet", "--out", "m.pt"]
    for name in ("v", "v.pt", "./v.pt", "~/v.pt", '"v.pt"', str(tmp_path / "v")):
        assert main(["mix", f"timbre({name}) + prosody(stock_3)", *base]) == 0, name
        mixed = VoicePack.load("m.pt")
        assert torch.equal(mixed.acoustic, PACKS["a"].acoustic), name
        assert torch.equal(mixed.prosodic, stock["stock_3"].prosodic), name


def test_files_alone_need_no_base(tmp_path: Path, monkeypatch) -> None:
    from voiceclone.models import base

    monkeypatch.setattr(base, "load_stock_voices", lambda *a, **k: pytest.fail("no stock voice was named"))
    for name in "ab":
        PACKS[name].save(tmp_path / f"{name}.pt")
    expression = f"0.7*{tmp_path / 'a.pt'} + 0.3*{tmp_path / 'b.pt'}"
    assert main(["mix", expression, "--out", str(tmp_path / "m.pt")]) == 0
    torch.testing.assert_close(VoicePack.load(tmp_path / "m.pt").tensor, 0.7 * A + 0.3 * B)


def test_a_mix_unlike_any_voice_is_made_with_a_warning(tmp_path: Path, capsys) -> None:
    PACKS["a"].save(tmp_path / "a.pt")  # norm 16, random in every row
    assert main(["mix", f"1*{tmp_path / 'a.pt'}", "--out", str(tmp_path / "m.pt"), "--quiet"]) == 0
    assert "looks unusual: norm" in capsys.readouterr().err


def test_command(tmp_path: Path, base_folder: Path, capsys) -> None:
    PACKS["a"].save(tmp_path / "a.pt")
    arguments = ["mix", f"0.5*{tmp_path / 'a.pt'} + 0.5*stock_0", "--base", str(base_folder), "--out"]
    assert main([*arguments, str(tmp_path / "m.pt")]) == 0
    assert VoicePack.load(tmp_path / "m.pt").tensor.shape == SHAPE
    assert main([*arguments, str(tmp_path / "m.pt")]) == 2
    assert main(["mix", "nobody", "--out", str(tmp_path / "n.pt")]) == 2
    assert "no voice 'nobody'" in capsys.readouterr().err
    assert not (tmp_path / "n.pt").exists()
