"""``voiceclone evaluate``: the honest report about a voice."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.errors import UsageError
from voiceclone.ranges import check_range

if TYPE_CHECKING:
    from voiceclone.bases.base import Base
    from voiceclone.data.dataset import Dataset
    from voiceclone.evaluation.report_results import Evaluation
    from voiceclone.tracking.progress import Reporter
    from voiceclone.voice.pack import VoicePack

REPORT, PAGE = "evaluation.json", "evaluation.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``evaluate``."""
    parser.add_argument("--voice", required=True, metavar="FILE|NAME",
                        help="a file of a voice, a stock voice's name, or a mix")  # fmt: skip
    parser.add_argument("--data", required=True, metavar="DIR", help="dataset of the speaker, with validation clips")
    parser.add_argument(
        "--base", default="auto", help="auto, kokoro, nano, the folder of a base, or a Kokoro ONNX file (default: auto)"
    )
    parser.add_argument("--also", action="append", default=[], metavar="NAME=VOICE",
                        help="a further voice, a file or a stock voice; may be given several times")  # fmt: skip
    parser.add_argument("--clips", type=int, default=10, help="validation clips used at most (default: 10)")
    parser.add_argument("--lang", default="a", help="Kokoro's language code (default: a)")
    parser.add_argument("--seed", type=int, default=None,
                        help="seed of split, noise and intervals (default: of the voice's run, or 0)")  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cuda, mps or cpu (default: auto)")
    parser.add_argument("--out", type=Path, metavar="FOLDER",
                        help=f"where {REPORT} and {PAGE} go (default: the voice's folder)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--keep-best", type=Path, metavar="FILE.pt",
                        help="also write the better voice: the clone, or the one that beats it")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --keep-best FILE")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Load, measure, write, say the verdict."""
    out = _checked(options)
    from voiceclone.bases.base import NANO, load_base
    from voiceclone.distributed import choose_device
    from voiceclone.evaluation.report import evaluate
    from voiceclone.evaluation.report_judges import load_panel
    from voiceclone.tracking.progress import Reporter
    from voiceclone.voice.origin import base_for

    reporter = Reporter(verbosity=verbosity(options))
    device = choose_device(options.device)
    chosen = base_for(options.voice, options.base)
    base = load_base(chosen, offline=options.offline, notice=reporter.info)
    if base.kind == NANO and chosen == "auto":
        reporter.warn("the real Kokoro is not here and no source of it answered: evaluating on the nano base")
    voices = _given_voices(options, base)
    run_facts = _run_facts(_file(options))
    seed = run_facts.get("seed", 0) if options.seed is None else options.seed
    check_range("seed", seed)
    dataset = _read_dataset(options, base, seed, reporter)
    doubts = _doubts(run_facts, base, dataset)
    for line in (*dataset.notices, *doubts):
        reporter.warn(line)
    missing = _complete(voices, options, base, dataset, device, reporter)
    panel = load_panel(options.lang)
    base.kmodel.to(device)
    evaluation = evaluate(
        voices,
        dataset,
        base,
        encoders=panel.encoders,
        recognizer=panel.recognizer,
        words=panel.words,
        seed=seed,
        lang=options.lang,
        max_clips=options.clips,
        offline=options.offline,
        left_out=(*missing, *panel.left_out),
        reporter=reporter,
    )
    _finish(options, evaluation, base, dataset, doubts, out, reporter)
    return 0


def _checked(options: argparse.Namespace) -> Path:
    """Refuse wrong calls before anything is loaded; returns the folder the report goes to."""
    from voiceclone.text.g2p import language_code

    options.lang = language_code(options.lang)
    if (best := options.keep_best) is not None:
        if best.suffix != ".pt":
            raise UsageError(f"--keep-best {best}: the file of a voice ends in .pt")
        if best.exists() and not options.overwrite:
            raise UsageError(f"{best} exists: choose another --keep-best, or replace it with --overwrite")
    out = options.out or _folder_of_voice(options.voice)
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file, not a folder")
    # An earlier report is replaced; a file of that name that is something else is the user's own.
    if (out / REPORT).exists() and "verdict" not in _json_object(out / REPORT):
        raise UsageError(f"{out / REPORT} is no evaluation: choose another --out")
    return out


def _folder_of_voice(voice: str) -> Path:
    from voiceclone.voice.lookup import file_of, is_expression, missing_file

    if located := file_of(voice):
        return located[0].parent
    if not is_expression(voice) and (missing := missing_file(voice)):
        raise UsageError(f"no voice file at {missing}: check the path")
    raise UsageError(f"--voice {voice}: a stock voice or a mix has no folder of its own: give --out FOLDER")


def _file(options: argparse.Namespace) -> Path:
    from voiceclone.voice.lookup import path_of

    return path_of(options.voice)


