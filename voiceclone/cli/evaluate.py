"""``voiceclone evaluate``: measure a voice beside stock voices and recordings."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.cli.output_files import check_free
from voiceclone.errors import UsageError
from voiceclone.evaluation.config import EvaluateConfig
from voiceclone.system.settings import add_flags, given, words_of
from voiceclone.text.g2p import language_code
from voiceclone.voice.library import EVALUATION as REPORT
from voiceclone.voice.library import EVALUATION_PAGE as PAGE
from voiceclone.voice.library import is_evaluation

if TYPE_CHECKING:
    from voiceclone.evaluation.api import EvaluationInputs
    from voiceclone.evaluation.report_results import Evaluation
    from voiceclone.tracking.progress import Reporter
    from voiceclone.voice.provenance import Provenance


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``evaluate``."""
    switch = {"action": "store_true"}
    add_flags(
        parser, EvaluateConfig, voice={"required": True, "metavar": "FILE|NAME"},
        data={"required": True, "metavar": "DIR"}, base={},
        also={"action": "append", "default": [], "metavar": "NAME=VOICE"}, clips={"type": int}, lang={},
        seed={"type": int, "help": f"{words_of(EvaluateConfig, 'seed')} (default: of the voice's run, or 0)"},
        device={}, out={"type": Path, "metavar": "FOLDER",
                        "help": f"{words_of(EvaluateConfig, 'out')} (default: the voice's folder)"},
        json=switch, keep_best={"type": Path, "metavar": "FILE.pt"}, overwrite=switch, offline=switch,
    )  # fmt: skip
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Load, measure, write the report, print the verdict."""
    config = given(EvaluateConfig, options, also=tuple(options.also))
    if config.lang is not None:
        language_code(config.lang)  # before anything is loaded
    out = _folder_of_report(config)
    from voiceclone.evaluation.api import load_inputs, measure_voices
    from voiceclone.tracking.progress import Reporter

    reporter = Reporter(verbosity=verbosity(options))
    inputs = load_inputs(
        config.voice,
        config.data,
        base=config.base,
        also=config.also,
        lang=config.lang,
        seed=config.seed,
        device=config.device,
        offline=config.offline,
        reporter=reporter,
    )
    evaluation = measure_voices(inputs, clips=config.clips, reporter=reporter)
    _finish(config, evaluation, inputs, out, reporter, quiet=options.quiet)
    return 0


def _folder_of_report(config: EvaluateConfig) -> Path:
    """The folder of the report, which can take it; checked before anything is loaded."""
    if config.keep_best is not None:
        check_free(config.keep_best, overwrite=config.overwrite, flag="--keep-best")
    out = config.out or _folder_of_voice(config.voice)
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file, not a folder")
    # An earlier report is replaced; another file of that name belongs to the user.
    for path in (out / REPORT, out / PAGE):
        if path.exists() and not is_evaluation(out / REPORT):
            raise UsageError(f"{path} is not an evaluation report: choose another --out")
    return out


def _folder_of_voice(voice: str) -> Path:
    from voiceclone.voice.lookup import file_of, is_expression, missing_file

    if located := file_of(voice):
        return located[0].parent
    if not is_expression(voice) and (missing := missing_file(voice)):
        raise UsageError(f"no voice file at {missing}: check the path")
    raise UsageError(f"--voice {voice}: a stock voice or a mix has no folder of its own: give --out FOLDER")


def _finish(
    config: EvaluateConfig,
    evaluation: Evaluation,
    inputs: EvaluationInputs,
    out: Path,
    reporter: Reporter,
    *,
    quiet: bool,
) -> None:
    """Write the report, the page and, if asked, the better voice; print."""
    from voiceclone.evaluation.html import PageInfo, draw, render_page
    from voiceclone.evaluation.report_text import evaluation_text, verdict_text
    from voiceclone.evaluation.voices import CLONE
    from voiceclone.files import write_json, write_text

    base, dataset, doubts = inputs.base, inputs.dataset, list(inputs.doubts)
    facts: dict[str, Any] = {
        **evaluation.as_json(),
        "voice": config.voice,
        "base": {"name": base.name, "sha256": base.sha256, "weights": base.weights},
        "data": config.data,
        "notes": list(dataset.notices),
        **_provenance(config, inputs),
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
    if config.json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        print(verdict_text(evaluation) if quiet else evaluation_text(evaluation))
    reporter.info(f"report: {out / REPORT}")
    reporter.info(f"page: {out / PAGE}")
    if config.keep_best is not None and evaluation.verdict is not None:
        best = evaluation.verdict.best
        evaluation.packs[best].save(
            config.keep_best, provenance={config.keep_best.stem: _origin_of_best(best, config, inputs)}
        )
        reporter.info(f"{config.keep_best}: {best}")


def _origin_of_best(best: str, config: EvaluateConfig, inputs: EvaluationInputs) -> Provenance:
    """Base and consent of the kept voice.

    A voice given with ``--also`` has its own. Any other is the clone, or was made beside it for the same base and from
    the same clips; only the best stock voice is nobody's clone.
    """
    from voiceclone.bases.base import CUSTOM
    from voiceclone.evaluation.voices import BEST_STOCK, CLONE, parse_also
    from voiceclone.voice.lookup import names_in
    from voiceclone.voice.origin import provenance_of_mix
    from voiceclone.voice.provenance import BASE_FACTS

    also, base = parse_also(config.also, ()), inputs.base
    voice = also.get(best, config.voice)
    facts = provenance_of_mix(names_in(voice), voice if best == CLONE or best in also else f"{best} beside {voice}")
    if best == BEST_STOCK and best not in also:
        facts.pop("consent", None)
    if base.kind == CUSTOM and not facts.get("base_kind"):  # a stock voice, or a file of another program
        facts |= dict(zip(BASE_FACTS, (base.name, base.kind, base.sha256, base.voice_space), strict=True))
    return facts


def _provenance(config: EvaluateConfig, inputs: EvaluationInputs) -> dict[str, str]:
    """When, with what and on what was measured, and who agreed to the voice."""
    from datetime import datetime, timezone

    from voiceclone import __version__

    dataset = inputs.dataset
    minutes = sum(clip.seconds for clip in (*dataset.train, *dataset.validation)) / 60
    clips = f"{len(dataset.train)} training and {len(dataset.validation)} validation clips, {minutes:.1f} minutes"
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "version": f"voiceclone {__version__}",
        "dataset": f"{Path(config.data).resolve().name}: {clips}, fingerprint {dataset.fingerprint[:12]}",
        "consent": inputs.consent,
    }
