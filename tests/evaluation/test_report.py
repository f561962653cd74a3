"""The evaluation on a tiny base, with stand-ins of known behaviour."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from voiceclone.audio.io import read_audio
from voiceclone.bases.base import load_base
from voiceclone.data.dataset import Clip
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.evaluation.report import evaluate_voices
from voiceclone.evaluation.report_material import REFERENCES, choose_references, choose_utterances
from voiceclone.evaluation.voices import (
    candidates_file,
    find_voice,
    in_order,
    oracle_voice,
    parse_also,
    read_candidates,
    stock_name,
)
from voiceclone.voice.pack import VoicePack

PHONEMES = ("həlˈO ðˌɛɹ mI fɹˈɛnd", "ɐ ɡˈʊd dˈA tə jˈu", "wˌi ɑɹ hˈɪɹ nˈW", "ɪt ɪz vˈɛɹi lˈAt")


class Loudness:
    """An encoder whose output depends on the level."""

    name = "xvector"

    def embed(self, audio):
        angle = float(np.abs(audio).mean()) * 50
        return np.array([np.cos(angle), np.sin(angle)])


class OneHot:
    """An encoder that gives every recording its own orthogonal vector."""

    name = "onehot"

    def __init__(self):
        self.known = []

    def embed(self, audio):
        key = (len(audio), round(float(np.abs(audio).sum()), 3))
        if key not in self.known:
            self.known.append(key)
        return np.eye(64)[self.known.index(key)]


class Phones:
    """A recogniser that misses one phone in ten and does not support French."""

    def error_rate(self, audio, phonemes):
        if "ʁ" in phonemes:
            raise VoicecloneError("the phone recogniser knows English only")
        return len(phonemes) // 10, len(phonemes)


@pytest.fixture(scope="module")
def base(base_folder):
    return load_base(base_folder)


@pytest.fixture(scope="module")
def clips(dataset_folder):
    def clip(number):
        return Clip(
            path=dataset_folder / "train" / f"clip_{number}.wav",
            name=f"clip_{number}.wav",
            text=f"text {number}",
            phonemes=PHONEMES[number],
            seconds=1.6,
            split="validation" if number < 2 else "train",
        )

    return tuple(clip(number) for number in range(4))


@pytest.fixture(scope="module")
def evaluation(base, clips):
    voices = {"best_stock": base.stock_voices["stock_1"], "clone": base.stock_voices["stock_0"]}
    return evaluate_voices(voices, clips, base, encoders=[Loudness(), OneHot()], recognizer=Phones(), seed=3)


def test_the_object_holds_every_measure(evaluation):
    facts = json.loads(json.dumps(evaluation.as_json(), allow_nan=False))
    assert list(facts["voices"]) == ["clone", "best_stock", "recordings"]
    for name in ("clone", "best_stock"):
        voice = facts["voices"][name]
        assert set(voice["similarity"]) == {"xvector", "onehot"}
        assert set(voice["similarity"]["xvector"]) == {"mean", "low", "high"}
        for measure in ("rate_error_percent", "rate_bias_percent", "mcd_db", "phone_error_rate"):
            low, high = voice["intervals"][measure]
            assert low <= voice[measure] <= high
        assert set(voice["by_length"]) == {"5", "20", "60", "150", "400"}
        assert len(voice["utterances"]) == 2 + 5
        assert isinstance(voice["health"]["healthy"], bool)
    assert facts["voices"]["clone"]["same_as"] == "stock_0"
    assert "mcd_db" not in facts["voices"]["recordings"] and "health" not in facts["voices"]["recordings"]
    assert facts["voices"]["recordings"]["phone_error_rate"] < 0.1
    assert facts["verdict"]["line"] and facts["validation_clips"] == 2 and facts["reference_clips"] == 4


def test_phone_errors_are_summed_before_they_are_divided(evaluation):
    voice = evaluation.voices["clone"]
    errors = sum(len(p) // 10 for p in PHONEMES[:2]) + sum(s.phonemes // 10 for s in voice.scores if s.length)
    phones = sum(len(p) for p in PHONEMES[:2]) + sum(s.phonemes for s in voice.scores if s.length)
    assert voice.measures["phone_error_rate"].mean == pytest.approx(errors / phones)


def test_no_recording_is_compared_with_itself(evaluation):
    """All recordings are orthogonal for this encoder: any self-comparison would give a value above zero."""
    recordings = evaluation.voices["recordings"]
    assert recordings.similarity["onehot"].mean == 0.0
    assert len(recordings.scores) == 4


def test_the_same_seed_gives_the_same_figures(base, clips, evaluation):
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    again = evaluate_voices(
        dict(reversed(list(evaluation.packs.items()))),
        clips,
        base,
        encoders=[Loudness(), OneHot()],
        recognizer=Phones(),
        seed=3,
    )
    assert again.as_json() == evaluation.as_json()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_samples_hold_the_recording_and_every_voice(evaluation, clips):
    assert len(evaluation.samples) == 2
    for sample in evaluation.samples:
        assert list(sample.audio) == ["clone", "best_stock", "recordings"]
        own = next(clip for clip in clips if clip.text == sample.text)
        assert np.array_equal(sample.audio["recordings"], read_audio(own.path))


def test_what_the_recogniser_does_not_know_is_said(base, clips):
    odd = [clips[0], *clips[2:], Clip(clips[1].path, "odd", "text", "bɔ̃ʒuʁ a vu mɛzami", 1.6, "validation")]
    found = evaluate_voices({}, odd, base, encoders=[Loudness()], recognizer=Phones(), seed=0)
    assert any("odd" in line and "English only" in line for line in found.left_out)
    assert found.voices["recordings"].measures["phone_error_rate"].mean < 0.11
    assert found.verdict is None


def test_other_languages_have_no_held_out_sentences(base, clips):
    voices = {"clone": base.stock_voices["stock_0"]}
    found = evaluate_voices(voices, clips, base, encoders=[Loudness()], recognizer=None, lang="f", left_out=["mine"])
    assert len(found.voices["clone"].scores) == 2 and not found.voices["clone"].by_length
    assert "phone_error_rate" not in found.voices["clone"].measures
    assert found.left_out[0] == "mine" and any("held-out sentences" in line for line in found.left_out)


def test_validation_clips_are_needed_and_bounded(base, clips):
    with pytest.raises(VoicecloneError, match="no validation clip"):
        evaluate_voices({}, clips[2:], base, encoders=[], recognizer=None)
    many = [Clip(clips[0].path, f"{n}", "t", PHONEMES[0], 1.6, "validation" if n < 20 else "train") for n in range(40)]
    spoken = choose_utterances(many, lang="f", seed=1, max_clips=10)
    assert len(spoken) == 10
    assert [u.name for u in spoken] == [u.name for u in choose_utterances(many, lang="f", seed=1, max_clips=10)]
    assert [u.name for u in spoken] != [u.name for u in choose_utterances(many, lang="f", seed=2, max_clips=10)]
    # Ten held-out clips are enough; three are filled up.
    assert {clip.split for clip in choose_references(many, spoken, seed=1)} == {"validation"}
    filled = choose_references(many, spoken[:3], seed=1)
    assert [clip.split for clip in filled].count("train") == REFERENCES - 3


def test_candidates_lie_beside_the_voice(tmp_path, base):
    voice = tmp_path / "mine.pt"
    base.stock_voices["stock_0"].save(voice)
    assert read_candidates(voice) == {}
    file = candidates_file(voice)
    assert file == tmp_path / "artifacts" / "candidates.safetensors"
    file.parent.mkdir()
    tensors = {name: base.stock_voices["stock_1"].tensor.clone() for name in ("best_stock", "zero_shot", "other")}
    save_file(tensors, file)
    assert set(read_candidates(voice)) == {"best_stock", "zero_shot"}
    assert stock_name(read_candidates(voice)["best_stock"], base) == "stock_1"
    stock = base.stock_voices["stock_1"].tensor
    assert stock_name(VoicePack(stock + 1e-4), base) == "stock_1"  # rounded, as in the compact form
    assert stock_name(VoicePack(stock + 0.01), base) is None
    file.write_bytes(b"junk")
    with pytest.raises(VoicecloneError):
        read_candidates(voice)


def test_further_voices(base, tmp_path):
    assert parse_also(["a=x.pt", " b = stock_1 "], ["clone"]) == {"a": "x.pt", "b": "stock_1"}
    for wrong in (["a"], ["=x"], ["a="], ["a=x", "a=y"], ["clone=x"], ["oracle=x"], ["recordings=x"]):
        with pytest.raises(UsageError, match="also "):
            parse_also(wrong, [])
    assert find_voice("stock_1", base) is base.stock_voices["stock_1"]
    with pytest.raises(UsageError, match="stock_0"):
        find_voice("nobody", base)
    order = in_order(["recordings", "oracle", "mine", "best_stock", "clone"])
    assert order == ["clone", "best_stock", "mine", "oracle", "recordings"]


def test_the_oracle_is_the_mean_style_of_the_training_clips(base, clips):
    assert oracle_voice(base, clips, torch.device("cpu")) is None  # a base without encoders of its own
    from dataclasses import replace

    from voiceclone.style.extraction import extract_styles
    from voiceclone.voice.profile import LengthProfile

    knows = replace(base, load_own_encoders=lambda: base.style_encoders)
    found = oracle_voice(knows, clips[2:], torch.device("cpu"))
    named = [(clip.name, lambda clip=clip: read_audio(clip.path)) for clip in clips[2:]]
    mean = extract_styles(named, base.style_encoders, device=torch.device("cpu")).mean
    expected = LengthProfile.of(base.stock_voices.values()).expand(mean)
    assert torch.equal(found.tensor, expected.tensor)


def test_a_voice_without_finite_sound_is_named(base, clips):
    broken = VoicePack(torch.full((510, 1, 256), 1e38), "broken")
    with pytest.raises(VoicecloneError, match="broken"):
        evaluate_voices({"clone": broken}, clips, base, encoders=[], recognizer=None, lang="f")
