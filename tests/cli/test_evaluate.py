"""``evaluate`` from the command line on a tiny base, with stand-ins for the recognisers and encoders."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors.torch import save_file
from stand_in_judges import Bright, Phones

from voiceclone import UsageError, VoicePack, evaluate, load_base
from voiceclone.cli.evaluate import _origin_of_best
from voiceclone.cli.main import main
from voiceclone.data.dataset import hold_out
from voiceclone.evaluation import report_judges, sentences
from voiceclone.evaluation.config import EvaluateConfig
from voiceclone.evaluation.report_judges import Panel, load_panel, load_untrained_encoder
from voiceclone.voice.formats import write_voices
from voiceclone.voice.provenance import stored_provenance


@pytest.fixture
def voice(tmp_path: Path, base_folder: Path, monkeypatch) -> Path:
    """A voice with its candidates, and stand-ins that are always available."""
    panel = Panel(encoders=(Bright(),), recognizer=Phones(), words=None, left_out=("words: none",))
    monkeypatch.setattr(report_judges, "load_panel", lambda lang: panel)
    monkeypatch.setattr(sentences, "HELD_OUT", sentences.HELD_OUT[:2])  # the long ones take long
    stock = load_base(base_folder).stock_voices
    (tmp_path / "run" / "artifacts").mkdir(parents=True)
    stock["stock_0"].save(tmp_path / "run" / "mine.pt")
    candidates = {"best_stock": stock["stock_1"].tensor.clone(), "zero_shot": stock["stock_2"].tensor.clone()}
    save_file(candidates, tmp_path / "run" / "artifacts" / "candidates.safetensors")
    return tmp_path / "run" / "mine.pt"


@pytest.fixture
def call(voice: Path, base_folder: Path, dataset_folder: Path) -> list[str]:
    return ["evaluate", "--voice", str(voice), "--data", str(dataset_folder), "--base", str(base_folder), "--offline",
            "--device", "cpu"]  # fmt: skip


def test_a_report_and_a_page_beside_the_voice(call, voice: Path, capsys) -> None:
    best = voice.parent / "best.pt"
    assert main([*call, "--also", "plain_recipe=stock_3", "--keep-best", str(best)]) == 0
    shown = capsys.readouterr()
    report = json.loads((voice.parent / "evaluation.json").read_text())
    assert shown.out.startswith(" ".join([*report["in_words"][:1]]))
    assert report["verdict"]["line"] in shown.out.splitlines()[:2]
    assert list(report["voices"]) == ["clone", "zero_shot", "best_stock", "plain_recipe", "stranger", "recordings"]
    assert report["voices"]["best_stock"]["same_as"] == "stock_1"
    page = (voice.parent / "evaluation.html").read_text()
    # One clip in the switch, with the voices that the switch does not have, and two sentences.
    assert page.startswith("<!DOCTYPE html>") and page.count("<audio") == 3 + 4 + 2 * 2
    assert report["dataset"].startswith(f"{Path(call[4]).name}: ") and report["consent"] == "not stated"
    assert report["date"] in page and report["version"] in page and report["dataset"] in page
    # Missing parts are reported: no blend, no encoders of the base's own.
    assert any("best_blend" in line for line in report["left_out"])
    assert any("oracle" in line for line in report["left_out"])
    assert "words: none" in shown.out
    kept = {"clone": "stock_0", "best_stock": "stock_1"}[report["verdict"]["best"]]
    stock = load_base(call[6]).stock_voices[kept]
    assert (VoicePack.load(best).tensor == stock.tensor).all()
    assert stored_provenance(best)["best"]["base_sha256"] == load_base(call[6]).sha256
    assert "Evaluation:" in shown.err and "picture" in shown.err
    # A second time replaces the report, but never the kept voice.
    assert main([*call, "--quiet", "--clips", "1", "--keep-best", str(best)]) == 2
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize("best", ["clone", "zero_shot", "best_stock", "mine"])
def test_the_kept_voice_records_its_base_and_consent(best: str, voice: Path, tmp_path: Path, base) -> None:
    made_for = {"name": "b", "kind": "custom", "sha256": "ab"}
    (voice.parent / "report.json").write_text(json.dumps({"name": "mine", "base": made_for, "consent": "Anna agreed"}))
    other = {"base": "c", "base_kind": "custom", "base_sha256": "cd", "consent": "Ben agreed"}
    base.stock_voices["stock_3"].save(tmp_path / "ben.pt", provenance={"ben": other})
    config = EvaluateConfig(voice=str(voice), data="d", also=(f"mine = {tmp_path / 'ben.pt'}",))
    facts = _origin_of_best(best, config, SimpleNamespace(base=base))
    assert (facts["base_sha256"], facts.get("consent")) == {
        "mine": ("cd", "Ben agreed"),
        "best_stock": ("ab", None),
    }.get(best, ("ab", "Anna agreed"))
    assert "voice_sha256" not in facts


def test_json_is_one_object_goes_where_it_is_told_and_is_what_the_function_measures(
    call, voice: Path, base_folder: Path, dataset_folder: Path, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "elsewhere"
    assert main([*call, "--json", "--out", str(out), "--quiet", "--also", "plain_recipe=stock_3"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((out / "evaluation.json").read_text())
    assert sorted(path.name for path in out.iterdir()) == ["evaluation.html", "evaluation.json"]
    assert report["verdict"]["outcome"] and report["voices"]["clone"]["similarity"]["xvector"]["mean"] <= 1
    options = {"base": base_folder, "offline": True, "device": "cpu"}
    found = evaluate(voice, dataset_folder, also={"plain_recipe": "stock_3"}, **options)
    facts = json.loads(json.dumps(found.as_json()))
    assert facts["voices"] == report["voices"] and facts["verdict"] == report["verdict"]
    assert not (voice.parent / "evaluation.json").exists()
    for wrong, message in (
        ({"clips": 0}, "clips=0"),
        ({"also": {"clone": voice}}, "also .*already"),
        ({"seed": -1}, "seed=-1"),
    ):
        with pytest.raises(UsageError, match=message):
            evaluate(voice, dataset_folder, **options, **wrong)


def test_a_voice_out_of_a_file_of_several_and_a_mix(call, voice: Path, tmp_path: Path, capsys) -> None:
    stock = load_base(call[6]).stock_voices
    write_voices(voice.parent / "two.bin", {"a": stock["stock_3"], "b": stock["stock_1"]}, "bin")
    call[2] = f"{voice.parent / 'two.bin'}:b"
    assert main([*call, "--clips", "1", "--also", "mean=stock_0,stock_2", "--json", "--quiet"]) == 0
    report = json.loads((voice.parent / "evaluation.json").read_text())  # beside the file
    assert report["voices"]["clone"]["same_as"] == "stock_1" and "mean" in report["voices"]
    call[2] = "stock_0(2)+stock_1(1)"
    assert main([*call, "--clips", "1", "--quiet"]) == 2
    assert "has no folder of its own" in capsys.readouterr().err
    assert main([*call, "--clips", "1", "--quiet", "--out", str(tmp_path / "mix")]) == 0


def test_a_losing_clone_is_reported_first_and_the_better_voice_kept(call, tmp_path: Path, monkeypatch, capsys) -> None:
    class Mumbled(Phones):
        """Every utterance after the first voice's is understood."""

        heard = 0

        def error_rate(self, audio, phonemes):
            type(self).heard += 1
            return (len(phonemes) if self.heard <= 3 else 0), len(phonemes)

    panel = Panel(encoders=(Bright(),), recognizer=Mumbled(), words=None, left_out=())
    monkeypatch.setattr(report_judges, "load_panel", lambda lang: panel)
    best = tmp_path / "best.pt"
    assert main([*call, "--quiet", "--keep-best", str(best)]) == 0
    assert "THE CLONE IS UNINTELLIGIBLE: phone error rate 100% against 0%" in (said := capsys.readouterr().out)
    assert said.count("\n") <= 2  # --quiet: the verdict, no table
    assert (VoicePack.load(best).tensor == load_base(call[6]).stock_voices["stock_1"].tensor).all()


