#!/usr/bin/env python3
"""Train and measure a small VITS2 and its ablations, and print one table; finished runs are not repeated.

    python benchmarks/vits2.py --data corpus/train --work WORK --minutes 50 --ablation-minutes 20 --seeds 0 1 2
    python benchmarks/vits2.py --data corpus/train --work WORK --minutes 0 --ablation-minutes 3 \\
        --init WORK/main-seed0/base --only default "no noise" "convolutional discriminator" "no discriminator"
    python benchmarks/vits2.py --work WORK --table

The runs: ``main`` for --minutes with the default settings; for --ablation-minutes and every seed the default settings,
each other flow, the paper's decoder, no noise in the alignment search, and other discriminators of durations. Measured
on held-out utterances: phone errors, word errors where faster-whisper is installed (of the recordings, too), similarity
by the package's speaker encoder, the error of the rate, the spread of log durations against the aligned ones, and
agreement of the search with the corpus's durations. Also measured: the ONNX file's size, and its real-time factor
beside torch's.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from training_corpus import corpus_of

from voiceclone.audio.features import SAMPLE_RATE
from voiceclone.base_training.config import TrainConfig
from voiceclone.base_training.corpus import Corpus
from voiceclone.base_training.facts import BaseFacts
from voiceclone.base_training.trainer import CHECKPOINT, read_checkpoint
from voiceclone.base_training.training_run import TrainingRun
from voiceclone.base_training.vits2.batches import Vits2Batches
from voiceclone.base_training.vits2.recipe import averaged_model, speaker_voices, train_and_pack
from voiceclone.data.rows import read_rows
from voiceclone.errors import VoicecloneError
from voiceclone.evaluation.metrics_words import load_word_recognizer
from voiceclone.files import write_json
from voiceclone.models.presets import full_config
from voiceclone.models.vits2.onnx_export import onnx_bytes
from voiceclone.models.vits2.speaking import Vits2KModel
from voiceclone.models.vits2.synthesizer import Synthesizer, search_alignment
from voiceclone.nets.phone_recognizer import load_recognizer
from voiceclone.nets.xvector import load_speaker_net

FLOWS = ("pre_conv", "fft", "mono_layer_inter_residual", "mono_layer_post_residual")
ABLATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    **{f"flow {flow}": {"flow": flow} for flow in FLOWS},
    "hifigan": {"decoder": "hifigan"},
    "no noise": {"mas_noise": 0.0},
    "convolutional discriminator": {"duration_discriminator": "conv"},
    "no discriminator": {"duration_discriminator": "none"},
}
COMPARED = 4  # recordings of a speaker that its likeness is measured to
MEASURES = "measures.json"


def main() -> int:
    """Parse, train what is asked for, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", nargs="+", type=Path, default=[], help="datasets, as train-base takes them")
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--minutes", type=float, default=50, help="of the main run; 0: none (default: 50)")
    parser.add_argument("--ablation-minutes", type=float, default=20, help="of each other run; 0: none (default: 20)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=sorted(ABLATIONS), help="these ablations alone")
    parser.add_argument("--init", type=Path, help="base that the ablations continue, with the same sizes")
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--settings", type=Path, help="JSON with other settings of every run")
    parser.add_argument("--utterances", type=int, default=60, help="measured at most (default: 60)")
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
    texts = {(row.speaker, row.path.name): row.text for row in read_rows(options.data)}
    runs: list[tuple[str, dict[str, Any], float, int]] = []
    if options.minutes:
        runs.append(("main", {}, options.minutes, options.seeds[0]))
    chosen = options.only or list(ABLATIONS)
    if options.ablation_minutes:
        runs += [(name, ABLATIONS[name], options.ablation_minutes, seed) for seed in options.seeds for name in chosen]
    more = json.loads(options.settings.read_text()) if options.settings else {}
    for name, changes, minutes, seed in runs:
        init = options.init if name != "main" else None
        out = options.work / f"{'continued-' if init else ''}{name.replace(' ', '-')}-seed{seed}"
        if (out / MEASURES).is_file():
            continue
        logging.info("%s: %.1f minutes", out.name, minutes)
        own = {**more.get("system_settings", {}), **changes}
        config = TrainConfig.from_json(
            {
                "system": "vits2",
                "preset": options.preset,
                "minutes": minutes,
                "seed": seed,
                **more,
                "system_settings": own,
            }
        )
        resume = (out / CHECKPOINT).is_file()
        facts = BaseFacts(name=out.name)
        train_and_pack(TrainingRun(corpus=corpus, config=config, out=out, facts=facts, resume=resume, init=init))
        write_json(out / MEASURES, measure(corpus, out, texts, options.utterances, timed=name == "main"))


def measure(
    corpus: Corpus, out: Path, texts: dict[tuple[str, str], str], most: int, *, timed: bool
) -> dict[str, float]:
    """The figures of one run."""
    checkpoint = read_checkpoint(out)
    model, config = averaged_model(checkpoint, corpus)
    batches = Vits2Batches(corpus, config, model.config)
    indices = batches.validation[:most]
    found = {"steps": float(checkpoint["step"]), "minutes": checkpoint["seconds"] / 60}
    found |= _spoken(model, corpus, indices, texts)
    found |= _durations(model, batches, indices)
    for name in ("mas_within_25ms", "mas_within_50ms", "kl", "mel"):
        values = [row[name] for row in checkpoint["history"] if name in row]
        if values:
            found[name] = float(np.mean(values[-3:]))
    return found | (_onnx(model) if timed else {})


def _spoken(
    model: Synthesizer, corpus: Corpus, indices: list[int], texts: dict[tuple[str, str], str]
) -> dict[str, float]:
    """Held-out utterances, spoken with predicted durations."""
    speaker, voices = Vits2KModel(model, full_config()["vocab"]), speaker_voices(model, corpus.speakers)
    phones, net, (words, _) = load_recognizer(), load_speaker_net(), load_word_recognizer("a")
    own = {name: [i for i in corpus.by_speaker[name] if i not in set(indices)][:COMPARED] for name in corpus.speakers}
    centres = {name: _mean([net.embed(corpus.audio(i)) for i in some]) for name, some in own.items() if some}
    counts: dict[str, list[tuple[float, float]]] = {"phone_errors": [], "true_phone_errors": []}
    counts |= {"word_errors": [], "true_word_errors": []}
    likeness, rate = [], []
    for index in indices:
        one = corpus.utterances[index]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(index)
            row = voices[one.speaker][len(one.phonemes) - 1]
            spoken, frames = speaker.forward_with_tokens(torch.tensor([one.tokens]), row)
        audio = spoken.numpy()
        counts["phone_errors"].append(phones.error_rate(audio, one.phonemes))
        counts["true_phone_errors"].append(phones.error_rate(corpus.audio(index), one.phonemes))
        if words is not None and (text := texts.get((one.speaker, one.name))):
            counts["word_errors"].append(words.error_rate(audio, text))
            counts["true_word_errors"].append(words.error_rate(corpus.audio(index), text))
        if one.speaker in centres:
            likeness.append(float(net.embed(audio) @ centres[one.speaker]))
        inner = float(sum(one.durations[1:-1]))
        rate.append(abs(float(frames[1:-1].sum()) / inner - 1))
    shares = {f"{n}_percent": 100 * float(np.divide(*np.sum(pairs, axis=0))) for n, pairs in counts.items() if pairs}
    return shares | {"likeness": float(np.mean(likeness or [np.nan])), "rate_error_percent": 100 * float(np.mean(rate))}


@torch.no_grad()
def _durations(model: Synthesizer, batches: Vits2Batches, indices: list[int]) -> dict[str, float]:
    """Spread of log durations: predicted with noise, against aligned, without BOS and EOS."""
    ours, theirs = [], []
    for index in indices:
        batch = batches.fixed([index])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(index)
            voice = model.voices(batch.speakers)
            prior = model.read(batch.tokens, batch.lengths, voice)
            path = search_alignment(model.encode_posterior(batch.spectrogram, batch.frames, voice), prior)
            noise = torch.randn_like(prior.features[:, : 2 if model.config.stochastic_durations else 1])
            predicted = model.durations(prior.features, prior.mask, voice, noise)
        count = int(batch.lengths[0])
        ours.append(predicted[0, 0, 1 : count - 1])
        theirs.append(path.sum(2)[0, 1 : count - 1].log())
    return {"log_duration_spread": float(torch.cat(ours).std()), "aligned_spread": float(torch.cat(theirs).std())}


def _onnx(model: Synthesizer) -> dict[str, float]:
    """Size of the ONNX file, and the real-time factors of ONNX Runtime and torch on one sentence."""
    try:
        import onnxruntime
    except ImportError:
        return {}
    content = onnx_bytes(model, {})
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    tokens = torch.randint(16, 150, (1, 80), generator=torch.Generator().manual_seed(0))
    feed: dict[str, Any] = {"input": tokens.numpy(), "input_lengths": np.array([80])}
    feed["scales"] = np.array([0.667, 1.0, 0.8], dtype=np.float32)
    if model.speakers is not None:
        feed["sid"] = np.array([0])

    def torchs() -> int:
        with torch.no_grad():
            return model.infer(tokens, torch.tensor([80]), model.voices(torch.tensor([0])))[0].shape[-1]

    found = {"onnx_megabytes": len(content) / 1e6}
    for name, call in (("torch", torchs), ("onnx", lambda: session.run(None, feed)[0].shape[-1])):
        call()
        times = []
        for _ in range(5):
            began = time.perf_counter()
            samples = call()
            times.append((time.perf_counter() - began) / (samples / SAMPLE_RATE))
        found[f"{name}_real_time_factor"] = float(np.median(times))
    return found


def _mean(vectors: list[np.ndarray]) -> np.ndarray:
    mean = np.mean(vectors, axis=0)
    return mean / np.linalg.norm(mean)


def table(runs: dict[str, dict[str, float]]) -> str:
    """Markdown, one row per run."""
    columns = list(dict.fromkeys(name for values in runs.values() for name in values))
    rows = ["| run | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for run, values in runs.items():
        rows.append(f"| {run} | " + " | ".join(f"{values[n]:.3g}" if n in values else "" for n in columns) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
