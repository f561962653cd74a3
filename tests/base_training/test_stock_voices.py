"""Stock voices have the right shape, are smooth over the rows, and are selected to differ."""

import torch

from voiceclone.base_training.stock_voices import BANDS, stock_voice, varied_speakers
from voiceclone.models.presets import TINY_ENCODER
from voiceclone.style.encoders import StyleEncoderConfig, build_style_encoders


def test_rows_follow_length_smoothly(corpus):
    torch.manual_seed(0)
    encoders = build_style_encoders(StyleEncoderConfig(**TINY_ENCODER))
    pack = stock_voice(corpus, encoders, corpus.speakers[0], most=2)
    assert pack.shape == (510, 1, 256)
    assert pack.dtype == torch.float32
    steps = (pack[1:] - pack[:-1]).flatten(1).norm(dim=1)
    reach = (pack[5] - pack[100]).norm()
    assert reach > 0
    assert steps.max() < 0.2 * reach
    assert torch.equal(pack[BANDS[-1]], pack[509])


def test_named_speakers_come_first_and_the_others_lie_far_apart():
    packs = {name: torch.full((510, 1, 256), value) for name, value in (("a", 0.0), ("b", 0.1), ("c", 5.0), ("d", 9.0))}
    assert varied_speakers(packs, 3, ["b"]) == ["b", "c", "d"]
    assert varied_speakers(packs, 9) == ["a", "b", "c", "d"]


def test_rows_that_are_all_alike_are_stored_once_and_come_back(base_folder, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    from voiceclone.base_training.export import shortened
    from voiceclone.bases.base import load_base
    from voiceclone.cli.main import main
    from voiceclone.voice.pack import VoicePack

    pack = torch.randn(510, 1, 256)
    pack[120:] = pack[119]
    assert shortened(pack).shape == (120, 1, 256) and shortened(torch.ones(510, 1, 256)).shape == (1, 1, 256)
    assert shortened(torch.randn(510, 1, 256)).shape == (510, 1, 256)
    shutil.copytree(base_folder, tmp_path / "base")
    shutil.rmtree(tmp_path / "base" / "voices", ignore_errors=True)
    save_file({"v": shortened(pack)}, tmp_path / "base" / "voices.safetensors")
    assert load_file(tmp_path / "base" / "voices.safetensors")["v"].shape[0] == 120
    assert torch.equal(load_base(tmp_path / "base").stock_voices["v"].tensor, pack)
    stored = str(tmp_path / "base" / "voices.safetensors")
    assert main(["export", stored, "--to", "pt", "--out", str(tmp_path / "v.pt")]) == 0
    assert torch.equal(VoicePack.load(tmp_path / "v.pt").tensor, pack)
