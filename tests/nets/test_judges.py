import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from voiceclone.audio.io import SAMPLE_RATE, resample
from voiceclone.base_training import judges_measuring as measuring
from voiceclone.base_training.judges_training import JudgeTraining, train_recognizer, train_speaker_net
from voiceclone.errors import VoicecloneError
from voiceclone.files import sha256_of
from voiceclone.nets.front_end import ASSETS, log_mel
from voiceclone.nets.phone_recognizer import (
    ALPHABET,
    PhoneRecognizer,
    RecognizerConfig,
    load_recognizer,
    phone_errors,
)
from voiceclone.nets.xvector import SpeakerNet, SpeakerNetConfig, load_speaker_net

SENTENCES = (
    ("The old man walked slowly along the river and thought about his children.",
     "ðə ˈOld mˈæn wˈɔkt slˈOli əlˈɔŋ ðə ɹˈɪvəɹ ænd θˈɔt əbˈWt hɪz ʧˈɪldɹən."),
    ("Nobody had told them that the bridge was closed for the winter.",
     "nˈObˌʌdi hæd tˈOld ðˌɛm ðæt ðə bɹˈɪʤ wʌz klˈOzd fɔɹ ðə wˈɪntəɹ."),
)  # fmt: skip
LIMITS = {"recognizer": (1_200_000, 2_500_000), "speaker_net": (600_000, 1_300_000)}  # parameters, bytes


@pytest.fixture(scope="module")
def spoken():
    """Both sentences in two eSpeak-NG voices: voice to 24 kHz audio of each."""
    from voiceclone.text.espeak import EspeakSynthesizer

    synthesizer = EspeakSynthesizer()

    def say(text, voice):
        speech = synthesizer.speak(text, voice)
        return resample(speech.audio, speech.sample_rate, SAMPLE_RATE)

    return {voice: [say(text, voice) for text, _ in SENTENCES] for voice in ("en-us", "en-us+f3")}


@pytest.fixture(scope="module")
def recognizer():
    return load_recognizer()


@pytest.fixture(scope="module")
def speaker_net():
    return load_speaker_net()


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * SAMPLE_RATE))).astype(np.float32)


def test_speech_is_recognised_and_noise_or_other_words_are_not(recognizer, spoken):
    rng = np.random.default_rng(0)
    for audio, (_, phonemes) in zip(spoken["en-us"], SENTENCES, strict=True):
        errors, phones = recognizer.error_rate(audio, phonemes)
        assert phones == len(recognizer.reference(phonemes)) > 30
        shuffled = "".join(rng.permutation(list(phonemes)))
        assert errors < phones / 2
        assert errors < recognizer.error_rate(audio, shuffled)[0] / 2
        assert errors < recognizer.error_rate(noise(3.0), phonemes)[0] / 2


def test_the_words_of_another_sentence_are_errors(recognizer, spoken):
    (first, second), ((_, one), (_, two)) = spoken["en-us"], SENTENCES
    right = recognizer.error_rate(first, one)[0] + recognizer.error_rate(second, two)[0]
    crossed = recognizer.error_rate(first, two)[0] + recognizer.error_rate(second, one)[0]
    assert right < crossed / 2


def test_the_level_of_the_audio_does_not_matter(recognizer, speaker_net, spoken):
    audio = spoken["en-us"][0]
    assert recognizer.transcribe(0.1 * audio) == recognizer.transcribe(audio)
    assert speaker_net.embed(0.1 * audio) @ speaker_net.embed(audio) == pytest.approx(1.0, abs=1e-4)


def test_the_reference_has_no_marks_and_folds_look_alikes(recognizer):
    assert recognizer.reference("ðə bˈɪɡ, “ɹˌɛd” — kɪtᵊnz?") == list("ðəbɪɡɹɛdkɪtənz")
    assert recognizer.reference("ɐ bˈɑɾəlᵻŋ") == list("əbɑTəlɪŋ")
    assert recognizer.reference("ø") == ["ø"]  # no English phoneme: stays, so that it counts as an error
    assert all(recognizer.reference(phone) == [phone] for phone in ALPHABET)


@pytest.mark.parametrize(
    ("heard", "wanted", "errors"),
    [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("axc", "abc", 1), ("kitten", "sitting", 3)],
)
def test_phone_errors_is_the_edit_distance(heard, wanted, errors):
    assert phone_errors(list(heard), list(wanted)) == errors


def test_a_clip_recognised_in_a_padded_batch_gives_the_same_scores(recognizer, spoken):
    short, long = sorted((log_mel(audio) for audio in spoken["en-us"]), key=lambda mel: mel.shape[1])
    batch = torch.zeros(2, 80, long.shape[1])
    batch[0, :, : short.shape[1]], batch[1] = short, long
    scores, lengths = recognizer(batch, torch.tensor([short.shape[1], long.shape[1]]))
    alone, _ = recognizer(short[None])
    assert alone.shape[1] == lengths[0]
    torch.testing.assert_close(scores[0, : lengths[0]], alone[0], atol=1e-4, rtol=1e-4)


def test_two_clips_of_a_voice_are_nearer_than_another_voice(speaker_net, spoken):
    (a1, a2), (b1, b2) = ([speaker_net.embed(clip) for clip in clips] for clips in spoken.values())
    assert a1.dtype == np.float32 and a1.shape == (speaker_net.config.size,)
    assert np.linalg.norm(a1) == pytest.approx(1.0, abs=1e-5)
    assert min(a1 @ a2, b1 @ b2) > max(a1 @ b1, a1 @ b2, a2 @ b1, a2 @ b2)
    assert speaker_net.name == "xvector"


