"""Mix expressions: what they mean, and that nothing else than one clear error comes of nonsense."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone.cli.main import main
from voiceclone.errors import UsageError
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


def test_command(tmp_path: Path, base_folder: Path, capsys) -> None:
    PACKS["a"].save(tmp_path / "a.pt")
    arguments = ["mix", f"0.5*{tmp_path / 'a.pt'} + 0.5*stock_0", "--base", str(base_folder), "--out"]
    assert main([*arguments, str(tmp_path / "m.pt")]) == 0
    assert VoicePack.load(tmp_path / "m.pt").tensor.shape == SHAPE
    assert main([*arguments, str(tmp_path / "m.pt")]) == 2
    assert main(["mix", "nobody", "--out", str(tmp_path / "n.pt")]) == 2
    assert "no voice 'nobody'" in capsys.readouterr().err
    assert not (tmp_path / "n.pt").exists()
