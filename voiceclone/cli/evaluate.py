"""``voiceclone evaluate``: measure a voice beside stock voices and recordings."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.errors import UsageError

if TYPE_CHECKING:
    from voiceclone.evaluation.api import EvaluationInputs
    from voiceclone.evaluation.report_results import Evaluation
    from voiceclone.tracking.progress import Reporter

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
    """Load, measure, write the report, print the verdict."""
    out = _checked(options)
    from voiceclone.evaluation.api import load_inputs, measure
    from voiceclone.tracking.progress import Reporter

    reporter = Reporter(verbosity=verbosity(options))
    inputs = load_inputs(
        options.voice,
        options.data,
        base=options.base,
        also=options.also,
        lang=options.lang,
        seed=options.seed,
        device=options.device,
        offline=options.offline,
        reporter=reporter,
    )
    evaluation = measure(inputs, clips=options.clips, offline=options.offline, reporter=reporter)
    _finish(options, evaluation, inputs, out, reporter)
    return 0


def _checked(options: argparse.Namespace) -> Path:
    """Check the arguments before anything is loaded; returns the folder of the report."""
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
    # An earlier report is replaced; another file of that name belongs to the user.
    if (out / REPORT).exists() and not _is_evaluation(out / REPORT):
        raise UsageError(f"{out / REPORT} is no evaluation: choose another --out")
    return out


def _is_evaluation(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "verdict" in content


def _folder_of_voice(voice: str) -> Path:
    from voiceclone.voice.lookup import file_of, is_expression, missing_file

    if located := file_of(voice):
        return located[0].parent
    if not is_expression(voice) and (missing := missing_file(voice)):
        raise UsageError(f"no voice file at {missing}: check the path")
    raise UsageError(f"--voice {voice}: a stock voice or a mix has no folder of its own: give --out FOLDER")


def _finish(
    options: argparse.Namespace,
    evaluation: Evaluation,
    inputs: EvaluationInputs,
    out: Path,
    reporter: Reporter,
) -> None:
    """Write the report, the page and, if asked, the better voice; print."""
    from voiceclone.evaluation.html import PageInfo, draw, render_page
    from voiceclone.evaluation.report_text import as_text, verdict_text
    from voiceclone.evaluation.voices import CLONE
    from voiceclone.files import write_json, write_text

    base, dataset, doubts = inputs.base, inputs.dataset, list(inputs.doubts)
    facts: dict[str, Any] = {
        **evaluation.as_json(),
        "voice": options.voice,
        "base": {"name": base.name, "sha256": base.sha256, "weights": base.weights},
        "data": options.data,
        "notes": list(dataset.notices),
        **_provenance(options, inputs),
    }
    facts["doubts"] = [*doubts, *facts["doubts"]]
    with reporter.task("Drawing", total=4, unit="picture") as task:
        pictures = draw(evaluation, base, advance=lambda: task.advance(1))
    info = PageInfo(
        title=f"How good is the voice {evaluation.packs[CLONE].name}?",
        base=base.title,
        facts={name: facts[name] for name in ("date", "version", "dataset", "consent")},
        doubts=doubts,
        notes=dataset.notices,
    )
    write_json(out / REPORT, facts)
    write_text(out / PAGE, render_page(evaluation, pictures, info))
    if options.json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        print(verdict_text(evaluation) if options.quiet else as_text(evaluation))
    reporter.info(f"report: {out / REPORT}")
    reporter.info(f"page: {out / PAGE}")
    if options.keep_best is not None and evaluation.verdict is not None:
        best = evaluation.verdict.best
        evaluation.packs[best].save(options.keep_best)
        reporter.info(f"{options.keep_best}: {best}")


def _provenance(options: argparse.Namespace, inputs: EvaluationInputs) -> dict[str, str]:
    """Date, version, dataset and consent of the evaluation."""
    from datetime import datetime, timezone

    from voiceclone import __version__

    dataset = inputs.dataset
    minutes = sum(clip.seconds for clip in (*dataset.train, *dataset.validation)) / 60
    clips = f"{len(dataset.train)} training and {len(dataset.validation)} validation clips, {minutes:.1f} minutes"
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "version": f"voiceclone {__version__}",
        "dataset": f"{Path(options.data).resolve().name}: {clips}, fingerprint {dataset.fingerprint[:12]}",
        "consent": inputs.consent,
    }