def test_the_split_of_the_run_is_used_and_doubts_are_said(call, voice: Path, capsys) -> None:
    """The clips are held out by the seed: another seed would evaluate the voice on its training clips."""
    names = [f"clip_{number}.wav" for number in range(4)]
    seed = next(seed for seed in range(1, 99) if hold_out(names, seed) != hold_out(names, 0))
    (voice.parent / "config.json").write_text(json.dumps({"seed": seed}))
    assert main([*call, "--quiet"]) == 0
    found = json.loads((voice.parent / "evaluation.json").read_text())
    spoken = {utterance["utterance"] for utterance in found["voices"]["clone"]["utterances"]}
    assert {name for name in spoken if name.startswith("validation/")} == {
        f"validation/{name}" for name in hold_out(names, seed)
    }
    assert found["seed"] == seed and not any("split" in doubt for doubt in found["doubts"])
    made = {"dataset": {"fingerprint": "other"}, "base": {"sha256": "other"}, "consent": "Anna agreed"}
    (voice.parent / "report.json").write_text(json.dumps(made))
    capsys.readouterr()
    assert main([*call, "--quiet"]) == 0
    err = capsys.readouterr().err
    assert "another base" in err and "not the split" in err
    assert "another base" in (voice.parent / "evaluation.html").read_text()
    assert json.loads((voice.parent / "evaluation.json").read_text())["consent"] == "Anna agreed"


