import numpy as np
import pytest
import soundfile

from voiceclone.audio.io import decode_audio, probe, read_audio, resample, write_wav
from voiceclone.errors import VoicecloneError

RATE = 24_000


def tone(frequency: float, rate: int, seconds: float = 0.5, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_any_rate_becomes_24_khz_at_the_same_pitch_and_level(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", tone(440, rate), rate)
    audio = read_audio(tmp_path / "a.wav")
    assert audio.dtype == np.float32
    assert audio.shape == (RATE // 2,)
    middle = audio[2400:-2400]
    assert np.abs(middle - tone(440, RATE)[2400:-2400]).max() < 2e-3


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_every_bit_depth_reads_at_full_scale_one(tmp_path, subtype):
    soundfile.write(tmp_path / "a.wav", tone(440, RATE), RATE, subtype=subtype)
    audio = read_audio(tmp_path / "a.wav")
    assert np.abs(audio - tone(440, RATE))[1200:-1200].max() < 0.03


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3"])
def test_compressed_formats_read(tmp_path, suffix):
    soundfile.write(tmp_path / f"a{suffix}", tone(440, RATE), RATE)
    audio = read_audio(tmp_path / f"a{suffix}")
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
    assert abs(spectrum.argmax() * RATE / len(audio) - 440) < 3


def test_channels_are_averaged(tmp_path):
    left = tone(440, RATE)
    soundfile.write(tmp_path / "a.wav", np.stack([left, np.zeros_like(left)], axis=1), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "half.wav", left / 2, RATE, subtype="FLOAT")
    assert np.allclose(read_audio(tmp_path / "a.wav"), read_audio(tmp_path / "half.wav"), atol=1e-6)
    info = probe(tmp_path / "a.wav")
    assert (info.sample_rate, info.channels, info.frames, info.seconds) == (RATE, 2, RATE // 2, 0.5)


def test_decode_keeps_the_rate_and_resample_at_equal_rates_keeps_the_samples(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(440, 8_000), 8_000, subtype="FLOAT")
    samples, rate = decode_audio(tmp_path / "a.wav")
    assert rate == 8_000 and samples.shape == (4_000, 1)
    assert resample(samples, rate, 8_000) is samples


def test_only_the_asked_for_seconds_are_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(440, 8_000, seconds=2.0), 8_000)
    assert decode_audio(tmp_path / "a.wav", 0.5)[0].shape == (4_000, 1)
    assert decode_audio(tmp_path / "a.wav", 5.0)[0].shape == (16_000, 1)
    assert read_audio(tmp_path / "a.wav", 0.5).shape == (RATE // 2,)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read as audio"),
        (b"this is text, not audio" * 50, "cannot be read as audio"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "cannot be read as audio"),
        (b"fLaC" + bytes(100), "cannot be read as audio"),
    ],
)
def test_what_is_no_audio_is_one_line(tmp_path, content, said):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(VoicecloneError, match=said) as caught:
        read_audio(tmp_path / "a.wav")
    assert "a.wav" in str(caught.value) and "\n" not in str(caught.value)


def test_truncated_flac_gives_what_was_there_or_one_line(tmp_path):
    soundfile.write(tmp_path / "a.flac", tone(440, RATE, seconds=2), RATE)
    whole = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(whole[: len(whole) // 2])
    try:
        assert np.isfinite(read_audio(tmp_path / "a.flac")).all()
    except VoicecloneError as error:
        assert "\n" not in str(error)


def test_missing_folder_empty_and_not_finite_are_said(tmp_path):
    with pytest.raises(VoicecloneError, match="no such file"):
        read_audio(tmp_path / "none.wav")
    with pytest.raises(VoicecloneError, match="is not a file"):
        read_audio(tmp_path)
    (tmp_path / "headerless.raw").write_bytes(bytes(400))
    with pytest.raises(VoicecloneError, match="cannot be read as audio"):
        read_audio(tmp_path / "headerless.raw")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.float32), RATE)
    with pytest.raises(VoicecloneError, match="no audio samples"):
        read_audio(tmp_path / "empty.wav")
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan, np.float32), RATE, subtype="FLOAT")
    with pytest.raises(VoicecloneError, match="not finite"):
        read_audio(tmp_path / "nan.wav")


def test_written_wav_is_16_bit_clipped_and_reads_back(tmp_path):
    audio = np.concatenate([tone(440, RATE), [2.0, -2.0]]).astype(np.float32)
    write_wav(tmp_path / "new" / "a.wav", audio)
    info = soundfile.info(tmp_path / "new" / "a.wav")
    assert (info.samplerate, info.channels, info.subtype) == (RATE, 1, "PCM_16")
    assert np.abs(decode_audio(tmp_path / "new" / "a.wav")[0][:, 0] - np.clip(audio, -1, 1)).max() < 1e-4
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.wav"]


@pytest.mark.parametrize("audio", [np.zeros(0), np.zeros((2, 10)), np.array([0.0, np.nan]), np.array([np.inf])])
def test_unfit_audio_is_not_written(tmp_path, audio):
    with pytest.raises(VoicecloneError, match="cannot write"):
        write_wav(tmp_path / "a.wav", audio)
    assert list(tmp_path.iterdir()) == []
