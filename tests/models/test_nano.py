"""NanoKModel: Kokoro's own modules at full size, and a narrow decoder with the same data flow if configured."""

import copy

import pytest
import torch
from kokoro import KModel
from kokoro.istftnet import Decoder

from voiceclone.errors import UsageError
from voiceclone.models.nano import NanoKModel, NarrowDecoder, count_parameters, init_for_speech
from voiceclone.models.presets import full_config, nano_config, preset, tiny_config

PHONEMES = "hɛlˈO wˈɜɹld, ðɪs ɪz ɐ tˈɛst."


def shapes(module):
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def test_full_config_has_the_published_sizes():
    with torch.device("meta"):
        counts = count_parameters(NanoKModel(full_config()))
    millions = {part: round(count / 1e6, 1) for part, count in counts.items()}
    assert millions["total"] == 81.8
    assert (millions["decoder"], millions["predictor"], millions["text_encoder"]) == (53.3, 16.2, 5.6)


def test_narrow_decoder_at_kokoros_widths_has_kokoros_tensors():
    istftnet = full_config()["istftnet"]
    with torch.device("meta"):
        theirs = Decoder(dim_in=512, style_dim=128, dim_out=80, **istftnet)
        ours = NarrowDecoder(
            dim_in=512, style_dim=128, encode_dim=1024, decode_dims=[1024, 1024, 1024, 512], asr_res_dim=64,
            istftnet=istftnet,
        )  # fmt: skip
    assert shapes(ours) == shapes(theirs)


@pytest.mark.slow
def test_full_config_speaks_exactly_as_kmodel_with_the_same_weights(tmp_path):
    torch.manual_seed(0)
    ours = NanoKModel(full_config()).eval()
    init_for_speech(ours)
    parts = {part: getattr(ours, part).state_dict() for part in count_parameters(ours) if part != "total"}
    torch.save(parts, tmp_path / "model.pth")
    theirs = KModel(repo_id="none", config=full_config(), model=str(tmp_path / "model.pth")).eval()
    assert shapes(ours) == shapes(theirs)
    style = torch.randn(1, 256) * 0.2
    audio = []
    for model in (ours, theirs):
        torch.manual_seed(1)
        audio.append(model("hɛlˈO", style))
    assert torch.equal(*audio)


@pytest.mark.parametrize(("name", "most"), [("nano", 12_000_000), ("tiny", 500_000)])
def test_presets_speak_about_three_frames_a_phoneme(name, most):
    torch.manual_seed(0)
    model = NanoKModel(preset(name)[0]).eval()
    init_for_speech(model)
    assert count_parameters(model)["total"] < most
    output = model(PHONEMES, torch.randn(1, 256) * 0.2, return_output=True)
    assert output.audio.shape == (int(output.pred_dur.sum()) * 600,)
    assert torch.isfinite(output.audio).all()
    assert 2 <= output.pred_dur.float().mean() <= 4
    assert model.context_length == 512


def test_weights_follow_the_callers_seed_and_no_seed_is_set():
    def first_weight():
        return NanoKModel(tiny_config()).decoder.encode.conv1.weight_v.clone()

    torch.manual_seed(3)
    one, other = first_weight(), first_weight()
    torch.manual_seed(3)
    assert torch.equal(first_weight(), one)
    assert not torch.equal(one, other)


def test_the_generators_stages_can_have_widths_of_their_own():
    config = tiny_config()
    config["nano"]["generator_dims"] = [16, 8]  # Kokoro's halving of the 32 channels
    halved = NanoKModel(tiny_config())
    assert shapes(NanoKModel(config)) == shapes(halved)
    config["nano"]["generator_dims"] = [12, 24]
    model = NanoKModel(config).eval()
    init_for_speech(model)
    generator = model.decoder.generator
    assert [up.out_channels for up in generator.ups] == [12, 24] and generator.conv_post.in_channels == 24
    output = model(PHONEMES, torch.randn(1, 256) * 0.2, return_output=True)
    assert output.audio.shape == (int(output.pred_dur.sum()) * 600,) and torch.isfinite(output.audio).all()
    config["nano"]["generator_dims"] = [12]
    with pytest.raises(ValueError, match="1 widths for 2 stages"):
        NanoKModel(config)


def test_wrong_widths_are_refused():
    config = copy.deepcopy(nano_config())
    config["nano"]["decode_dims"][-1] = 96
    with pytest.raises(ValueError, match="upsample_initial_channel"):
        NanoKModel(config)
    config = copy.deepcopy(nano_config())
    config["nano"]["widht"] = 1
    with pytest.raises(ValueError, match="widht"):
        NanoKModel(config)


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(UsageError, match="nano, full, tiny"):
        preset("huge")


def test_configs_are_fresh_copies_with_kokoros_vocabulary():
    config = nano_config()
    config["vocab"].clear()
    assert len(nano_config()["vocab"]) == len(full_config()["vocab"]) == 114
    assert "nano" not in full_config()
