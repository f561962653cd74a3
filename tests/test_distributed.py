"""Precision of the frozen decoder's convolutions."""

from __future__ import annotations

import pytest
import torch

from voiceclone.cloning.config import CloneConfig
from voiceclone.distributed import convolution_dtype
from voiceclone.errors import UsageError

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch):
    """``processor(amx, limit)``: the CPU has matrix units or not, and oneDNN may use instructions up to ``limit``."""

    def set_up(amx: bool, limit: str | None = None) -> None:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx})
        monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
        if limit is None:
            monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
        else:
            monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)

    return set_up


@pytest.mark.parametrize(
    ("amx", "limit", "expected"),
    [
        (True, None, torch.bfloat16),
        (True, "AVX512_CORE_AMX", torch.bfloat16),
        (True, "AVX2", None),
        (False, None, None),
    ],
)
def test_auto_takes_bfloat16_where_it_is_quicker(processor, amx, limit, expected) -> None:
    processor(amx, limit)
    assert convolution_dtype("auto", CPU) is expected
    assert convolution_dtype("auto", GPU) is None


def test_a_precision_that_is_asked_for_is_taken(processor) -> None:
    processor(True)
    assert convolution_dtype("float32", CPU) is None
    processor(False)
    assert convolution_dtype("bfloat16", CPU) is torch.bfloat16


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match="precision='int4': use one of auto, float32, bfloat16"):
        CloneConfig(data="d", precision="int4")
