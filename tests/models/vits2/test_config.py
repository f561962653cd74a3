"""Configs that cannot be built are refused, by names and values; sizes that are unusual but possible speak."""

from __future__ import annotations

import pytest
import torch

from voiceclone.models.vits2.config import changed, vits2_preset
from voiceclone.models.vits2.synthesizer import Synthesizer

TINY = vits2_preset("tiny")
ISTFT = {"decoder": "istft", "upsample_rates": [10, 6], "upsample_kernels": [20, 12]}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"heads": 0}, "heads is 0: use whole numbers from 1 on"), ({"layers": -1}, "layers is -1"),
        ({"hidden": 16.0}, "hidden is 16.0"), ({"hidden": "16"}, "hidden is '16'"), ({"flows": True}, "flows is True"),
        ({"speakers": -1}, "speakers is -1"), ({"crop_frames": 0}, "crop_frames is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"), ({"duration_dropout": -0.1}, "duration_dropout is -0.1"),
        ({"dropout": float("nan")}, "dropout is nan"), ({"dropout": "much"}, "wrong kind"),
        ({"upsample_rates": 8}, "wrong kind"), ({"upsample_rates": [10, 6, "5"]}, "upsample_rates is"),
        ({"upsample_kernels": [8, 12, 10]}, "8 is too short for the rate 10"),
        ({"upsample_rates": [300, 1, 1], "upsample_kernels": [600, 2, 3]}, "even for a rate of 1"),
        ({"upsample_kernels": [20, 12]}, "one entry a layer each"),
        ({"upsample_channels": 4}, "every layer of upsample_rates halves them"),
        ({"resblock_kernels": [4]}, "must be odd"), ({"resblock_kernels": []}, "must be odd"),
        ({"resblock_dilations": [[1], [3]]}, "with as many lists"), ({**ISTFT, "istft_size": 21}, "istft_size is 21"),
        ({**ISTFT, "istft_size": 4}, "not below istft_hop"), ({"front_end": 5}, "front_end is 5"),
        ({"front_end": {"win": 4096}}, "n_fft is 2048"), ({"front_end": {"n_mels": 0}}, "n_mels is 0"),
        ({"front_end": {"f_min": 13_000.0}}, "f_min is 13000.0"), ({"front_end": {"bands": 3}}, "bands"),
        ({"speakers": 2, "speaker_channels": 0}, "speaker_channels is 0"), ({"channels": 15}, "multiples of 2 x heads"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_refused(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        changed(TINY, values)


@pytest.mark.parametrize(
    "values",
    [
        {"kernel": 4, "window": 0, "flows": 1, "heads": 1}, {"upsample_kernels": [13, 6, 8]},
        {"upsample_rates": [300, 1, 1], "upsample_kernels": [300, 1, 3]}, {**ISTFT, "istft_size": 16},
    ],
)  # fmt: skip
def test_unusual_sizes_speak(values: dict) -> None:
    torch.manual_seed(0)
    model = Synthesizer(changed(TINY, values)).eval()
    audio, frames = model.infer(torch.randint(1, 170, (1, 6)), torch.tensor([6]))
    assert audio.shape[-1] == 300 * int(frames.sum()) and torch.isfinite(audio).all()
