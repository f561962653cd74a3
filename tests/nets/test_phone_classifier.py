"""The phone classifier: accuracy on speech, frame labels, and training."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from voiceclone.audio.features import LogMel
from voiceclone.audio.io import read_audio
from voiceclone.base_training.phone_classifier import PhoneClassifierTraining, train_phone_classifier
from voiceclone.bases.base import load_base
from voiceclone.errors import VoicecloneError
from voiceclone.files import sha256_of
from voiceclone.models.frozen_kokoro import FrozenKokoro
from voiceclone.nets.phone_classifier import (
    ASSETS,
    UNLABELLED,
    PhoneClassifier,
    PhoneClassifierConfig,
    frame_accuracy,
    frame_labels,
    load_phone_classifier,
    phone_gap,
    phone_loss,
)
from voiceclone.projection.initialization import neutral_initialization
from voiceclone.projection.preparation import classifier_is_reliable
from voiceclone.projection.targets import aligned, prepare_target
from voiceclone.text.alphabet import ALPHABET

KOKORO_SPEECH = Path(__file__).resolve().parents[1] / "data" / "kokoro_speech"
PHONEMES = "ðə smˈɔl ɡɹˈin bˈOt kɹˈɔst ðə ɹˈɪvəɹ, ænd wi ˈɔl lˈʊkt ˈʌp."


@pytest.fixture(scope="module")
def phone_classifier() -> PhoneClassifier:
    return load_phone_classifier()


@pytest.fixture(scope="module")
def spoken():
    """nano speaking a sentence that nothing was trained on: log-mel ``(1, 80, 2F)`` and labels ``(1, F)``."""
    base = load_base("nano", offline=True)
    kokoro = FrozenKokoro(base.kmodel, torch.device("cpu"))
    text = kokoro.text(PHONEMES)
    torch.manual_seed(0)
    audio, durations = kokoro.speak(text, base.stock_voices["af_heart"].row(text.phoneme_count))
    mel = LogMel()(audio[None])[..., : 2 * int(durations.sum())]
    return mel, frame_labels(text.symbols, durations)[None], base, kokoro


def test_it_recognizes_the_phones_that_are_spoken_and_no_others(phone_classifier, spoken) -> None:
    mel, labels, *_ = spoken
    assert classifier_is_reliable(frame_accuracy(phone_classifier(mel), labels)), "the term phones is used on nano"
    assert frame_accuracy(phone_classifier(mel), labels.roll(7, dims=1)) < 0.3
    assert phone_loss(phone_classifier(mel), labels) < 0.5 * phone_loss(phone_classifier(mel), labels.roll(7, dims=1))


@pytest.mark.slow  # test_finetune.py aligns one of these utterances
def test_its_posteriors_bring_boundaries_nearer_to_the_true_ones(phone_classifier, spoken) -> None:
    """Kokoro-82M's speech with known timing, aligned by nano: with phone posteriors, without, and without warping."""
    *_, base, kokoro = spoken
    voice = neutral_initialization(base.stock_voices).vector
    errors = {"posteriors": [], "mel": [], "stretched": []}
    for line in (KOKORO_SPEECH / "metadata.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        true = torch.tensor(row["durations"])
        audio = read_audio(KOKORO_SPEECH / row["file_name"])
        target = prepare_target(row["file_name"], row["phonemes"], audio, kokoro)
        for way, found in errors.items():
            used = phone_classifier if way == "posteriors" else None
            clip, _ = aligned(target, kokoro, voice, LogMel(), phone_classifier=used, warp=way != "stretched")
            distance = torch.cumsum(clip.alignment.durations - true, dim=0)[:-1].float()
            found.append(float((distance - distance.median()).abs().mean()))  # trimming moves the clip as a whole
    assert sum(errors["posteriors"]) < 0.9 * sum(errors["mel"]) < 0.5 * sum(errors["stretched"]), errors


def test_smeared_speech_has_a_higher_loss_and_the_gradient_lowers_it(phone_classifier, spoken) -> None:
    mel, labels, *_ = spoken
    smeared = torch.nn.functional.avg_pool2d(mel, (9, 15), stride=1, padding=(4, 7)).requires_grad_()
    loss = phone_loss(phone_classifier(smeared), labels)
    assert loss > 1.5 * phone_loss(phone_classifier(mel), labels)
    loss.backward()
    step = smeared.detach() - 0.5 * smeared.grad / smeared.grad.abs().max()
    assert phone_loss(phone_classifier(step), labels) < loss


def test_level_and_equalisation_do_not_change_the_posteriors(phone_classifier, spoken) -> None:
    mel, labels, *_ = spoken
    coloured = mel + 0.2 + torch.linspace(-0.3, 0.3, 80)[None, :, None]
    torch.testing.assert_close(phone_classifier(coloured), phone_classifier(mel), atol=1e-3, rtol=1e-3)


def test_frames_get_the_label_of_their_phone() -> None:
    labels = frame_labels("ˈæ b☃", torch.tensor([2, 1, 3, 1, 2, 1, 2]))
    ae, b = ALPHABET.index("æ"), ALPHABET.index("b")
    assert labels.tolist() == [UNLABELLED] * 3 + [ae] * 3 + [UNLABELLED] + [b] * 2 + [UNLABELLED] * 3
    with pytest.raises(ValueError, match="2 durations for 3 tokens"):
        frame_labels("b", torch.tensor([1, 1]))


def test_the_gap_is_by_how_much_another_phone_is_likelier() -> None:
    labels = torch.tensor([UNLABELLED, 0, 1, UNLABELLED])
    posteriors = torch.tensor([[0.9, 0.8, 0.6, 0.0], [0.1, 0.2, 0.3, 1.0]])
    assert phone_gap(posteriors, labels) == pytest.approx(0.5 * math.log(2.0), abs=1e-5)
    impossible = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert phone_gap(impossible, torch.tensor([0, 1])) == pytest.approx(-math.log(1e-4), abs=1e-4)
    assert phone_gap(posteriors, torch.full((4,), UNLABELLED)) == 0.0


def test_a_crop_without_a_phone_costs_nothing() -> None:
    scores = torch.randn(2, len(ALPHABET), 5, requires_grad=True)
    loss = phone_loss(scores, torch.full((2, 5), UNLABELLED))
    loss.backward()
    assert float(loss.detach()) == 0 and not scores.grad.any()


def test_it_is_frozen_and_its_provenance_stands_beside_it(phone_classifier) -> None:
    assert not phone_classifier.training and not any(p.requires_grad for p in phone_classifier.parameters())
    info = json.loads((ASSETS / "phone_classifier.json").read_text())
    assert info["sha256"] == sha256_of(ASSETS / "phone_classifier.safetensors")
    shares = {name: found["frame_accuracy_percent"] for name, found in info["measured"].items()}
    assert shares["teacher, unheard voices and sentences"] > 70 and shares["recordings, kept-out speakers"] > 60


def test_loading_is_strict(tmp_path) -> None:
    for suffix in ("safetensors", "json"):
        shutil.copy(ASSETS / f"phone_classifier.{suffix}", tmp_path)
    info = json.loads((tmp_path / "phone_classifier.json").read_text())
    (tmp_path / "phone_classifier.json").write_text(json.dumps({**info, "config": {**info["config"], "width": 64}}))
    with pytest.raises(VoicecloneError, match=r"phone_classifier\.safetensors"):
        load_phone_classifier(folder=tmp_path)
    (tmp_path / "phone_classifier.json").write_text(json.dumps({**info, "alphabet": ["x"]}))
    with pytest.raises(VoicecloneError, match="another alphabet"):
        load_phone_classifier(folder=tmp_path)
    (tmp_path / "phone_classifier.json").write_text("{")
    with pytest.raises(VoicecloneError, match=r"phone_classifier\.json cannot be used"):
        load_phone_classifier(folder=tmp_path)


class Tones:
    """Speech in which each phone has its own band."""

    def crops(self, count: int, frames: int, recorded_share: float, rng: np.random.Generator):
        labels = np.repeat(rng.integers(0, 6, (count, frames // 4)), 4, axis=1)
        mels = np.full((count, 80, 2 * labels.shape[1]), -1.0, dtype=np.float32)
        for crop, row in enumerate(labels):
            for frame, label in enumerate(row):
                mels[crop, 12 * label : 12 * label + 12, 2 * frame : 2 * frame + 2] = 1.0
        return torch.from_numpy(mels), torch.from_numpy(labels)


def test_training_learns_can_be_repeated_and_leaves_the_random_state() -> None:
    config = PhoneClassifierTraining(steps=60, batch=8, crop_frames=(40, 48), log_every=1000)
    mels, labels = Tones().crops(4, 40, 0.0, np.random.default_rng(9))
    state, shares = torch.random.get_rng_state(), []
    for _ in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            net = PhoneClassifier(PhoneClassifierConfig(width=32, dilations=(1, 2)))
        before = frame_accuracy(net.eval()(mels), labels)
        train_phone_classifier(Tones(), config, net)
        shares.append(frame_accuracy(net(mels), labels))
    assert before < 0.5 < 0.9 < shares[0] == shares[1]
    assert torch.equal(torch.random.get_rng_state(), state)
