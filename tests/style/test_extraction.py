"""Stage 1 compared with StyleTTS2's own preprocessing, and the mean style."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import librosa
import numpy as np
import pytest
import torch
import torchaudio
from support import needs_shared, settle

from voiceclone.audio.features import LogMel
from voiceclone.audio.io import read_audio
from voiceclone.errors import VoicecloneError
from voiceclone.style.encoders import StyleEncoderConfig, StyleEncoders, build_style_encoders, for_inference
from voiceclone.style.extraction import MIN_FRAMES, _outliers, extract_styles, largest_style, reference_mel

TINY = StyleEncoderConfig(dim_in=4, style_dim=128, max_conv_dim=8)


def settled_encoders(config: StyleEncoderConfig = TINY) -> StyleEncoders:
    """Random weights with calibrated spectral norm, so that styles have a realistic norm."""
    return settle(build_style_encoders(config))


def styletts2_compute_style(encoders: StyleEncoders):
    """``StyleTTS2.compute_style`` of the installed package.

    ``styletts2/tts.py`` cannot be imported because it downloads files, so the function, ``preprocess`` and the
    constants it uses are extracted from its source unchanged.
    """
    package = importlib.util.find_spec("styletts2")
    if package is None:
        pytest.skip("styletts2 is not installed: pip install -r requirements.txt, in an environment of its own")
    source = Path(package.origin).parent / "tts.py"
    tree, wanted = ast.parse(source.read_text()), []
    for node in ast.walk(tree):
        names = {t.id for t in ast.walk(node) if isinstance(t, ast.Name)} if isinstance(node, ast.Assign) else set()
        if node in tree.body and names & {"to_mel", "mean"}:
            wanted.append(node)
        if isinstance(node, ast.FunctionDef) and node.name in ("preprocess", "compute_style"):
            wanted.append(node)
    scope = {"torch": torch, "torchaudio": torchaudio, "librosa": librosa, "np": np}
    exec(compile(ast.Module(wanted, []), str(source), "exec"), scope)
    model = SimpleNamespace(style_encoder=encoders.acoustic, predictor_encoder=encoders.prosodic)
    return lambda path: scope["compute_style"](SimpleNamespace(device="cpu", model=model), str(path))


@pytest.mark.parametrize(
    "clip",
    ["librispeech_367/train/367-130732-0001.flac", "vctk_p226/train/p226_003.wav", "ljspeech_lj/train/LJ001-0002.wav"],
)
def test_style_is_what_styletts2_computes(clip: str) -> None:
    path = needs_shared("data", "speech", *clip.split("/"))
    encoders = settled_encoders()
    theirs = styletts2_compute_style(encoders)(path)
    ours = extract_styles([(clip, lambda: read_audio(path))], encoders, device=torch.device("cpu"))
    torch.testing.assert_close(ours.mean, theirs, rtol=0, atol=1e-6)


def test_the_fast_copy_computes_the_same_styles_and_leaves_the_encoders_as_they_are() -> None:
    encoders = settled_encoders(StyleEncoderConfig(dim_in=8, style_dim=128, max_conv_dim=32))
    log_mel = torch.randn(2, 80, 150)
    with torch.no_grad():
        plain = encoders(log_mel)
        state = {key: value.clone() for key, value in encoders.state_dict().items()}
        fast = for_inference(encoders, torch.device("cpu"))
        torch.testing.assert_close(fast(log_mel), plain, rtol=1e-4, atol=1e-6)
        assert (plain[0] - plain[1]).abs().max() > 1e-4  # the tolerance tells clips apart
    assert not any("weight_orig" in key for key in fast.state_dict())
    assert all(torch.equal(value, state[key]) for key, value in encoders.state_dict().items())


def test_style_is_acoustic_then_prosodic() -> None:
    encoders = settled_encoders()
    audio = 0.1 * np.random.default_rng(0).standard_normal(48000).astype(np.float32)
    styles = extract_styles([("a", lambda: audio)], encoders, device=torch.device("cpu"))
    mel = reference_mel(audio, LogMel()).unsqueeze(1)
    with torch.no_grad():
        expected = torch.cat([encoders.acoustic(mel), encoders.prosodic(mel)], dim=1)
    torch.testing.assert_close(styles.mean, expected)


def test_mean_spread_and_outliers() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoders = build_style_encoders(TINY)
    rng = np.random.default_rng(1)
    clips = [(f"c{i}", (0.1 * rng.standard_normal(40000)).astype(np.float32)) for i in range(6)]
    tone = (0.5 * np.sin(2 * np.pi * 200 * np.arange(40000) / 24000)).astype(np.float32)
    clips.append(("tone", tone))
    styles = extract_styles([(n, lambda a=a: a) for n, a in clips], encoders, device=torch.device("cpu"))
    torch.testing.assert_close(styles.mean[0], styles.vectors.mean(dim=0))
    assert styles.spread > 0
    assert "tone" in styles.outliers


def test_outliers_by_median_absolute_deviation() -> None:
    assert _outliers(torch.tensor([1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 2.0])) == [6]
    assert _outliers(torch.tensor([1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 1.2])) == []
    assert _outliers(torch.tensor([1.0, 1.0, 1.0, 9.0])) == []


def test_short_clips_are_repeated_to_what_the_encoder_needs() -> None:
    audio = 0.1 * np.random.default_rng(0).standard_normal(9000).astype(np.float32)
    mel = reference_mel(audio, LogMel())
    assert mel.shape[-1] >= MIN_FRAMES
    assert torch.isfinite(build_style_encoders(TINY)(mel)).all()


def test_damaged_weights_are_noticed() -> None:
    encoders = build_style_encoders(TINY)
    with torch.no_grad():
        encoders.acoustic.unshared.bias[0] = float("nan")
    with pytest.raises(VoicecloneError, match="clip bad.*not finite"):
        extract_styles([("bad", lambda: np.ones(48000, np.float32))], encoders, device=torch.device("cpu"))


def test_encoders_that_were_never_trained_stop_stage_one() -> None:
    """Random weights with uncalibrated spectral norm give huge styles: one error line, before any slow step."""
    encoders, clips = settled_encoders(), [("a", lambda: np.sin(np.arange(48000) / 20).astype(np.float32))]
    norm = float(extract_styles(clips, encoders, device=torch.device("cpu")).vectors.norm())
    extract_styles(clips, encoders, device=torch.device("cpu"), largest=1.1 * norm)
    with pytest.raises(VoicecloneError, match=r"clip a: its style vector has norm .* not trained"):
        extract_styles(clips, encoders, device=torch.device("cpu"), largest=0.9 * norm)
    assert largest_style([2.0, 3.5]) == 35.0 and largest_style([]) == 40.0