def _given_voices(options: argparse.Namespace, base: Base) -> dict[str, VoicePack]:
    """The clone, the candidates beside it, the voices of --also."""
    from voiceclone.evaluation.voices import CLONE, find_voice, parse_also, read_candidates

    file = _file(options)
    voices = {CLONE: find_voice(options.voice, base), **(read_candidates(file) if file.is_file() else {})}
    also = parse_also(options.also, voices)
    return {**voices, **{name: find_voice(which, base) for name, which in also.items()}}


def _complete(
    voices: dict[str, VoicePack],
    options: argparse.Namespace,
    base: Base,
    dataset: Dataset,
    device: Any,
    reporter: Reporter,
) -> list[str]:
    """Add the oracle to ``voices``; returns a line for each voice that is missing."""
    from voiceclone.evaluation.voices import CANDIDATES, ORACLE, ORACLE_CLIPS, candidates_file, oracle_voice

    missing = []
    if absent := [name for name in CANDIDATES if name not in voices]:
        missing.append(f"{', '.join(absent)}: not in {candidates_file(_file(options))}, which a clone run leaves")
    if base.own_encoders is None:
        missing.append(f"{ORACLE}: the encoders that {base.name} was trained with are not known")
        return missing
    clips = dataset.train[:ORACLE_CLIPS]
    with reporter.task("Oracle", total=len(clips), unit="clip") as task:
        voices[ORACLE] = oracle_voice(base, clips, device, advance=lambda: task.advance(1))
    return missing


def _read_dataset(options: argparse.Namespace, base: Base, seed: int, reporter: Reporter) -> Dataset:
    from voiceclone.data.dataset import load_dataset

    with reporter.task("Reading clips", unit="clip") as task:
        return load_dataset(
            options.data,
            lang=options.lang,
            seed=seed,
            vocab=base.kmodel.vocab,
            offline=options.offline,
            progress=lambda done, total: task.advance(1),
        )


def _run_facts(voice: Path) -> dict[str, Any]:
    """What the clone run that made the voice wrote beside it: seed, fingerprint of its clips, base; empty without."""
    if not voice.is_file():
        return {}
    config, report = (_json_object(voice.parent / name) for name in ("config.json", "report.json"))
    dataset, base = report.get("dataset"), report.get("base")
    found = {
        "seed": config.get("seed"),
        "fingerprint": dataset.get("fingerprint") if isinstance(dataset, dict) else None,
        "base": base.get("sha256") if isinstance(base, dict) else None,
    }
    kinds = {"seed": int, "fingerprint": str, "base": str}
    return {name: value for name, value in found.items() if isinstance(value, kinds[name])}


def _doubts(facts: dict[str, Any], base: Base, dataset: Dataset) -> list[str]:
    """Reasons why the figures may not mean what they seem to."""
    doubts = []
    if facts.get("base", base.sha256) != base.sha256:
        doubts.append(f"the voice was made on another base than {base.name}: on this one it says little")
    if facts.get("fingerprint", dataset.fingerprint) != dataset.fingerprint:
        doubts.append(
            "these are not the clips, or not the split, that the voice was made with: validation clips may be among "
            "those it was trained on"
        )
    return doubts


def _json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file, empty where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _finish(
    options: argparse.Namespace,
    evaluation: Evaluation,
    base: Base,
    dataset: Dataset,
    doubts: list[str],
    out: Path,
    reporter: Reporter,
) -> None:
    """Write the report, the page and, if asked, the better voice; print."""
    from voiceclone.evaluation.html import PageInfo, draw, render_page
    from voiceclone.evaluation.report_text import as_text
    from voiceclone.evaluation.voices import CLONE
    from voiceclone.files import write_json, write_text

    facts = {
        "voice": options.voice,
        "base": {"name": base.name, "sha256": base.sha256, "weights": base.weights},
        "data": options.data,
        "notes": list(dataset.notices),
        **evaluation.as_json(),
    }
    facts["doubts"] = [*doubts, *facts["doubts"]]
    with reporter.task("Drawing", total=4, unit="picture") as task:
        pictures = draw(evaluation, base, advance=lambda: task.advance(1))
    info = PageInfo(
        title=f"Voice {evaluation.packs[CLONE].name}", base=base.title, doubts=doubts, notes=dataset.notices
    )
    write_json(out / REPORT, facts)
    write_text(out / PAGE, render_page(evaluation, pictures, info))
    print(json.dumps(facts, indent=2, ensure_ascii=False) if options.json else as_text(evaluation))
    reporter.info(f"report: {out / REPORT}")
    reporter.info(f"page: {out / PAGE}")
    if options.keep_best is not None:
        best = evaluation.verdict.best
        evaluation.packs[best].save(options.keep_best)
        reporter.info(f"{options.keep_best}: {best}")
