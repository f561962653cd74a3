"""Kokoro's weights from ONNX files: float32, float16, int8, and unsupported files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from models.onnx_files import export
from onnx import numpy_helper

from voiceclone.errors import VoicecloneError
from voiceclone.models.checkpoint import fold_weight_norm, load_strictly
from voiceclone.models.nano import NanoKModel
from voiceclone.models.onnx_kokoro import read_onnx_state
from voiceclone.models.presets import preset


def narrow_model(*, disable_complex: bool = False) -> NanoKModel:
    """A narrow Kokoro without two equal tensors, which an exporter would store once."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = NanoKModel(preset("tiny")[0], disable_complex=disable_complex)
        for name, parameter in model.named_parameters():
            if ".norm." not in name and "pooler" not in name:  # what Kokoro's graph leaves out
                parameter.data += 0.01 * torch.randn_like(parameter)
    return model.eval()


@pytest.fixture(scope="module")
def float_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(narrow_model(disable_complex=True), tmp_path_factory.mktemp("onnx") / "narrow.onnx")


def folded(model: NanoKModel) -> dict[str, torch.Tensor]:
    """The effective weights: weight norm folded, without those that the graph leaves out."""
    fold_weight_norm(model)
    return {k: v for k, v in model.state_dict().items() if "pooler" not in k and "position_ids" not in k}


def read_back(path: Path) -> dict[str, torch.Tensor]:
    model = NanoKModel(preset("tiny")[0])
    load_strictly(model, read_onnx_state(path, model), path)
    return folded(model)


def relative_errors(found: dict[str, torch.Tensor]) -> dict[str, float]:
    expected = {k: v for k, v in folded(narrow_model()).items() if ".stft." not in k}
    assert set(expected) == set(found)
    return {k: float((found[k] - v).abs().max() / v.abs().max().clamp(min=1e-6)) for k, v in expected.items()}


def test_a_float_file_gives_back_every_weight(float_file: Path) -> None:
    assert max(relative_errors(read_back(float_file)).values()) < 1e-6


def test_a_float16_file_gives_them_back_up_to_its_rounding(float_file: Path, tmp_path: Path) -> None:
    model = onnx.load(str(float_file))
    for tensor in model.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float16), tensor.name))
    onnx.save(model, str(tmp_path / "narrow.fp16.onnx"))
    assert max(relative_errors(read_back(tmp_path / "narrow.fp16.onnx")).values()) < 2**-10


def test_an_int8_file_gives_them_back_up_to_its_rounding(float_file: Path, tmp_path: Path) -> None:
    """Quantised as kokoro-onnx's file was, by ONNX Runtime: a value lies within a step of the 256 of its tensor."""
    pytest.importorskip("onnxruntime")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantised = tmp_path / "narrow.int8.onnx"
    quantize_dynamic(str(float_file), str(quantised), weight_type=QuantType.QUInt8)
    kinds = {node.op_type for node in onnx.load(str(quantised)).graph.node}
    assert {"ConvInteger", "MatMulInteger", "DynamicQuantizeLSTM"} <= kinds
    errors = relative_errors(read_back(quantised))
    assert max(errors.values()) < 2 / 128
    assert max(errors.values()) > 1e-4  # it is quantised


def test_a_channel_that_was_rounded_to_zero_stays_finite(float_file: Path, tmp_path: Path) -> None:
    model = onnx.load(str(float_file))
    node = next(n for n in model.graph.node if n.name == "/decoder/decoder/encode/conv1/Conv")
    tensor = next(t for t in model.graph.initializer if t.name == node.input[1])
    value = numpy_helper.to_array(tensor).copy()
    value[2] = 0.0
    tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    onnx.save(model, str(tmp_path / "zero.onnx"))
    weight = read_back(tmp_path / "zero.onnx")["decoder.encode.conv1.weight"]
    assert torch.isfinite(weight).all() and not weight[2].any() and weight[1].any()


def without(path: Path, name: str) -> onnx.ModelProto:
    model = onnx.load(str(path))
    kept = [tensor for tensor in model.graph.initializer if tensor.name != name]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model


def test_the_first_thing_that_a_graph_lacks_is_named(float_file: Path, tmp_path: Path) -> None:
    onnx.save(without(float_file, "encoder.predictor.F0_proj.bias"), str(tmp_path / "less.onnx"))
    with pytest.raises(VoicecloneError, match=r"less\.onnx lacks predictor\.F0_proj\.bias") as caught:
        read_back(tmp_path / "less.onnx")
    assert "\n" not in str(caught.value)


def test_a_tensor_without_a_place_is_named(float_file: Path, tmp_path: Path) -> None:
    model = onnx.load(str(float_file))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "encoder.extra.weight"))
    onnx.save(model, str(tmp_path / "more.onnx"))
    with pytest.raises(VoicecloneError, match=r"1 unknown tensors \(first: extra\.weight\)"):
        read_back(tmp_path / "more.onnx")


def test_a_graph_of_another_size_is_refused(float_file: Path) -> None:
    model = NanoKModel(preset("nano")[0])
    with pytest.raises(VoicecloneError, match="do the weights belong to this config|lacks"):
        load_strictly(model, read_onnx_state(float_file, model), float_file)


@pytest.mark.parametrize("content", [b"", b"no onnx at all", b"PK\x03\x04" + b"\0" * 100])
def test_what_is_no_onnx_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(VoicecloneError, match=r"x\.onnx is not an ONNX file or is damaged"):
        read_onnx_state(path, NanoKModel(preset("tiny")[0]))


def test_a_graph_that_is_no_kokoro_is_one_line(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    values = [onnx.helper.make_tensor_value_info(name, 1, [1]) for name in "xy"]
    onnx.save(
        onnx.helper.make_model(onnx.helper.make_graph([node], "g", values[:1], values[1:])), str(tmp_path / "r.onnx")
    )
    with pytest.raises(VoicecloneError, match=r"r\.onnx lacks .*: it is not Kokoro-82M"):
        read_onnx_state(tmp_path / "r.onnx", NanoKModel(preset("tiny")[0]))


def test_weights_in_another_file_are_not_followed(float_file: Path, tmp_path: Path) -> None:
    onnx.save(onnx.load(str(float_file)), str(tmp_path / "ext.onnx"), save_as_external_data=True, size_threshold=0)
    with pytest.raises(VoicecloneError, match="its weights lie in another file"):
        read_back(tmp_path / "ext.onnx")