@pytest.mark.parametrize("samples", [1, 100, 2400])
def test_very_short_audio_is_accepted(recognizer, speaker_net, samples):
    assert isinstance(recognizer.transcribe(noise(1.0)[:samples]), list)
    assert np.isfinite(speaker_net.embed(noise(1.0)[:samples])).all()


@pytest.mark.parametrize("audio", [np.zeros(0), np.zeros((2, 4800)), np.full(4800, np.nan)])
def test_invalid_clips_are_refused(recognizer, audio):
    with pytest.raises(ValueError, match="non-empty channel of finite samples"):
        recognizer.transcribe(audio)


def test_the_judges_are_frozen_and_reproducible(recognizer, speaker_net, spoken):
    audio = spoken["en-us"][0]
    for judge in (recognizer, speaker_net):
        assert not judge.training and not any(p.requires_grad for p in judge.parameters())
    assert recognizer.transcribe(audio) == load_recognizer().transcribe(audio)
    np.testing.assert_array_equal(speaker_net.embed(audio), load_speaker_net().embed(audio))


@pytest.mark.parametrize("name", LIMITS)
def test_size_and_provenance_of_the_shipped_weights(name):
    path = ASSETS / f"{name}.safetensors"
    info = json.loads(path.with_suffix(".json").read_text())
    parameters, size = LIMITS[name]
    assert info["parameters"] <= parameters and path.stat().st_size <= size
    assert info["sha256"] == sha256_of(path)
    assert info["measured"] and info["training"]


@pytest.mark.parametrize(("name", "load"), [("recognizer", load_recognizer), ("speaker_net", load_speaker_net)])
def test_loading_is_strict(tmp_path, name, load):
    for suffix in ("safetensors", "json"):
        shutil.copy(ASSETS / f"{name}.{suffix}", tmp_path)
    load(tmp_path)
    weights, info = tmp_path / f"{name}.safetensors", tmp_path / f"{name}.json"
    whole = load_file(weights)
    save_file({key: value for key, value in whole.items() if key != "head.bias"}, weights)
    with pytest.raises(VoicecloneError, match="head.bias"):
        load(tmp_path)
    save_file({**whole, "head.bias": whole["head.bias"] * float("nan")}, weights)
    with pytest.raises(VoicecloneError, match="head.bias holds NaN"):
        load(tmp_path)
    weights.unlink()
    with pytest.raises(VoicecloneError, match=weights.name):
        load(tmp_path)
    info.write_text(json.dumps({**json.loads(info.read_text()), "config": {"breadth": 3}}))
    with pytest.raises(VoicecloneError, match="breadth"):
        load(tmp_path)
    info.write_text("{")
    with pytest.raises(VoicecloneError, match="damaged"):
        load(tmp_path)


def test_equal_error_rate_of_known_scores():
    assert measuring.equal_error_rate(np.array([0.8, 0.9]), np.array([0.1, 0.2, 0.3])) == 0.0
    assert measuring.equal_error_rate(np.array([0.1, 0.2]), np.array([0.8, 0.9])) == 1.0
    same, other = np.array([0.4, 0.6, 0.7, 0.8]), np.array([0.1, 0.2, 0.3, 0.5])
    assert measuring.equal_error_rate(same, other) == 0.25


def test_speaker_measures_of_a_perfect_and_a_constant_encoder():
    groups = {"few": {s: [np.full(3, float(s)) for _ in range(3)] for s in range(3)}}
    perfect = measuring.speaker_measures(lambda audio: np.eye(3)[int(audio[0])], groups)["few"]
    blind = measuring.speaker_measures(lambda audio: np.ones(1), groups)["few"]
    assert (perfect["first_percent"], perfect["same_cosine"], perfect["nearest_other_cosine"]) == (100.0, 1.0, 0.0)
    assert perfect["equal_error_percent"] == 0.0
    assert blind["first_percent"] == 0.0 and blind["same_cosine"] == blind["nearest_other_cosine"] == 1.0


def tones(rng: np.random.Generator, places: list[int]) -> np.ndarray:
    """A log-mel in which each of ``places`` lights another band for 12 frames."""
    mel = rng.normal(-6, 0.3, (80, 12 * len(places)))
    for position, place in enumerate(places):
        mel[10 * place : 10 * place + 10, 12 * position : 12 * position + 12] += 6
    return mel.astype(np.float16)


def test_training_the_recognizer_can_be_repeated_and_leaves_the_random_state():
    rng = np.random.default_rng(0)
    orders = [[int(p) for p in rng.permutation(8)] for _ in range(12)]
    features, phones = [tones(rng, order) for order in orders], [[ALPHABET[p] for p in order] for order in orders]
    state = torch.random.get_rng_state()
    nets = []
    for _ in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            nets.append(PhoneRecognizer(RecognizerConfig(width=16, dilations=(1,))))
        before = nets[-1].head.weight.clone()
        train_recognizer(features, phones, JudgeTraining(steps=5, frames=1200), nets[-1])
        assert not torch.equal(nets[-1].head.weight, before)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True))


def test_training_the_speaker_encoder_separates_speakers():
    rng = np.random.default_rng(0)
    places = [[1, 3], [2, 5], [4, 6], [0, 7]]
    clips = [[[tones(rng, place * 12) for _ in range(3)] for place in places]]
    net = SpeakerNet(SpeakerNetConfig(width=16, pooled=16, size=8))
    train_speaker_net(clips, JudgeTraining(steps=40, crops=16, crop_seconds=(0.5, 1.0)), net)
    with torch.no_grad():
        vectors = net(torch.from_numpy(np.stack([tones(rng, place * 12) for place in places * 2])).float())
    same, other = (vectors[:4] * vectors[4:]).sum(1), (vectors[:4] * vectors[4:].roll(1, 0)).sum(1)
    assert same.min() > other.max()
