"""``voiceclone export``: convert a voice to the formats of other Kokoro programs, and back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from voiceclone.cli.clone import add_verbosity, verbosity
from voiceclone.cli.output_files import check_free
from voiceclone.errors import UsageError

if TYPE_CHECKING:
    from voiceclone.voice.pack import VoicePack
    from voiceclone.voice.provenance import Provenance


ONNX = "onnx"  # of a whole model, not of a voice
KOKORO_PROGRAMS = ("npz", "bin", "kokoro-js")  # formats of programs that contain only stock Kokoro


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``export``."""
    parser.add_argument(
        "voice",
        metavar="VOICE",
        help="a file of voices (FILE:NAME for one of several), a stock voice's name, or a mix; with --to onnx the "
        "folder of a VITS2",
    )
    parser.add_argument(
        "--to", required=True, metavar="FORMAT", help="pt, npz, bin, kokoro-js, safetensors, compact; or onnx, a model"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the file to write")
    parser.add_argument("--name", help="which voice of a file that holds several; or the name it gets")
    parser.add_argument("--add", action="store_true", help="add to an existing file that may hold several voices")
    parser.add_argument(
        "--base", default="auto", help="auto, nano, kokoro or a base folder: for a VOICE that is not a file"
    )
    parser.add_argument(
        "--variants",
        type=int,
        metavar="N",
        help="N ordinary voices, with deliveries as say --expressive draws them",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file, or a voice in it")
    parser.add_argument("--offline", action="store_true", help="never use the network")
    add_verbosity(parser)


def run(options: argparse.Namespace) -> int:
    """Read, choose, write."""
    from voiceclone.tracking.progress import Reporter
    from voiceclone.voice.formats import FORMATS, SEVERAL, read_voices, write_voices
    from voiceclone.voice.provenance import stored_provenance

    if options.to == ONNX:
        return _export_model(options)
    if options.to not in FORMATS:
        raise UsageError(f"--to {options.to!r}: use one of {', '.join((*FORMATS, ONNX))}")
    if options.add and options.to not in SEVERAL:
        raise UsageError(f"--add: a {options.to} file holds one voice: use --to {', '.join(SEVERAL)}")
    check_free(options.out, overwrite=options.add or options.overwrite)
    found, provenance = _read(options)
    if options.variants is not None:
        found, provenance = _variants(options, found, provenance)
    packs = _chosen(found, options.name)
    existing = read_voices(options.out) if options.add and options.out.exists() else {}
    if (both := sorted(set(packs) & set(existing))) and not options.overwrite:
        raise UsageError(
            f"{options.out} holds a voice '{both[0]}': give another --name, or replace it with --overwrite"
        )
    known = stored_provenance(options.out) if existing else {}
    origin = {new: provenance[old] for new, old in zip(packs, _names(found, options.name), strict=True)}
    write_voices(options.out, {**existing, **packs}, options.to, provenance={**known, **origin})
    reporter = Reporter(verbosity=verbosity(options))
    for name, facts in origin.items():
        if options.to in KOKORO_PROGRAMS and not _is_for_kokoro(facts):
            reporter.warn(
                f"{name} was made for the base {facts.get('base')}: programs that speak with stock Kokoro cannot use it"
            )
    done = f"{options.out}: {', '.join(packs)} as {options.to}"
    if options.to == "compact":
        written = read_voices(options.out)
        error = max(float((written[name].tensor - pack.tensor).abs().max()) for name, pack in packs.items())
        done += f" (no value changed by more than {error:.1g})"
    reporter.info(done)
    return 0


def _export_model(options: argparse.Namespace) -> int:
    """Write a VITS2 as an ONNX file, with what other programs read beside it."""
    from voiceclone.bases.base import VITS2, load_base
    from voiceclone.models.vits2.onnx_export import companions, export_onnx
    from voiceclone.models.vits2.speaking import Vits2KModel
    from voiceclone.tracking.progress import Reporter

    if options.add or options.name:
        raise UsageError("--add, --name: cannot be used with --to onnx: leave them out")
    check_free(options.out, overwrite=options.overwrite)
    if not Path(options.voice).is_dir():
        raise UsageError(f"{options.voice}: is not a folder: with --to onnx give that of a VITS2")
    base = load_base(options.voice, offline=options.offline)
    if not isinstance(base.kmodel, Vits2KModel) or base.info.get("system") != VITS2:
        raise UsageError(f"{options.voice}: is not a VITS2, the one system that --to onnx writes")
    language = str(base.info.get("language", "en"))
    model = (base.kmodel.model, base.kmodel.vocab, list(base.info["speakers"]), language, options.out)
    for path, text in companions(*model).items():
        if not (path.is_file() and path.read_bytes() == text.encode()):  # models with one vocabulary share tokens.txt
            check_free(path, overwrite=options.overwrite)
    files = export_onnx(*model)
    Reporter(verbosity=verbosity(options)).info(f"{', '.join(map(str, files))}: written")
    return 0


def _variants(
    options: argparse.Namespace, packs: dict[str, VoicePack], provenance: dict[str, Provenance]
) -> tuple[dict[str, VoicePack], dict[str, Provenance]]:
    """A voice's variants by name, ``NAME_1`` and so on, and where they come from."""
    import torch

    from voiceclone.cli.say_style import MOST_VARIANTS, deviations_of
    from voiceclone.voice.expressive import deviated
    from voiceclone.voice.formats import SEVERAL
    from voiceclone.voice.pack import VoicePack

    if not 1 <= options.variants <= MOST_VARIANTS:
        raise UsageError(f"--variants {options.variants}: use a number from 1 to {MOST_VARIANTS}")
    if options.to not in SEVERAL and options.variants > 1:
        raise UsageError(f"--variants: a {options.to} file holds one voice: use --to {', '.join(SEVERAL)}")
    if len(packs) != 1:
        raise UsageError(f"--variants: {options.voice} holds {len(packs)} voices: name one of them")
    ((name, pack),) = packs.items()
    deviations = deviations_of(options.voice)
    generator = torch.Generator().manual_seed(0)
    made = {}
    for number in range(1, options.variants + 1):
        text = deviations.texts[int(torch.randint(len(deviations.texts), (), generator=generator))]
        rows = deviated(pack.tensor, deviations.draw(text, generator))
        made[f"{options.name or name}_{number}"] = VoicePack(rows, f"{options.name or name}_{number}")
    options.name = None
    return made, dict.fromkeys(made, provenance[name])


def _is_for_kokoro(facts: Provenance) -> bool:
    """Whether stock Kokoro can speak with a voice, as far as is known."""
    from voiceclone.voice.space import KOKORO_SPACE, space_of

    return space_of(facts.get("base_kind"), facts.get("base_sha256"), facts.get("voice_space")) in ("", KOKORO_SPACE)


def _read(options: argparse.Namespace) -> tuple[dict[str, VoicePack], dict[str, Provenance]]:
    """The voices of VOICE and where each comes from, both by name."""
    from voiceclone.bases.finder import facts_of_custom_base, finder_of
    from voiceclone.voice.formats import read_voices
    from voiceclone.voice.lookup import file_of, names_in
    from voiceclone.voice.origin import base_for, provenance_of_mix
    from voiceclone.voice.provenance import facts_of

    located = file_of(options.voice)
    if located and located[1] is None:
        packs = read_voices(located[0])
        return packs, {name: facts_of(located[0], name) for name in packs}
    chosen = base_for(options.voice, options.base)
    pack = finder_of(chosen).find(options.voice)
    facts = facts_of(*located) if located else provenance_of_mix(names_in(options.voice), options.voice)
    return {pack.name: pack}, {pack.name: facts | facts_of_custom_base(chosen)}


def _chosen(packs: dict[str, VoicePack], name: str | None) -> dict[str, VoicePack]:
    """All voices, or the requested one; a single voice may be renamed."""
    if name is None:
        return packs
    (old,) = _names(packs, name)
    return {name: packs[old]}


def _names(packs: dict[str, VoicePack], name: str | None) -> list[str]:
    """The names of the chosen voices in the file they come from."""
    if name is None:
        return list(packs)
    if name in packs:
        return [name]
    if len(packs) == 1:
        return list(packs)
    raise UsageError(f"--name {name!r}: the file holds {', '.join(sorted(packs))}")
