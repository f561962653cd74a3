"""Two recorded clips of LJSpeech, stored beside this file, in the usual processing order."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from voiceclone.audio.features import track_f0
from voiceclone.audio.io import read_audio
from voiceclone.bases.base import Base, load_base
from voiceclone.cli.main import main
from voiceclone.data.dataset import Clip, load_dataset
from voiceclone.data.quality import QualityLimits
from voiceclone.style.extraction import extract_styles

LJSPEECH = Path(__file__).parent / "ljspeech"
FEW = QualityLimits(min_clips=1, min_total_seconds=1.0)


@pytest.fixture(scope="module")
def nano() -> Base:
    return load_base("nano")


@pytest.fixture(scope="module")
def clips(nano: Base, tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Output of ``prepare``: trimmed, levelled, split."""
    out = tmp_path_factory.mktemp("recorded") / "ds"
    assert (
        main(["prepare", str(LJSPEECH), "--metadata", str(LJSPEECH / "metadata.csv"), "--out", str(out), "--quiet"])
        == 0
    )
    dataset = load_dataset(out, vocab=nano.kmodel.vocab, limits=FEW)
    return [*dataset.train, *dataset.validation]


def test_recordings_are_prepared_and_read(clips: list[Clip]) -> None:
    found = {Path(clip.name).stem: clip for clip in clips}
    assert set(found) == {"LJ001-0002", "LJ001-0013"}
    first = found["LJ001-0002"]
    assert (first.text, first.phonemes) == ("in being comparatively modern.", "ɪn bˈiɪŋ kəmpˈɛɹəTəvli mˈɑdəɹn.")
    assert 1.6 < first.seconds < 1.9 < found["LJ001-0013"].seconds < 2.6  # the silence at the ends is cut
    assert all(10_000 < clip.bandwidth_hz <= 11_025 for clip in clips)


def test_clips_of_one_speaker_have_similar_style_and_pitch(clips: list[Clip], nano: Base) -> None:
    read = [(clip.name, partial(read_audio, clip.path)) for clip in clips]
    styles = extract_styles(read, nano.style_encoders, device=torch.device("cpu")).vectors
    noise = np.random.default_rng(0).standard_normal(48_000).astype(np.float32)
    other = extract_styles([("noise", lambda: 0.05 * noise)], nano.style_encoders, device=torch.device("cpu")).vectors
    alike, unlike = (float(torch.cosine_similarity(styles[:1], vectors)) for vectors in (styles[1:], other))
    assert alike > 0.9 > unlike
    for _, audio in read:
        f0 = track_f0(audio())
        assert 170 < np.median(f0[f0 > 0]) < 240 and 0.5 < (f0 > 0).mean() < 0.95
