"""Kokoro-82M from an ONNX file: converted once, strictly, and cached by the hash of its source."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from voiceclone.errors import VoicecloneError
from voiceclone.files import write_bytes, write_json
from voiceclone.models.build import build_kmodel
from voiceclone.models.checkpoint import fold_weight_norm, load_strictly
from voiceclone.models.converted import FACTS, FORMAT, WEIGHTS, Converted, find_converted, folder_of
from voiceclone.models.frozen_kokoro import FrozenKokoro, token_ids
from voiceclone.models.onnx_kokoro import read_onnx_state
from voiceclone.models.presets import full_config
from voiceclone.models.store import cache_root, one_at_a_time, stamped_sha256
from voiceclone.voice.official import official_voice

# "The quick brown fox jumps over the lazy dog.", American English
SELF_TEST_PHONEMES = "ðə kwˈɪk bɹˈWn fˈɑks ʤˈʌmps ˈOvəɹ ðə lˈAzi dˈɔɡ."
SELF_TEST_VOICE = "af_heart"
SELF_TEST_SECONDS = (1.5, 6.0)  # plausible length of that sentence spoken by Kokoro
SELF_TEST_RMS = (0.01, 0.5)  # full scale 1.0


def convert_file(path: Path, *, notice: Callable[[str], None] = lambda line: None) -> Converted:
    """The conversion of an ONNX file, from the cache or made now.

    Args:
        notice: called with a line before a long operation.

    Raises:
        VoicecloneError: the file is not Kokoro-82M, the converted model does not speak, or the cache is not writable.
    """
    try:
        sha256 = stamped_sha256(path)
    except OSError as error:
        raise VoicecloneError(f"cannot read {path}: {error.strerror or error}") from error
    if found := find_converted(sha256):
        return found
    with one_at_a_time(sha256[:32]):
        if found := find_converted(sha256):  # another process has converted it meanwhile
            return found
        notice(f"converting {path.name} once (kept in {cache_root()})")
        return _convert(path, sha256)


def _convert(path: Path, sha256: str) -> Converted:
    model = build_kmodel(full_config(), path, initialize=False)
    state = read_onnx_state(path, model)
    load_strictly(model, state, path)
    fold_weight_norm(model)
    precision = _precision(path)
    facts = self_test(FrozenKokoro(model.eval(), torch.device("cpu")), path, precision)
    content = save({name: value.contiguous() for name, value in state.items()})
    folder = folder_of(sha256)
    write_bytes(folder / WEIGHTS, content)
    # Written last: a conversion without it is not finished.
    write_json(folder / FACTS, {"format": FORMAT, "source": path.name, "source_sha256": sha256, "precision": precision,
                                "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
                                "self_test": facts})  # fmt: skip
    return Converted(folder=folder, source_sha256=sha256, precision=precision, source=path.name)


def self_test(kokoro: FrozenKokoro, source: Path, precision: str) -> dict[str, Any]:
    """Speak one sentence and check it; if onnxruntime is installed, compare its durations with the ONNX model's.

    Returns:
        ``seconds``, ``rms``, and ``largest_duration_difference`` in frames per token (None without onnxruntime).

    Raises:
        VoicecloneError: the audio is not finite, has an implausible length or level, or differs too much.
    """
    text, voice = kokoro.text(SELF_TEST_PHONEMES), official_voice(SELF_TEST_VOICE).row(len(SELF_TEST_PHONEMES))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        audio, durations = kokoro.speak(text, voice)
    seconds, rms = len(audio) / 24_000, float(audio.square().mean().sqrt())
    spoken = bool(torch.isfinite(audio).all()) and SELF_TEST_RMS[0] <= rms <= SELF_TEST_RMS[1]
    if not spoken or not SELF_TEST_SECONDS[0] <= seconds <= SELF_TEST_SECONDS[1]:
        raise VoicecloneError(
            f"{source}: the converted model does not speak ({seconds:.1f} s, level {rms:.3f}): is it a Kokoro-82M v1.0?"
        )
    theirs = _onnx_durations(source, token_ids(SELF_TEST_PHONEMES, kokoro.kmodel.vocab), voice.numpy())
    largest = None if theirs is None else int(np.abs(theirs - durations.numpy()).max())
    if largest is not None and largest > _DURATION_TOLERANCE[precision]:
        raise VoicecloneError(
            f"{source}: the converted model's durations differ from the ONNX model's by {largest} frames a phoneme: "
            "is it a Kokoro-82M v1.0?"
        )
    return {"seconds": round(seconds, 3), "rms": round(rms, 4), "largest_duration_difference": largest}


# Frames of 25 ms per token. The int8 graph also rounds activations, which the converted model does not.
_DURATION_TOLERANCE: Mapping[str, int] = {"float32": 1, "fp16": 1, "int8": 3}


def _onnx_durations(path: Path, tokens: list[int], voice: np.ndarray) -> np.ndarray | None:
    """Durations ``(T,)`` in frames from the ONNX model itself; None if it cannot be run."""
    try:
        import onnx
        import onnxruntime
    except ImportError:
        return None
    model = onnx.load(str(path), load_external_data=False)
    rounded = [node.output[0] for node in model.graph.node if node.op_type == "Round"]
    names = [value.name for value in model.graph.input]
    if len(rounded) != 1 or len(names) not in (2, 3):
        return None
    if rounded[0] not in [value.name for value in model.graph.output]:
        model.graph.output.append(onnx.helper.make_tensor_value_info(rounded[0], onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    values = (np.array([tokens], dtype=np.int64), voice.astype(np.float32), np.ones(1, dtype=np.float32))
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = session.run([rounded[0]], dict(zip(names, values)))[0]
    except Exception:  # onnxruntime has its own exceptions; without its result there is no comparison
        return None
    return np.maximum(found.ravel(), 1).astype(np.int64)


def _precision(path: Path) -> str:
    """The stored precision of the file's weights: a key of ``PRECISIONS``."""
    from voiceclone.models.onnx_graph import read_graph

    sizes: dict[str, int] = {"int8": 0, "fp16": 0, "float32": 0}
    for value in read_graph(path).constants.values():
        kind = {np.dtype(np.float16): "fp16", np.dtype(np.float32): "float32"}.get(value.dtype)
        if kind or value.dtype.itemsize == 1:
            sizes[kind or "int8"] += value.size
    return max(sizes, key=sizes.__getitem__)
