"""The samples page: audio files with relative URLs, and the results of an evaluation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import soundfile
from support import benchmark

from voiceclone import UsageError, load_base
from voiceclone.data.dataset import load_dataset
from voiceclone.evaluation.samples import SampleVoice, folder_name, write_samples
from voiceclone.voice.formats import write_voices

FINDINGS = {"clone": 0.7, "stranger": 0.0, "recordings": 0.8, "nearest": 0.5, "nearest_name": "af_heart"}


@pytest.fixture
def run_folder(tmp_path: Path, base_folder: Path, dataset_folder: Path) -> Path:
    """Output of a clone run, as far as samples need it."""
    stock = load_base(base_folder).stock_voices
    folder = tmp_path / "anna"
    (folder / "artifacts").mkdir(parents=True)
    stock["stock_0"].save(folder / "anna.pt")
    write_voices(folder / "artifacts" / "candidates.safetensors", {"best_stock": stock["stock_1"]}, "safetensors")
    (folder / "config.json").write_text(json.dumps({"data": str(dataset_folder), "seed": 0}))
    (folder / "report.json").write_text(json.dumps({"consent": "Anna agreed"}))
    return folder


def test_a_page_with_sounds_of_recording_clone_and_best_stock(
    run_folder: Path, base_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (run_folder / "evaluation.json").write_text(json.dumps({"findings": FINDINGS}))
    out = tmp_path / "samples"
    given = [str(run_folder / "anna.pt"), "--base", str(base_folder), "--out", str(out), "--offline"]
    assert benchmark("samples_page").main(given) == 0
    assert f"page: {out / 'index.html'}" in capsys.readouterr().out
    page = (out / "index.html").read_text()
    sources = re.findall(r'<audio[^>]* src="([^"]+)"', page)
    assert sources == [f"anna/1_{role}.flac" for role in ("recording", "clone", "best_stock")]
    assert all(soundfile.info(out / source).samplerate == 24_000 for source in sources)
    assert "best stock voice (stock_1)" in page and "Anna agreed" in page
    assert "Much nearer to you than the stock voice af_heart: 9/10" in page and "<svg" in page
    assert "media-src &#39;self&#39; file:;" in page and "unsafe" not in page


def test_the_consent_in_the_file_of_a_mix_is_shown(
    run_folder: Path, base_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    mix, out = tmp_path / "elsewhere" / "half.pt", tmp_path / "samples"
    load_base(base_folder).stock_voices["stock_0"].save(mix, provenance={"half": {"consent": "Anna and Ben agreed"}})
    given = [f"{mix}={dataset_folder}", "--base", str(base_folder), "--out", str(out), "--sentences", "1", "--offline"]
    assert benchmark("samples_page").main(given) == 0
    assert "Anna and Ben agreed" in (out / "index.html").read_text()


def test_voices_of_one_name_are_refused_before_anything_is_written(
    run_folder: Path, base_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    base = load_base(base_folder)
    dataset = load_dataset(dataset_folder, vocab=base.kmodel.vocab)
    voice = SampleVoice(file=run_folder / "anna.pt", pack=base.stock_voices["stock_0"], base=base, dataset=dataset)
    with pytest.raises(UsageError, match="two voices are called stock_0"):
        write_samples([voice, voice], tmp_path / "o", sentences=1)
    assert not (tmp_path / "o").exists()
    assert folder_name("../a b") == "_a_b" and folder_name("..") == "voice"


def test_a_voice_without_a_known_dataset_is_one_clear_line(run_folder: Path, tmp_path: Path, capsys) -> None:
    (run_folder / "config.json").unlink()
    assert benchmark("samples_page").main([str(run_folder / "anna.pt"), "--out", str(tmp_path / "o")]) == 2
    assert "which dataset it was made from" in capsys.readouterr().err
