"""Training and test speech of the evaluation's networks (phone recogniser and speaker encoder)."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from voiceclone.audio.io import SAMPLE_RATE, read_audio, resample
from voiceclone.base_training.batches import BatchMaker
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.judges_measuring import disturbed, mfcc_embed, phone_error_percent, speaker_measures
from voiceclone.base_training.judges_training import JudgeTraining, train_recognizer, train_speaker_net
from voiceclone.base_training.measures import resemblyzer_embed
from voiceclone.errors import UsageError
from voiceclone.files import sha256_of, write_json
from voiceclone.models.checkpoint import save_state
from voiceclone.nets.front_end import log_mel
from voiceclone.nets.phone_recognizer import PhoneRecognizer
from voiceclone.nets.xvector import SpeakerNet
from voiceclone.text.alphabet import ALPHABET, to_alphabet

logger = logging.getLogger(__name__)

# repeats of recorded speech in training, because there are minutes of it and hours of synthesised speech
RECORDED_REPEATS = 5
# held-out clips of each training speaker, synthesised (False) and recorded (True), for testing the speaker encoder
UNHEARD_CLIPS = {False: 4, True: 3}
FURTHER_SET = "librispeech"  # dataset of the further speakers, with which their names in the run begin
UNHEARD_SPEAKERS = 31  # number of further speakers that are held out
PIECES = 4  # pieces into which the single recording of a held-out further speaker is cut
SPEEDS = (1.0, 0.92, 1.1)  # speed perturbation; each speed counts as a different speaker

Clips = dict[str, list[np.ndarray]]
"""24 kHz audio ``(T,)`` by speaker."""


@dataclass(frozen=True, kw_only=True)
class JudgeMaterial:
    """Speech by its use."""

    corpus: Corpus
    """Speakers of the base's training."""
    unheard: tuple[int, ...]
    """Utterances of ``corpus`` that the base's training holds out; they are not used for training here either."""
    kept_out: Corpus
    """Speakers that are not used for any training."""
    further: dict[str, Path]
    """Additional recorded speakers with one recording each and no transcripts."""
    recorded: frozenset[str]
    """Recorded (not synthesised) speakers of both corpora."""

    @classmethod
    def read(cls, cache: Path, further: Path, recorded: tuple[str, ...]) -> JudgeMaterial:
        """Read the caches of a ``train-base`` run and a folder of recordings named ``SPEAKER-*.flac``.

        Raises:
            UsageError: a folder lacks required files, or a held-out speaker is among the additional ones.
        """
        parts = [sorted(p.parent for p in cache.glob(f"{kind}-*/index.json")) for kind in ("data", "kept-out")]
        files = sorted(further.glob("*.flac"))
        if not all(parts) or not files:
            raise UsageError(f"{cache if not all(parts) else further}: holds no speech: give --run and --clips")
        corpus, kept_out = Corpus(parts[0]), Corpus(parts[1])
        others = {f"{FURTHER_SET}_{path.name.split('-')[0]}": path for path in files}
        if twice := set(others) & {*corpus.speakers, *kept_out.speakers}:
            raise UsageError(f"{further}: {sorted(twice)[0]} is among the speakers of the run already: take it out")
        unheard = tuple(BatchMaker(corpus, TrainConfig(steps=1)).validation)
        return cls(corpus=corpus, unheard=unheard, kept_out=kept_out, further=others, recorded=frozenset(recorded))


def make_recognizer(material: JudgeMaterial, config: JudgeTraining, out: Path) -> dict[str, Any]:
    """Train, test and save the phone recogniser; returns its provenance."""
    corpus = material.corpus
    heard = sorted(set(range(len(corpus.utterances))) - set(material.unheard))
    repeated = [i for i in heard for _ in range(RECORDED_REPEATS if _recorded(material, corpus, i) else 1)]
    mels = {i: _features(corpus.audio(i)) for i in heard}
    phones = {i: to_alphabet(corpus.utterances[i].phonemes) for i in heard}
    net = PhoneRecognizer()
    train_recognizer([mels[i] for i in repeated], [phones[i] for i in repeated], config, net)
    return write_judge(net, out, "recognizer", asdict(config), recognizer_measures(net.eval(), material))


def recognizer_measures(net: PhoneRecognizer, material: JudgeMaterial) -> dict[str, dict[str, float]]:
    """Phone error rates on recordings by group of speakers."""
    corpus, kept_out = material.corpus, material.kept_out
    measured = {}
    for name, source, indices, is_recorded in (
        ("synthesised, trained speakers, unheard sentences", corpus, material.unheard, False),
        ("synthesised, kept-out speakers", kept_out, range(len(kept_out.utterances)), False),
        ("recorded, trained speakers, unheard sentences", corpus, material.unheard, True),
        ("recorded, kept-out speakers", kept_out, range(len(kept_out.utterances)), True),
    ):
        chosen = [i for i in indices if _recorded(material, source, i) == is_recorded]
        spoken = [(source.audio(i), source.utterances[i].phonemes) for i in chosen]
        if spoken:
            percent = phone_error_percent(net, spoken)
            measured[name] = {"phone_error_percent": round(percent, 1), "utterances": len(spoken)}
    return measured