def test_a_stock_voice_can_be_evaluated(call, tmp_path: Path, capsys) -> None:
    call[2] = "stock_2"
    assert main(call) == 2
    assert "--out" in capsys.readouterr().err
    assert main([*call, "--out", str(tmp_path / "o"), "--also", "best=stock_1", "--quiet"]) == 0
    assert "best" in json.loads((tmp_path / "o" / "evaluation.json").read_text())["voices"]


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (["--clips", "0"], "--clips 0"),
        (["--seed", "-1"], "--seed -1"),
        (["--also", "nonsense"], "NAME=VOICE"),
        (["--also", "clone=stock_1"], "clone"),
        (["--also", "x=nobody"], "nobody"),
        (["--keep-best", "best.txt"], "ends in .pt"),
        (["--lang", "q"], "language"),
        (["--device", "tpu"], "tpu"),
        (["--data", "no_such_folder"], "no_such_folder"),
    ],
)
def test_wrong_calls_are_one_line(call, extra: list[str], says: str, voice: Path, capsys) -> None:
    before = sorted(voice.parent.rglob("*"))
    assert main([*call, *extra]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error:") and says in last
    assert sorted(voice.parent.rglob("*")) == before


def test_files_of_the_users_own_are_kept(call, voice: Path, capsys) -> None:
    (voice.parent / "evaluation.json").write_text("my notes")
    assert main(call) == 2
    assert "is not an evaluation report" in capsys.readouterr().err
    assert (voice.parent / "evaluation.json").read_text() == "my notes"
    (voice.parent / "evaluation.json").rename(voice.parent / "evaluation.html")
    assert main(call) == 2 and "evaluation.html is not an evaluation report" in capsys.readouterr().err
    assert (voice.parent / "evaluation.html").read_text() == "my notes"
    (voice.parent / "evaluation.html").unlink()
    (voice.parent / "artifacts" / "candidates.safetensors").write_bytes(b"junk")
    assert main(call) == 1
    assert "candidates.safetensors" in capsys.readouterr().err.splitlines()[-1]


def test_an_encoder_that_is_not_installed_is_said(monkeypatch) -> None:
    from voiceclone.nets import campplus, resemblyzer
    from voiceclone.nets import phone_recognizer as recognizer
    from voiceclone.nets import xvector as speaker_net

    monkeypatch.setattr(campplus, "load_campplus", lambda: None)
    monkeypatch.setattr(speaker_net, "load_speaker_net", Bright)
    monkeypatch.setattr(recognizer, "load_recognizer", Phones)
    monkeypatch.setattr(resemblyzer, "load_resemblyzer", lambda: None)
    panel = load_panel("a")
    assert [encoder.name for encoder in panel.encoders] == ["xvector"] and panel.recognizer is not None
    for name in ("resemblyzer", "campplus"):
        assert any(name in line and "pip install" in line for line in panel.left_out)
    assert load_panel("f").recognizer is None
    monkeypatch.setattr(resemblyzer, "load_resemblyzer", lambda: type("R", (), {"name": "resemblyzer"})())
    monkeypatch.setattr(campplus, "load_campplus", lambda: type("C", (), {"name": "campplus"})())
    panel = load_panel("a")
    assert [encoder.name for encoder in panel.encoders] == ["campplus", "xvector", "resemblyzer"]
    assert not any("similarity" in line for line in panel.left_out)
    assert load_untrained_encoder().name == "campplus"
    monkeypatch.setattr(campplus, "load_campplus", lambda: None)
    assert load_untrained_encoder().name == "xvector"
