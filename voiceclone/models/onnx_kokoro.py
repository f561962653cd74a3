"""Kokoro's weights from an ONNX file, as the state dict of ``kokoro.KModel``; every tensor is accounted for.

Made for kokoro-onnx's files (float32, float16, int8). There, parameters that the exporter did not transform keep their
name (``encoder.predictor.F0.0.conv1.bias``); weights behind weight norm and in matrix products are named by the graph,
and are found through the node that uses them, whose name is the path of its module (``/encoder/F0.0/conv1/Conv``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from voiceclone.errors import VoicecloneError
from voiceclone.models.onnx_graph import LstmWeights, OnnxGraph, read_graph

# Names of the exported modules in ``KModel``.
_PREFIXES = (("decoder.decoder.", "decoder."), ("encoder.", ""), ("kmodel.", ""))
# Parameters that the graph leaves out: the pooler is not used; the affine weights of the normalisation inside AdaIN
# are 1 and 0 in Kokoro, so that the exporter drops them.
_UNUSED = re.compile(r"bert\.pooler\.")
_IDENTITY = re.compile(r"\.(norm|norm1\.norm|norm2\.norm|adain[12]\.\d\.norm)\.(weight|bias)$")
_NO_WEIGHTS = re.compile(r"^decoder\.generator\.(stft|m_source\.l_sin_gen)\.|\.(position|token_type)_ids$")
_REPEATED = re.compile(r"_\d+$")


def read_onnx_state(path: Path, model: nn.Module) -> dict[str, Tensor]:
    """The state dict of ``model`` (a ``KModel`` with weight norm in place), float32, from an ONNX file.

    Raises:
        VoicecloneError: the file cannot be read, lacks a tensor, or holds one that the model does not have.
    """
    graph = read_graph(path)
    found = dict(_named_parameters(graph))
    for key, value in _operator_weights(graph, model):
        if key in found and not np.array_equal(found[key], value):
            raise VoicecloneError(f"{path}: two different tensors for {key}: this graph is of another make")
        found[key] = value
    state, used = {}, set()
    for key, own in model.state_dict().items():
        if _NO_WEIGHTS.search(key):
            continue
        source, its_value = _value_of(key, found, own)
        if its_value is None:
            raise VoicecloneError(
                f"{path} lacks {source}: it is not Kokoro-82M, or was exported in an unknown way: "
                "use kokoro-onnx's kokoro-v1.0.onnx or kokoro-v1.0.int8.onnx"
            )
        used.add(source)
        state[key] = its_value
    if unknown := sorted(found.keys() - used):
        raise VoicecloneError(f"{path} holds {len(unknown)} unknown tensors (first: {unknown[0]}): is it a Kokoro-82M?")
    return state


def _value_of(key: str, found: Mapping[str, np.ndarray], own: Tensor) -> tuple[str, Tensor | None]:
    """The name of a parameter in the graph, and its value (None if the graph has none)."""
    if key.endswith(("weight_g", "weight_v")):
        source = key[:-2]
        if source not in found:
            return source, None
        gain, direction = _weight_norm(_tensor(found[source]))
        return source, gain if key.endswith("g") else direction
    if key in found:
        return key, _tensor(found[key])
    if _UNUSED.match(key):
        return key, torch.zeros_like(own)
    if _IDENTITY.search(key):
        return key, torch.ones_like(own) if key.endswith("weight") else torch.zeros_like(own)
    return key, None


def _tensor(value: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(value, order="C"))


def _weight_norm(weight: Tensor) -> tuple[Tensor, Tensor]:
    """``g`` and ``v`` of ``weight = g v / |v|``, norms over all but the first axis.

    A channel that quantisation set to zero gets ``g = 0`` and any ``v``: ``0 / 0`` would be NaN.
    """
    length = weight.flatten(1).norm(dim=1).view(-1, *[1] * (weight.ndim - 1))
    return length, torch.where(length > 0, weight, torch.ones_like(weight))


def _named_parameters(graph: OnnxGraph) -> Iterator[tuple[str, np.ndarray]]:
    """Constants that carry a parameter's own name."""
    for name, value in graph.named().items():
        key = _renamed(name)
        if key is not None and not _NO_WEIGHTS.search(key):
            yield key, value


def _renamed(name: str) -> str | None:
    """``encoder.bert...`` -> ``bert...``; None for constants of no module."""
    for before, after in _PREFIXES:
        if name.startswith(before):
            return after + name.removeprefix(before)
    return name if name.split(".", 1)[0] in ("bert", "bert_encoder", "predictor", "text_encoder") else None


def _operator_weights(graph: OnnxGraph, model: nn.Module) -> Iterator[tuple[str, np.ndarray]]:
    """Weights found through the operators that use them, by the name of the parameter."""
    modules = dict(model.named_modules())
    for path, operator, weight in graph.weights():
        if (name := _module_of(path, modules)) is not None and _fits(modules[name], operator):
            yield f"{name}.weight", weight
    for path, weights in graph.lstms():
        if (name := _module_of(path, modules)) is not None and isinstance(modules[name], nn.LSTM):
            for parameter, value in _lstm_parameters(weights):
                yield f"{name}.{parameter}", value


def _module_of(path: str, modules: Mapping[str, nn.Module]) -> str | None:
    """The module of a node's path.

    Parts of the predictor are called from outside of it, so that its name is missing in their path. A layer that is
    used again has a number appended.
    """
    path = f"{path}."
    for before, after in _PREFIXES:
        if path.startswith(before):
            path = after + path.removeprefix(before)
            break
    path = path.rstrip(".")
    for candidate in (path, f"predictor.{path}"):
        for name in (candidate, _REPEATED.sub("", candidate)):
            if name in modules:
                return name
    return None


def _fits(module: nn.Module, operator: str) -> bool:
    kinds = (nn.Conv1d, nn.ConvTranspose1d) if operator.startswith("Conv") else (nn.Linear,)
    return isinstance(module, nn.Embedding if operator == "Gather" else kinds)


def _lstm_parameters(weights: LstmWeights) -> Iterator[tuple[str, np.ndarray]]:
    """torch's parameters of an LSTM with one layer: its gates are in the order i, f, g, o, ONNX's in i, o, f, c."""
    hidden = weights.of_state.shape[-1]

    def ordered(rows: np.ndarray) -> np.ndarray:
        i, o, f, c = rows.reshape(4, hidden, *rows.shape[1:])
        return np.concatenate([i, f, c, o])

    for direction in range(len(weights.of_input)):
        end = "_reverse" if direction else ""
        biases = weights.biases[direction].reshape(2, 4 * hidden)
        yield f"weight_ih_l0{end}", ordered(weights.of_input[direction])
        yield f"weight_hh_l0{end}", ordered(weights.of_state[direction])
        yield f"bias_ih_l0{end}", ordered(biases[0])
        yield f"bias_hh_l0{end}", ordered(biases[1])