def make_speaker_net(material: JudgeMaterial, config: JudgeTraining, out: Path) -> dict[str, Any]:
    """Train, test and save the speaker encoder; returns its provenance."""
    heard, groups = split_speakers(material)
    features = [
        [[_features(_played(clip, speed)) for clip in clips] for speed in SPEEDS for clips in group] for group in heard
    ]
    net = SpeakerNet()
    train_speaker_net(features, config, net)
    return write_judge(net, out, "speaker_net", asdict(config), compare_encoders(net.eval(), heard, groups))


def compare_encoders(
    net: SpeakerNet, heard: list[list[list[np.ndarray]]], groups: dict[str, Clips]
) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Metrics by condition (plain, augmented), encoder and group; includes Resemblyzer where it is installed."""
    rng = np.random.default_rng(23)
    rough = {
        name: {s: [disturbed(a, rng) for a in clips] for s, clips in group.items()} for name, group in groups.items()
    }
    encoders = {"speaker_net": net.embed}
    encoders["MFCC statistics"] = mfcc_embed([clip for group in heard for clips in group for clip in clips[:2]])
    if (other := resemblyzer_embed()) is not None:
        encoders["Resemblyzer"] = other
    return {
        condition: {name: speaker_measures(embed, clips) for name, embed in encoders.items()}
        for condition, clips in (("whole clips", groups), ("2 s, coloured, noisy", rough))
    }


def split_speakers(material: JudgeMaterial) -> tuple[list[list[list[np.ndarray]]], dict[str, Clips]]:
    """Training clips by group (synthesised, recorded) and speaker, and test clips by group and speaker."""
    rng = np.random.default_rng(17)
    corpus, kept_out = material.corpus, material.kept_out
    heard: list[list[list[np.ndarray]]] = [[], []]
    groups: dict[str, Clips] = {
        name: {}
        for name in ("synthesised, trained speakers, unheard clips", "synthesised, kept-out speakers",
                     "recorded, trained speakers, unheard clips", "recorded, kept-out speakers")
    }  # fmt: skip
    by_kind = {False: list(groups)[:2], True: list(groups)[2:]}
    for speaker, indices in corpus.by_speaker.items():
        kind = speaker in material.recorded
        back = [i for i in indices if i in material.unheard]
        others = [int(i) for i in rng.permutation([i for i in indices if i not in material.unheard])]
        back += others[: max(UNHEARD_CLIPS[kind] - len(back), 0)]
        groups[by_kind[kind][0]][speaker] = [corpus.audio(i) for i in back]
        heard[kind].append([corpus.audio(i) for i in indices if i not in back])
    for speaker, indices in kept_out.by_speaker.items():
        groups[by_kind[speaker in material.recorded][1]][speaker] = [kept_out.audio(i) for i in indices]
    unheard = set(rng.choice(sorted(material.further), UNHEARD_SPEAKERS, replace=False).tolist())
    groups["recorded, further speakers kept out, quarters of one recording"] = {
        speaker: np.array_split(read_audio(material.further[speaker]), PIECES) for speaker in sorted(unheard)
    }
    heard[True] += [[read_audio(path)] for speaker, path in material.further.items() if speaker not in unheard]
    return heard, groups


def _recorded(material: JudgeMaterial, corpus: Corpus, index: int) -> bool:
    return corpus.utterances[index].speaker in material.recorded


def _features(audio: np.ndarray) -> np.ndarray:
    return log_mel(audio).numpy().astype(np.float16)


def write_judge(
    net: nn.Module, out: Path, name: str, training: dict[str, Any], measured: dict[str, Any]
) -> dict[str, Any]:
    """Write the weights (float16) and a JSON file with config, training and metrics; returns the latter's content."""
    path = Path(out) / f"{name}.safetensors"
    save_state(net, path, half=True)
    info = {
        "name": name,
        "config": asdict(net.config),
        "parameters": sum(p.numel() for p in net.parameters()),
        "training": training,
        "measured": measured,
        "sha256": sha256_of(path),
    }
    if name == "recognizer":
        info["alphabet"] = list(ALPHABET)
    write_json(path.with_suffix(".json"), info)
    return info


def _played(audio: np.ndarray, speed: float) -> np.ndarray:
    return resample(audio, round(SAMPLE_RATE * speed), SAMPLE_RATE)
