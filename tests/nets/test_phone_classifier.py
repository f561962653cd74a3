"""The listener hears phones in speech, labels fit frames, and its training learns."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from voiceclone.audio.features import LogMel
from voiceclone.base_training.phone_classifier import ListenerTraining, train_listener
from voiceclone.bases.base import load_base
from voiceclone.errors import VoicecloneError
from voiceclone.files import sha256_of
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.phone_classifier import (
    ASSETS,
    UNLABELLED,
    Listener,
    ListenerConfig,
    frame_labels,
    load_listener,
    phone_loss,
    share_heard,
)
from voiceclone.projection.preparation import listens
from voiceclone.projection.start import neutral_start
from voiceclone.projection.targets import aligned, prepare_target
from voiceclone.text.alphabet import ALPHABET

PHONEMES = "ðə smˈɔl ɡɹˈin bˈOt kɹˈɔst ðə ɹˈɪvəɹ, ænd wi ˈɔl lˈʊkt ˈʌp."


@pytest.fixture(scope="module")
def listener() -> Listener:
    return load_listener()


@pytest.fixture(scope="module")
def spoken():
    """nano speaking a sentence that nothing was trained on: log-mel ``(1, 80, 2F)`` and labels ``(1, F)``."""
    base = load_base("nano", offline=True)
    kokoro = FrozenKokoro(base.kmodel, torch.device("cpu"))
    text = kokoro.text(PHONEMES)
    torch.manual_seed(0)
    audio, durations = kokoro.speak(text, base.stock_voices["stock_andy"].row(text.phoneme_count))
    mel = LogMel()(audio[None])[..., : 2 * int(durations.sum())]
    return mel, frame_labels(text.symbols, durations)[None], base, kokoro


def test_it_hears_the_phones_that_are_spoken_and_no_others(listener, spoken) -> None:
    mel, labels, *_ = spoken
    assert listens(share_heard(listener(mel), labels)), "nano is a base that cloning listens to"
    assert share_heard(listener(mel), labels.roll(7, dims=1)) < 0.3
    assert phone_loss(listener(mel), labels) < 0.5 * phone_loss(listener(mel), labels.roll(7, dims=1))


def test_what_it_hears_brings_boundaries_nearer_to_the_true_ones(listener, spoken) -> None:
    """Speech of known timing, aligned against another voice: with the phones heard, without, and not warped at all."""
    *_, base, kokoro = spoken
    text = kokoro.text(PHONEMES)
    errors = {"heard": [], "mel": [], "stretched": []}
    for name in ("stock_andy", "stock_shelby", "v109"):
        torch.manual_seed(0)
        audio, true = kokoro.speak(text, base.stock_voices[name].row(text.phoneme_count))
        target = prepare_target(name, PHONEMES, audio.numpy(), kokoro)
        voice = neutral_start(base.stock_voices).vector
        for way, found in errors.items():
            ear = listener if way == "heard" else None
            clip, _ = aligned(target, kokoro, voice, LogMel(), listener=ear, warp=way != "stretched")
            distance = torch.cumsum(clip.alignment.durations - true, dim=0)[:-1].float()
            found.append(float((distance - distance.median()).abs().mean()))  # trimming moves the clip as a whole
    assert sum(errors["heard"]) < 0.9 * sum(errors["mel"]) < 0.5 * sum(errors["stretched"]), errors


def test_smeared_speech_is_heard_worse_and_the_gradient_says_so(listener, spoken) -> None:
    mel, labels, *_ = spoken
    smeared = torch.nn.functional.avg_pool2d(mel, (9, 15), stride=1, padding=(4, 7)).requires_grad_()
    loss = phone_loss(listener(smeared), labels)
    assert loss > 1.5 * phone_loss(listener(mel), labels)
    loss.backward()
    step = smeared.detach() - 0.5 * smeared.grad / smeared.grad.abs().max()
    assert phone_loss(listener(step), labels) < loss


def test_level_and_colour_of_a_recording_mean_nothing(listener, spoken) -> None:
    mel, labels, *_ = spoken
    coloured = mel + 0.2 + torch.linspace(-0.3, 0.3, 80)[None, :, None]
    torch.testing.assert_close(listener(coloured), listener(mel), atol=1e-3, rtol=1e-3)


def test_frames_get_the_label_of_their_phone() -> None:
    labels = frame_labels("ˈæ b☃", torch.tensor([2, 1, 3, 1, 2, 1, 2]))
    ae, b = ALPHABET.index("æ"), ALPHABET.index("b")
    assert labels.tolist() == [UNLABELLED] * 3 + [ae] * 3 + [UNLABELLED] + [b] * 2 + [UNLABELLED] * 3
    with pytest.raises(ValueError, match="2 durations for 3 tokens"):
        frame_labels("b", torch.tensor([1, 1]))


def test_a_crop_without_a_phone_costs_nothing() -> None:
    scores = torch.randn(2, len(ALPHABET), 5, requires_grad=True)
    loss = phone_loss(scores, torch.full((2, 5), UNLABELLED))
    loss.backward()
    assert float(loss.detach()) == 0 and not scores.grad.any()


def test_it_is_frozen_and_its_provenance_stands_beside_it(listener) -> None:
    assert not listener.training and not any(p.requires_grad for p in listener.parameters())
    info = json.loads((ASSETS / "listener.json").read_text())
    assert info["sha256"] == sha256_of(ASSETS / "listener.safetensors")
    assert info["measured"]["kept-out speakers"]["synthesised"]["frames_heard_percent"] > 80


def test_loading_is_strict(tmp_path) -> None:
    for suffix in ("safetensors", "json"):
        shutil.copy(ASSETS / f"listener.{suffix}", tmp_path)
    info = json.loads((tmp_path / "listener.json").read_text())
    (tmp_path / "listener.json").write_text(json.dumps({**info, "config": {**info["config"], "width": 64}}))
    with pytest.raises(VoicecloneError, match=r"listener\.safetensors"):
        load_listener(folder=tmp_path)
    (tmp_path / "listener.json").write_text(json.dumps({**info, "alphabet": ["x"]}))
    with pytest.raises(VoicecloneError, match="another alphabet"):
        load_listener(folder=tmp_path)
    (tmp_path / "listener.json").write_text("{")
    with pytest.raises(VoicecloneError, match=r"listener\.json cannot be used"):
        load_listener(folder=tmp_path)


class Tones:
    """Speech in which each phone lights a band of its own."""

    def crops(self, count: int, frames: int, recorded_share: float, rng: np.random.Generator):
        labels = np.repeat(rng.integers(0, 6, (count, frames // 4)), 4, axis=1)
        mels = np.full((count, 80, 2 * labels.shape[1]), -1.0, dtype=np.float32)
        for crop, row in enumerate(labels):
            for frame, label in enumerate(row):
                mels[crop, 12 * label : 12 * label + 12, 2 * frame : 2 * frame + 2] = 1.0
        return torch.from_numpy(mels), torch.from_numpy(labels)


def test_training_learns_can_be_repeated_and_leaves_the_random_state() -> None:
    config = ListenerTraining(steps=60, batch=8, crop_frames=(40, 48), log_every=1000)
    mels, labels = Tones().crops(4, 40, 0.0, np.random.default_rng(9))
    state, shares = torch.random.get_rng_state(), []
    for _ in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            net = Listener(ListenerConfig(width=32, dilations=(1, 2)))
        before = share_heard(net.eval()(mels), labels)
        train_listener(Tones(), config, net)
        shares.append(share_heard(net(mels), labels))
    assert before < 0.5 < 0.9 < shares[0] == shares[1]
    assert torch.equal(torch.random.get_rng_state(), state)
