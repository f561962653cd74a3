"""Read an ONNX file as data: its constants, and the weights of each operator by the path of its module.

Nothing in the file is executed. Quantised weights (ONNX Runtime's dynamic quantisation) come back as float32.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voiceclone.errors import VoicecloneError

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

_QUANTIZED = "_quantized"
_LSTM_OPERATORS = ("LSTM", "DynamicQuantizeLSTM")
_PLACE_OF_WEIGHT = {"Conv": 1, "ConvTranspose": 1, "ConvInteger": 1, "Gemm": 1, "MatMul": 1, "MatMulInteger": 1,
                    "Gather": 0}  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class LstmWeights:
    """Weights of an ONNX LSTM, float32; D directions, H hidden values, I inputs; gates in the order i, o, f, c."""

    of_input: np.ndarray = field(repr=False)  # (D, 4H, I)
    of_state: np.ndarray = field(repr=False)  # (D, 4H, H)
    biases: np.ndarray = field(repr=False)  # (D, 8H): of the input, then of the state


class OnnxGraph:
    """The constants of a graph, and the weights of its operators.

    Attributes:
        path: the file, for messages.
        constants: every initializer and constant by name; integers stay integers.
    """

    def __init__(self, graph: GraphProto, path: Path) -> None:
        from onnx import numpy_helper

        self.path = path
        self.constants: dict[str, np.ndarray] = {}
        for tensor in graph.initializer:
            if tensor.external_data:
                raise VoicecloneError(
                    f"{path}: its weights lie in another file, which is not read: use one single file"
                )
            self.constants[tensor.name] = numpy_helper.to_array(tensor)
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        self._nodes = list(graph.node)
        self._zero_points = {
            node.input[1]: node.input[2]
            for node in self._nodes
            if node.op_type == "DequantizeLinear" and len(node.input) > 2
        }
        self._scales = {
            node.name.removesuffix("_scales_mul"): name
            for node in self._nodes
            if node.name.endswith("_scales_mul")
            for name in node.input
            if name in self.constants
        }

    def weights(self) -> Iterator[tuple[str, str, np.ndarray]]:
        """Module path, operator and float32 weight, transposed where the operator multiplies from the right.

        The path is that of the node, such as ``/encoder/F0.0/conv1``; nodes without a name are left out.
        """
        for node in self._nodes:
            place = _PLACE_OF_WEIGHT.get(node.op_type)
            if place is None or len(node.input) <= place or node.input[place] not in self.constants:
                continue
            if self.constants[node.input[place]].dtype.itemsize == 8:  # int64: a shape, no weight
                continue
            weight = self._float(node.input[place], node, zero_point=3)
            if node.op_type in ("MatMul", "MatMulInteger") or (node.op_type == "Gemm" and not _is_transposed(node)):
                weight = weight.T
            if weight.ndim > 1:
                yield _module_path(node.name), node.op_type, weight

    def lstms(self) -> Iterator[tuple[str, LstmWeights]]:
        """Module path and weights of every LSTM whose weights are constants."""
        for node in self._nodes:
            if node.op_type not in _LSTM_OPERATORS or any(name not in self.constants for name in node.input[1:4]):
                continue
            of_input, of_state = (self._float(node.input[i], node, zero_point=7 + 2 * i) for i in (1, 2))
            if node.op_type == "DynamicQuantizeLSTM":
                of_input, of_state = of_input.transpose(0, 2, 1), of_state.transpose(0, 2, 1)
            biases = self.constants[node.input[3]].astype(np.float32)
            yield _module_path(node.name), LstmWeights(of_input=of_input, of_state=of_state, biases=biases)

    def named(self) -> Mapping[str, np.ndarray]:
        """Float constants that carry a parameter's name (``encoder.bert.embeddings...``), as float32."""
        return {
            name: value.astype(np.float32)
            for name, value in self.constants.items()
            if np.issubdtype(value.dtype, np.floating)
            and not name.startswith(("/", "onnx::"))
            and not name.endswith(("_scale", "_zero_point"))
        }

    def _float(self, name: str, node: NodeProto, *, zero_point: int) -> np.ndarray:
        """The constant as float32; ``zero_point`` is the index of its zero point among the node's inputs."""
        value = self.constants[name]
        if np.issubdtype(value.dtype, np.floating):
            return value.astype(np.float32)
        scale = self.constants.get(f"{name.removesuffix(_QUANTIZED)}_scale")
        if scale is None:
            scale = self.constants.get(self._scales.get(node.name, ""))
        if node.op_type == "Gather":  # embeddings are gathered first and dequantised afterwards
            zero = self.constants.get(self._zero_points.get(f"{name.removesuffix(_QUANTIZED)}_scale", ""))
        elif len(node.input) > zero_point:
            zero = self.constants.get(node.input[zero_point])
        else:
            zero = np.zeros((), np.int64)
        if scale is None or zero is None:
            raise VoicecloneError(f"{self.path}: {node.name} is quantised in an unknown way: use a float file")
        return _dequantized(value, scale, zero)


def read_graph(path: Path) -> OnnxGraph:
    """Read an ONNX file.

    Raises:
        VoicecloneError: it cannot be read, is not an ONNX file, or stores its weights in another file.
    """
    import onnx

    try:
        content = path.read_bytes()
    except OSError as error:
        raise VoicecloneError(f"cannot read {path}: {error.strerror or error}") from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's DecodeError, whose module differs between versions
        raise VoicecloneError(f"{path} is not an ONNX file or is damaged: download it again") from error
    if not model.graph.node:
        raise VoicecloneError(f"{path} is not an ONNX file or is damaged: download it again")
    return OnnxGraph(model.graph, path)


def _dequantized(value: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """``(value - zero) * scale``: one scale for all, one per column, or (LSTM) one per direction, the first axis."""
    if value.ndim == 3 and scale.ndim == 1 and len(scale) == len(value):
        scale, zero = scale[:, None, None], zero[:, None, None] if zero.ndim else zero
    return ((value.astype(np.int32) - zero.astype(np.int32)) * scale.astype(np.float32)).astype(np.float32)


def _is_transposed(gemm: NodeProto) -> bool:
    return any(attribute.name == "transB" and attribute.i for attribute in gemm.attribute)


def _module_path(name: str) -> str:
    """``/encoder/text_encoder/cnn.0/cnn.0.0/Conv_quant`` -> ``encoder.text_encoder.cnn.0.0``.

    The scope of a list precedes that of its member: in ``cnn.0/cnn.0.0`` the second is sufficient.
    """
    parts = [part for part in re.sub(r"_quant$", "", name).split("/") if part][:-1]
    kept = [part for part, after in zip(parts, [*parts[1:], ""]) if not after.startswith(f"{part}.")]
    return ".".join(kept)
