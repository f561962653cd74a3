"""A small dataset synthesised by eSpeak-NG, for trying everything without recordings or downloads."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voiceclone.audio.io import SAMPLE_RATE, resample, write_wav
from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.files import sha256_of, write_failure, write_json, write_text
from voiceclone.ranges import check_range
from voiceclone.text.espeak import EspeakSynthesizer

MANIFEST = "demo.json"
PARTS = ("train", "validation")
VALIDATION_EVERY = 6  # one clip in six is for validation, at least one
RMS = 0.06  # full scale 1.0; about -24 dBFS, the level of read speech
END_SECONDS = 0.15  # of silence after each clip
RATES_WPM = (135, 165)  # words per minute, lowest and highest
DEFAULT_VOICE = "en-us+m3"

# Common short sentences, most written for this purpose; four to some twenty words.
SENTENCES = (
    "Good morning, how are you?",
    "The quick brown fox jumps over the lazy dog.",
    "A pleasant breeze moved slowly through the open window.",
    "She measured the length of the garden with a piece of string.",
    "Please bring me two cups of tea and a little milk.",
    "They chose a quiet beach, far away from the noisy harbour.",
    "Nobody knows why the old clock stopped that night.",
    "Thunder rolled over the hills, and soon the rain began to fall on the dusty road.",
    "Is this the train to the city, or should I wait for the next one?",
    "George usually takes the longer way home to enjoy the view.",
    "Fresh bread, butter and honey were waiting on the kitchen table.",
    "Watch out for the step behind you!",
    "The young doctor thought about the question for a while before she gave a careful answer.",
    "My brother repaired both of the broken chairs in the yard.",
    "Every child in the village could sing that song by heart.",
    "We found a shiny coin under the wooden bridge.",
    "In the evening, the fishermen pulled their boats up on the sand and lit a small fire.",
    "Your voice sounds very clear on this machine.",
    "He laughed, shook his head, and closed the heavy book.",
    "What a beautiful picture of the mountains!",
    "Seven grey ships sailed past the lighthouse just before noon.",
    "It is a pleasure to hear such joyful music again.",
    "The teacher wrote a few short words on the board and asked us to read them aloud, one after the other.",
    "Thank you for coming.",
)


@dataclass(frozen=True, kw_only=True)
class _Settings:
    clips: int
    seed: int
    voice: str


def make_demo_dataset(
    out: Path | str,
    *,
    clips: int = 12,
    seed: int = 0,
    voice: str = DEFAULT_VOICE,
    overwrite: bool = False,
) -> Path:
    """Synthesise a dataset folder: ``train/`` and ``validation/``, each with ``metadata.jsonl`` and 24 kHz WAV files.

    The same arguments give the same files, byte for byte. A folder that already holds this set is left
    unchanged; one that holds another demo set is replaced.

    Args:
        out: the folder to make.
        clips: clips in all, 4 to 24; about one in six goes to ``validation``.
        seed: seed of the choice of sentences and of the rate of each.
        voice: eSpeak-NG voice, such as ``en-us``, ``en-gb`` or ``en-us+f3``.
        overwrite: replace ``train/`` and ``validation/`` in a folder that holds other things; those are kept.

    Raises:
        UsageError: ``clips`` or ``voice`` is out of range, or ``out`` holds something else.
        VoicecloneError: it cannot be written.
    """
    out = Path(out)
    settings = _Settings(clips=clips, seed=seed, voice=voice)
    check_range("clips", clips, "demo-data")
    check_range("seed", seed)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file: choose another folder for the demo data")
    manifest = _read_manifest(out)
    intact = manifest is not None and _is_intact(out, manifest)
    if manifest is not None and intact and manifest["settings"] == asdict(settings):
        return out
    if not (overwrite or intact or not out.exists() or not any(out.iterdir())):
        raise UsageError(f"{out}: holds other files: choose an empty folder, or overwrite it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".demo-", dir=out.parent))
    except OSError as error:
        raise VoicecloneError(write_failure(out, error)) from error
    try:
        _speak(made, settings)
        _put_in_place(made, out)
    except OSError as error:
        raise VoicecloneError(write_failure(out, error)) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return out


def _speak(folder: Path, settings: _Settings) -> None:
    rng = np.random.default_rng(settings.seed)
    order = rng.permutation(len(SENTENCES))[: settings.clips]
    rates = rng.integers(*RATES_WPM, size=settings.clips, endpoint=True)
    synthesizer = EspeakSynthesizer()
    for_validation = max(1, settings.clips // VALIDATION_EVERY)
    lines: dict[str, list[str]] = {part: [] for part in PARTS}
    for number, (index, rate) in enumerate(zip(order.tolist(), rates.tolist(), strict=True), start=1):
        part = "validation" if number > settings.clips - for_validation else "train"
        speech = synthesizer.speak(SENTENCES[index], settings.voice, rate_wpm=rate)
        audio = resample(speech.audio, speech.sample_rate)
        name = f"clip_{number:03d}.wav"
        write_wav(folder / part / name, _levelled(audio))
        lines[part].append(json.dumps({"file_name": name, "text": SENTENCES[index]}, ensure_ascii=False))
    for part, content in lines.items():
        write_text(folder / part / "metadata.jsonl", "\n".join(content) + "\n")
    files = {path.relative_to(folder).as_posix(): sha256_of(path) for path in sorted(folder.rglob("*.*"))}
    write_json(
        folder / MANIFEST,
        {
            "made_by": "voiceclone demo-data: speech of eSpeak-NG",
            "sample_rate": SAMPLE_RATE,
            "settings": asdict(settings),
            "files": files,
        },
    )


def _levelled(audio: np.ndarray) -> np.ndarray:
    """Speech ``(T,)`` at the demo's level, with silence appended, because eSpeak-NG's output ends abruptly."""
    level = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))
    peak = float(np.abs(audio).max())
    levelled = audio * min(RMS / max(level, 1e-6), 0.98 / max(peak, 1e-6))
    return np.append(levelled, np.zeros(int(END_SECONDS * SAMPLE_RATE), dtype=audio.dtype))


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    shaped = isinstance(manifest, dict) and isinstance(manifest.get("files"), dict) and "settings" in manifest
    return manifest if shaped else None


def _is_intact(folder: Path, manifest: dict[str, Any]) -> bool:
    """Whether the folder holds the files of its manifest unchanged and nothing else."""
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {MANIFEST}
    return present == set(manifest["files"]) and all(
        sha256_of(folder / name) == digest for name, digest in manifest["files"].items()
    )


def _put_in_place(made: Path, out: Path) -> None:
    """Move the parts of ``made`` into ``out``, the manifest last, so that a folder with a manifest is complete."""
    if not out.exists():
        made.chmod(0o755)  # a temporary folder is accessible to its owner only
        made.rename(out)
        return
    aside = made / "replaced"
    aside.mkdir()
    (out / MANIFEST).unlink(missing_ok=True)
    for part in PARTS:
        if (out / part).exists():
            (out / part).rename(aside / part)
        (made / part).rename(out / part)
    (made / MANIFEST).rename(out / MANIFEST)
