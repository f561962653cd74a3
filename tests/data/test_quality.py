import json
from dataclasses import asdict

import numpy as np
import pytest
import soundfile

from voiceclone.data.quality import QualityLimits, measure_audio, transcript_problem
from voiceclone.text.alphabet import count_spoken

LIMITS = QualityLimits()
RATE = 24_000


def measured(tmp_path, audio, rate=RATE):
    soundfile.write(tmp_path / "a.wav", audio, rate, subtype="FLOAT")
    return measure_audio(tmp_path / "a.wav", LIMITS)


def test_a_good_clip_passes_with_its_measures(tmp_path, builder):
    result = measured(tmp_path, builder.speech_like(2.0, 16_000), 16_000)
    assert result.problem is None
    assert (result.seconds, result.sample_rate, result.channels, result.clipped) == (2.0, 16_000, 1, 0.0)
    assert result.peak == pytest.approx(0.3, abs=1e-6)
    assert -30 < result.level_dbfs < -10
    assert len(result.audio_sha256) == 64
    json.dumps(asdict(result), allow_nan=False)


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("too short", lambda audio: audio[: int(0.7 * RATE)]),
        ("too long", lambda audio: np.tile(audio, 16)),
        ("too long", lambda audio: np.tile(audio, 40)),
        ("silent", lambda audio: 0 * audio),
        ("silent", lambda audio: 0 * audio + 0.5),
        ("silent", lambda audio: 1e-4 * audio),
        ("too quiet", lambda audio: 0.02 * audio),
        ("scaled wrongly", lambda audio: 32768 * audio),
        ("clipped", lambda audio: np.clip(40 * audio, -1, 1)),
        ("not finite", lambda audio: np.append(audio, np.nan)),
        ("not finite", lambda audio: np.append(audio, -np.inf)),
        ("empty", lambda audio: audio[:0]),
    ],
)
def test_each_fault_has_its_reason(tmp_path, builder, reason, change):
    result = measured(tmp_path, change(builder.speech_like()).astype(np.float32))
    assert result.problem.startswith(f"{reason}: ")
    json.dumps(asdict(result), allow_nan=False)


def test_a_few_samples_at_full_scale_are_no_clipping(tmp_path, builder):
    audio = builder.speech_like()
    audio[1000:1002] = 1.0
    assert measured(tmp_path, audio).problem is None


def test_unreadable_files(tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    for name in ("text.wav", "missing.wav"):
        result = measure_audio(tmp_path / name, LIMITS)
        assert result.problem.startswith("unreadable: ") and result.seconds is None
        assert str(tmp_path) not in result.problem


def test_the_same_audio_has_the_same_hash_in_another_container(tmp_path, builder):
    # Whole numbers, since WAV and FLAC round floats differently.
    audio = (32767 * builder.speech_like()).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", audio, RATE)
    soundfile.write(tmp_path / "a.flac", audio, RATE)
    soundfile.write(tmp_path / "b.wav", audio // 2, RATE)
    first, second, other = (measure_audio(tmp_path / name, LIMITS) for name in ("a.wav", "a.flac", "b.wav"))
    assert first.audio_sha256 == second.audio_sha256 != other.audio_sha256


@pytest.mark.parametrize(
    ("text", "phonemes", "seconds", "reason"),
    [
        ("Hello there.", "həlˈO ðˈɛɹ.", 1.0, None),
        ("", "", 1.0, "no transcript"),
        ("...", "...", 1.0, "not speakable"),
        ("☃", "☃", 1.0, "not speakable"),
        ("long", "a" * 511, 30.0, "transcript too long"),
        ("long", "a" * 510, 30.0, None),
        ("Hello there.", "həlˈO ðˈɛɹ.", 20.0, "transcript too short for the audio"),
        ("Hello there.", "həlˈO ðˈɛɹ." * 5, 1.0, "transcript too long for the audio"),
    ],
)
def test_transcripts(vocab, text, phonemes, seconds, reason):
    problem = transcript_problem(text, phonemes, seconds, vocab, LIMITS)
    assert (problem or "").split(": ")[0] == (reason or "")


def test_only_spoken_symbols_of_the_vocabulary_count(vocab):
    assert count_spoken("həlˈO, ☃ wˈɜːld.", vocab) == 4 + 4


@pytest.mark.parametrize(
    "bad", [{"min_seconds": 0.0}, {"min_seconds": 40.0}, {"max_phonemes": 511}, {"min_phonemes_per_second": 30.0}]
)
def test_invalid_limits_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        QualityLimits(**bad)


def two_channels(tmp_path, left, right):
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    return measure_audio(tmp_path / "a.wav", LIMITS)


def test_channels_that_cancel_are_named_and_the_clip_is_kept(tmp_path, builder):
    sound = builder.speech_like()
    result = two_channels(tmp_path, sound, -0.8 * sound)
    assert result.problem is None and result.level_dbfs == measured(tmp_path, sound).level_dbfs
    assert [warning for warning in result.warnings if warning.startswith("channels cancel: ")]
    assert not [w for w in two_channels(tmp_path, sound, sound).warnings if w.startswith("channels cancel: ")]


def test_an_offset_is_measured_and_does_not_count(tmp_path, builder):
    sound = builder.speech_like()
    clean, result = measured(tmp_path, sound), measured(tmp_path, sound + 0.2)
    assert result.offset == pytest.approx(0.2 + clean.offset, abs=1e-4)
    assert result.level_dbfs == pytest.approx(clean.level_dbfs, abs=0.01)
    # Clipping is seen in what was recorded, not in what is left of it.
    assert measured(tmp_path, np.clip(40 * sound, -1, 1) * 0.5 - 0.5).problem.startswith("clipped: ")


def test_a_file_shorter_than_its_header_says_is_refused(tmp_path, builder):
    for name in ("a.wav", "a.mp3"):
        soundfile.write(tmp_path / name, builder.speech_like(4.0), RATE)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        result = measure_audio(tmp_path / name, LIMITS)
        assert result.problem.startswith("cut short: the header says 4.0"), name
        assert 1.5 < result.seconds < 2.1


@pytest.mark.parametrize("pause_first", [True, False])
def test_an_mp3_that_does_not_state_its_length_is_measured_whole(tmp_path, builder, pause_first):
    """libsndfile guesses it from the first frame: 20 s where the clip begins with a pause, or 2 s."""
    pause, path = np.zeros(RATE), tmp_path / "a.mp3"
    audio = np.concatenate([pause, builder.speech_like(4.0)][:: 1 if pause_first else -1])
    soundfile.write(path, audio, RATE, bitrate_mode="VARIABLE", compression_level=0.5)
    content = path.read_bytes()
    path.write_bytes(content[content.index(b"\xff\xf3", 4) :])  # without the first frame, which states it
    result = measure_audio(path, LIMITS)
    assert result.problem is None and result.seconds == pytest.approx(5.0, abs=0.1)


def test_the_bandwidth_is_measured(tmp_path, builder):
    sound = builder.speech_like(2.0, 16_000)
    assert measured(tmp_path, sound, 16_000).bandwidth_hz == 8_000


def test_a_clip_that_ends_at_full_level_may_end_within_a_word(tmp_path, builder):
    sound = builder.speech_like(3.0)
    loud = sound[: int(2.08 * RATE)]  # where a syllable is loudest
    fading = loud * np.minimum(1, np.arange(len(loud))[::-1] / 3000).astype(np.float32)
    assert [w.split(": ")[0] for w in measured(tmp_path, loud).warnings] == ["may end within a word"]
    assert measured(tmp_path, fading).warnings == ()
