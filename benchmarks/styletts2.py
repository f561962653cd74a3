#!/usr/bin/env python3
"""Train the optional parts of StyleTTS2 one at a time, and print one table; finished runs are not repeated.

    python -m voiceclone train-base --data corpus/train --preset nano --out START --minutes 45 \\
        --settings scripts/from_scratch_settings.json --compile --bfloat16
    python benchmarks/styletts2.py --data corpus/train --work WORK --init START/base --minutes 6 --seeds 0 1 2
    python benchmarks/styletts2.py --data corpus/train --work WORK --steps 100 --seeds 0 1 2 --only istftnet hifigan
    python benchmarks/styletts2.py --work WORK --table

The runs: for --minutes (or --steps, which other work on the machine does not change) and every seed, from the same
trained base, the basic recipe (narrow discriminators), all discriminators with TPRLS, the adversary on Whisper's
features, and the style sampler. The decoders are compared from random weights after equally many steps. Measured on
held-out utterances: log-mel distance and mel-cepstral distortion with true prosody; with all prosody predicted, phone
errors and similarity by the package's speaker encoder; and the spread over eight samples of a sentence of log F0 and
rate, against that of the speaker's own utterances. Phone errors are by the package's phone recogniser, since Whisper
is in the loss of one run.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from training_corpus import corpus_of

from voiceclone.audio.features import track_f0
from voiceclone.base_training.batches import BatchMaker
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import MAX_TOKENS, Corpus
from voiceclone.base_training.export import averaged_trainee
from voiceclone.base_training.losses import SpectralLoss
from voiceclone.base_training.measures import (
    speak_phonemes,
    spoken_measures,
    teacher_forced_audio,
)
from voiceclone.base_training.objective import Trainee
from voiceclone.base_training.recorded import RecordedSystem
from voiceclone.base_training.stock_voices import speaker_styles, stock_voice
from voiceclone.base_training.styletts2.style_diffusion import averaged_diffusion
from voiceclone.base_training.trainer import CHECKPOINT, read_checkpoint
from voiceclone.base_training.training_run import TrainingRun
from voiceclone.errors import VoicecloneError
from voiceclone.evaluation.metrics import cepstra, mel_cepstral_distortion
from voiceclone.files import write_json
from voiceclone.nets.phone_recognizer import load_recognizer
from voiceclone.nets.xvector import load_speaker_net
from voiceclone.style.sampling import SampledVoice, SamplingSettings

CONTINUED: dict[str, dict[str, Any]] = {
    "basic": {},
    "full discriminators": {"discriminators": "full", "tprls": True},
    # The run is too short for the adversary's usual start, and lengths of this base are off by more than 5 %.
    "slm": {"slm": "whisper", "slm_share": 0.2, "slm_max_duration_error": 0.2},
    "diffusion": {"diffusion": True, "diffusion_share": 0.0},
}
DECODERS: dict[str, dict[str, Any]] = {"istftnet": {"decoder": "istftnet"}, "hifigan": {"decoder": "hifigan"}}
SETTINGS: dict[str, Any] = {
    "system": "styletts2", "preset": "nano", "adversarial_share": 0.05, "discriminator_every": 2, "learning_rate": 5e-4,
    "warmup_steps": 20,
}  # fmt: skip
SAMPLES = 8
VOICE_UTTERANCES = 12
VARIED_SPEAKERS = 4
MEASURES = "measures.json"


def main() -> int:
    """Parse, train what is asked for, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", nargs="+", type=Path, default=[], help="datasets, as train-base takes them")
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--init", type=Path, help="base that all runs but the decoders' continue")
    parser.add_argument("--minutes", type=float, default=6, help="of each continued run without --steps (default: 6)")
    parser.add_argument("--steps", type=int, help="of each run (default: --minutes; of the decoders: 100)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=[*CONTINUED, *DECODERS], help="these runs alone")
    parser.add_argument("--settings", type=Path, help="JSON with other settings of every run")
    parser.add_argument("--utterances", type=int, default=24, help="measured at most (default: 24)")
    parser.add_argument("--table", action="store_true", help="train nothing: print what is there")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    try:
        if not options.table:
            _train_all(options)
    except VoicecloneError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(
        table({path.parent.name: json.loads(path.read_text()) for path in sorted(options.work.glob(f"*/{MEASURES}"))})
    )
    return 0


def _train_all(options: argparse.Namespace) -> None:
    corpus = corpus_of(options.data, options.work / "cache")
    more = json.loads(options.settings.read_text()) if options.settings else {}
    for seed in options.seeds:
        for name in options.only or [*CONTINUED, *DECODERS]:
            out = options.work / f"{name.replace(' ', '-')}-seed{seed}"
            if (out / MEASURES).is_file():
                continue
            logging.info("%s", out.name)
            config = TrainConfig.from_json({**SETTINGS, "seed": seed, **more, **_own_settings(name, options)})
            init = options.init if name in CONTINUED else None
            run = TrainingRun(corpus=corpus, config=config, out=out, resume=(out / CHECKPOINT).is_file(), init=init)
            system = RecordedSystem(corpus, config)
            run.trainer(system).run()
            system.report_unused()
            write_json(out / MEASURES, measure(corpus, out, options.utterances))


def _own_settings(name: str, options: argparse.Namespace) -> dict[str, Any]:
    if name in DECODERS:
        return {"steps": options.steps or 100, "system_settings": DECODERS[name], "adversarial_share": 1.0}
    length = {"steps": options.steps} if options.steps else {"minutes": options.minutes}
    return {**length, "system_settings": CONTINUED[name]}


def measure(corpus: Corpus, out: Path, most: int) -> dict[str, float]:
    """The figures of one run."""
    checkpoint = read_checkpoint(out)
    trainee = averaged_trainee(checkpoint)
    batches = BatchMaker(corpus, TrainConfig.from_json(checkpoint["config"]))
    indices = batches.validation[:most]
    found = {"steps": float(checkpoint["step"]), "minutes": checkpoint["seconds"] / 60}
    found |= _reconstruction(trainee, batches, indices)
    packs = {
        speaker: stock_voice(corpus, trainee.encoders, speaker, indices=batches.training[speaker][:VOICE_UTTERANCES])
        for speaker in {corpus.utterances[index].speaker for index in indices}
    }
    embed, recognizer = load_speaker_net().embed, load_recognizer()
    found |= spoken_measures(trainee.model, corpus, packs, indices, embed=embed, recognizer=recognizer)
    found["slm_steps"] = float((checkpoint.get("slm") or {}).get("steps", 0))
    return found | _variety(corpus, checkpoint, trainee, batches, packs)


def _reconstruction(trainee: Trainee, batches: BatchMaker, indices: list[int]) -> dict[str, float]:
    """Log-mel distance and mel-cepstral distortion with true prosody."""
    spectral, mels, distortions = SpectralLoss(), [], []
    for index in indices:
        audio, target = teacher_forced_audio(trainee.model, trainee.encoders, batches, index)
        mels.append(float(spectral(audio[None], target[None])["mel"]))
        distortions.append(mel_cepstral_distortion(cepstra(audio.numpy()), cepstra(target.numpy())))
    return {"mel_l1": float(np.mean(mels)), "mcd_db": float(np.mean(distortions))}


def _variety(
    corpus: Corpus, checkpoint: dict[str, Any], trainee: Trainee, batches: BatchMaker, packs: dict[str, Tensor]
) -> dict[str, float]:
    """Spread over samples of a sentence, as a share of the spread over the speaker's own utterances; phone errors."""
    state, sampler = checkpoint.get("diffusion"), None
    if state and state["steps"]:
        sampler = averaged_diffusion(state, trainee)
        picked = [index for indices in batches.training.values() for index in indices[:VOICE_UTTERANCES]]
        sampler.calibrate(speaker_styles(corpus, trainee.encoders, picked, MAX_TOKENS))
    recognizer = load_recognizer()
    shares: dict[str, list[float]] = {"f0_variety": [], "rate_variety": []}
    wrong: list[tuple[float, float]] = []
    speakers = sorted(packs)[:VARIED_SPEAKERS]
    for speaker in speakers:
        index = next(i for i in batches.validation if corpus.utterances[i].speaker == speaker)
        phonemes, values = corpus.utterances[index].phonemes, []
        for seed in range(SAMPLES):
            voice = packs[speaker]
            if sampler is not None:
                settings = SamplingSettings(alpha=0.3, beta=0.7)
                voice = SampledVoice(trainee.model, sampler, voice, settings, seed=seed)(phonemes)
            audio, frames = speak_phonemes(trainee.model, phonemes, voice, seed=seed)
            wrong.append(recognizer.error_rate(audio, phonemes))
            values.append(_prosody(track_f0(audio), frames))
        own = [_prosody(corpus.f0(i), np.array(corpus.utterances[i].durations)) for i in corpus.by_speaker[speaker]]
        ours, theirs = np.nanstd(values, axis=0), np.nanstd(own, axis=0)
        for name, value in zip(shares, ours / theirs):
            shares[name].append(float(value))
    errors, phones = np.sum(wrong, axis=0)
    means = {name: float(np.nanmean(values)) for name, values in shares.items()}
    return means | {"sampled_phone_error_percent": 100 * float(errors) / float(phones)}


def _prosody(f0: np.ndarray, frames: np.ndarray) -> tuple[float, float]:
    """Median log F0 (NaN without voiced frames) and log rate, in tokens per frame without BOS and EOS."""
    voiced = f0[f0 > 0]
    median = float(np.log(np.median(voiced))) if len(voiced) > 5 else float("nan")
    return median, float(np.log((len(frames) - 2) / max(frames[1:-1].sum(), 1)))


def table(runs: dict[str, dict[str, float]]) -> str:
    """Markdown: the runs of a name with the mean over the seeds and, after ±, the standard deviation."""
    names = list(dict.fromkeys(run.rsplit("-seed", 1)[0] for run in runs))
    columns = list(dict.fromkeys(column for values in runs.values() for column in values))
    rows = ["| run | seeds | " + " | ".join(columns) + " |", "|---" * (len(columns) + 2) + "|"]
    for name in names:
        own = [values for run, values in runs.items() if run.rsplit("-seed", 1)[0] == name]
        cells = []
        for column in columns:
            values = [one[column] for one in own if column in one]
            spread = f" ± {np.std(values, ddof=1):.2g}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.3g}{spread}" if values else "")
        rows.append(f"| {name} | {len(own)} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
