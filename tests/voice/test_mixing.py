"""Mix expressions: their meaning, and one clear error for invalid ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone.bases.base import load_stock_voices
from voiceclone.cli.main import main
from voiceclone.errors import UsageError
from voiceclone.voice.mixing import Mix, blend, parse_mix
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
        ("a(2)+b(1)", (2 * A + B) / 3),
        ("a(3) + b", (3 * A + B) / 4),
        ("a(0.2)+b(.2)", (A + B) / 2),
        ("a:60,b:40", 0.6 * A + 0.4 * B),
        ("a:30 , b:10", 0.75 * A + 0.25 * B),
        ("a+b", (A + B) / 2),
        ("a + b + a", (2 * A + B) / 3),
        ("a,b", (A + B) / 2),
        ("a, b, b", (A + 2 * B) / 3),
        ("a(2)", A),
        ("a:60", A),
        ('"a":1,"b":3', 0.25 * A + 0.75 * B),
    ],
)
def test_meaning(expression: str, expected: torch.Tensor) -> None:
    torch.testing.assert_close(blend(parse_mix(expression), PACKS.__getitem__).tensor, expected)


@pytest.mark.parametrize(
    "name", ["my-voice.pt", "./out/v/v.pt", "C:\\voices\\v.pt", "~/v.pt", "v_2.pt", "2nd.pt", "timbre"]
)
def test_names(name: str) -> None:
    assert parse_mix(name).timbre == {name: 1.0}


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "missing"), ("0.5*a", "sum to 0.5"), ("(a + b)", "sum to 2"), ("timbre(a)", "prosody half sum to 0"),
        ("3*a - 2*b", "outside"), ("a*b", "multiplied"), ("0.5", "stands alone"), ("(a", "bracket"),
        ("a)", "unexpected"),
        ("a b", "unexpected"), ("0.5 a", "cannot read|unexpected|alone"), ("a + ", "missing"), ("#", "cannot read"),
        ("(" * 100 + "a", "brackets"), ("a+" * 2000, "characters"),
        ("a(x)+b(1)", "'x' is not a weight of 'a'"), ("a(2+b(1)", r"missing after 'a\(2'"), ("a(2)(3)", "unexpected"),
        ("a:60,b", "'b' has no weight"), ("a:60,b:x", "'b:x' has no weight"), ("a,,b", "unexpected ','"),
        ("a,", "missing at the end"), ("a(0)+b(0)", "sum to 0"), (f"a({'9' * 400})+b(1)", "sum to inf"),
        ("a(2)-b(1)", "1.3"), ("a+b,a", "either by"), ("0.5*a,b", "unexpected '0.5'"),
        ("a(2)+0.5*b", "unexpected '0.5'"), (",", "unexpected"),
        ("timbre(a,b)+prosody(b)", "'a' is not a weight of 'timbre'"), ("timbre(2)+a", "stands alone"),
    ],
)  # fmt: skip
def test_invalid_mixes_are_one_clear_error(expression: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_mix(expression)


@given(st.text(alphabet='ab.*+-(),: 0123456789"timbreprosody\\\n#é', max_size=60))
@settings(max_examples=400, deadline=None)
def test_any_text_is_a_mix_or_a_usage_error(expression: str) -> None:
    try:
        mix = parse_mix(expression)
    except UsageError as error:
        assert str(error)
    else:
        for half in (mix.timbre, mix.prosody):
            assert sum(half.values()) == pytest.approx(1.0, abs=2e-3)


ODD = ["my voice.pt", "a,b.pt", "a+b.pt", "a(2).pt", "a:60.pt", "2*a.pt", "a + b, c(3):4.pt", "7.pt", "timbre(a).pt"]


@pytest.mark.parametrize("name", ODD)
def test_an_existing_file_is_one_name_whatever_is_in_it(name: str) -> None:
    def is_voice(text: str) -> bool:
        return text in (name, name.removesuffix(".pt"))

    expressions = [f"0.5*{name} + 0.5*x", f"{name}(1)+x", f"{name}:50,x:50", f"x,{name}", f"{name}+x", f"x + {name}"]
    if name != "7.pt":  # without its suffix it is a weight
        stem = name.removesuffix(".pt")
        expressions += [expression.replace(name, stem) for expression in expressions]
    for expression in expressions:
        weights = parse_mix(expression, is_voice).timbre
        assert weights == {"x": 0.5, name if name in expression else name.removesuffix(".pt"): 0.5}, expression
    assert parse_mix(f"timbre({name}) + prosody(x)", is_voice) == Mix({name: 1.0}, {"x": 1.0})


def test_the_longest_file_name_wins_and_a_number_is_a_weight() -> None:
    files = {"a", "a+b.pt", "0.5", "timbre"}
    assert parse_mix("a+b.pt", files.__contains__).timbre == {"a+b.pt": 1.0}
    assert parse_mix("a+b", files.__contains__).timbre == {"a": 0.5, "b": 0.5}
    assert parse_mix("0.5*a + 0.5*c", files.__contains__).timbre == {"a": 0.5, "c": 0.5}
    assert parse_mix("timbre(a) + prosody(c)", files.__contains__) == Mix({"a": 1.0}, {"c": 1.0})


def test_a_voice_that_the_named_file_lacks_is_left_to_who_reads_the_file() -> None:
    assert parse_mix("f.bin:nobody+x", {"f.bin"}.__contains__).timbre == {"f.bin:nobody": 0.5, "x": 0.5}
    assert parse_mix("f.bin:7,x:1", {"f.bin"}.__contains__).timbre == {"f.bin": 7 / 8, "x": 1 / 8}
    assert parse_mix("f.bin:7:7,x:1", {"f.bin", "f.bin:7"}.__contains__).timbre == {"f.bin:7": 7 / 8, "x": 1 / 8}


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
    from voiceclone.bases import base

    monkeypatch.setattr(base, "load_stock_voices", lambda *a, **k: pytest.fail("no stock voice was named"))
    for name in "ab":
        PACKS[name].save(tmp_path / f"{name}.pt")
    expression = f"0.7*{tmp_path / 'a.pt'} + 0.3*{tmp_path / 'b.pt'}"
    assert main(["mix", expression, "--out", str(tmp_path / "m.pt")]) == 0
    torch.testing.assert_close(VoicePack.load(tmp_path / "m.pt").tensor, 0.7 * A + 0.3 * B)


def test_an_unusual_mix_is_made_with_a_warning(tmp_path: Path, capsys) -> None:
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
