"""A small corpus of two eSpeak-NG speakers, made once for all tests of training."""

import numpy as np
import pytest

from voiceclone.models.presets import tiny_config
from voiceclone.training import corpus as corpus_module
from voiceclone.training.corpus import Corpus, prepare_corpus, read_rows
from voiceclone.training.synthesis import SynthesisConfig, synthesize_corpus

SENTENCES = (
    "The boat left early.", "A dog ran over the hill.", "She read the letter twice.", "We walked to the old mill.",
    "Rain fell all day long.", "He sold his father's house.", "The lamp went out at nine.", "They found a silver ring.",
    "Nobody opened the gate.", "The garden was very still.", "Birds sang in the tall trees.", "I lost my way at night.",
)  # fmt: skip


def crude_phonemes(text):
    """Letters stand in for phonemes: quick, and enough where only the plumbing is tested."""
    return text.lower().replace("c", "k").replace("g", "ɡ")


def crude_f0(audio):
    """Autocorrelation peak where the frame is loud: pYIN takes longer than all of training here."""
    frames = 1 + len(audio) // 300
    padded = np.pad(np.asarray(audio, dtype=np.float64), (600, 900))
    f0 = np.zeros(frames, dtype=np.float32)
    for index in range(frames):
        frame = padded[index * 300 : index * 300 + 1200]
        if np.sqrt(np.mean(frame**2)) > 0.02:
            correlation = np.correlate(frame, frame, "full")[1199:]
            f0[index] = 24000 / (60 + int(np.argmax(correlation[60:400])))
    return f0


@pytest.fixture(scope="session")
def spoken(tmp_path_factory):
    """AudioFolder with two training speakers and one kept out."""
    folder = tmp_path_factory.mktemp("spoken")
    text = folder / "text.txt"
    text.write_text("\n".join(SENTENCES), encoding="utf-8")
    config = SynthesisConfig(speakers=3, held_out=1, sentences=6, seed=1)
    synthesize_corpus(text, folder, config, crude_phonemes, tiny_config()["vocab"])
    return folder


@pytest.fixture(scope="session")
def cache(spoken, tmp_path_factory):
    """Folder with the features of the training speakers."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_module, "track_f0", crude_f0)
        prepare_corpus(read_rows([spoken / "train"]), folder, tiny_config()["vocab"])
    return folder


@pytest.fixture(scope="session")
def corpus(cache):
    """The training speakers with features."""
    return Corpus([cache])


@pytest.fixture(scope="session")
def unseen(spoken, tmp_path_factory):
    """The speaker kept out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_module, "track_f0", crude_f0)
        return prepare_corpus(read_rows([spoken / "heldout"]), tmp_path_factory.mktemp("cache"), tiny_config()["vocab"])
