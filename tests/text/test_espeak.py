import shutil
import subprocess
import sys
from pathlib import Path

import espeakng_loader
import numpy as np
import pytest

from voiceclone.errors import UsageError, VoicecloneError
from voiceclone.text.espeak import EspeakSynthesizer

TEXT = "Hello there, this is a small test."


@pytest.fixture(scope="module")
def synthesizer():
    return EspeakSynthesizer()


def median_f0(speech) -> float:
    from voiceclone.audio.features import SAMPLE_RATE, track_f0
    from voiceclone.audio.io import resample

    f0 = track_f0(resample(speech.audio, speech.sample_rate, SAMPLE_RATE))
    return float(np.median(f0[f0 > 0]))


def test_audio_and_phoneme_events(synthesizer):
    speech = synthesizer.speak(TEXT)
    assert speech.audio.dtype == np.float32 and speech.audio.ndim == 1
    assert 0.05 < np.abs(speech.audio).max() <= 1.0
    seconds = len(speech.audio) / speech.sample_rate
    starts = [event.start for event in speech.events]
    assert starts == sorted(starts) and starts[0] >= 0 and starts[-1] <= seconds
    spoken = "".join(event.ipa for event in speech.events)
    assert spoken.startswith("həlˈoʊð") and "tˈɛst" in spoken


def test_the_same_call_gives_the_same_samples_whatever_came_before(synthesizer):
    for voice in ("en-us", "en-us+whisper", "en-us+klatt"):
        first = synthesizer.speak(TEXT, voice)
        synthesizer.speak("Something else.", "en-us+f3", rate_wpm=200, pitch=80, range=10)
        again = synthesizer.speak(TEXT, voice)
        other = EspeakSynthesizer().speak(TEXT, voice)
        assert np.array_equal(first.audio, again.audio) and first.events == again.events
        assert np.array_equal(first.audio, other.audio)


def test_rate_pitch_and_range_do_what_they_say(synthesizer):
    slow, fast = (len(synthesizer.speak(TEXT, rate_wpm=rate).audio) for rate in (110, 220))
    assert slow > 1.6 * fast
    low, high = (median_f0(synthesizer.speak(TEXT, pitch=pitch)) for pitch in (20, 80))
    assert high > 1.3 * low


def test_variants_speak_and_unknown_voices_are_said(synthesizer):
    assert not np.array_equal(synthesizer.speak(TEXT, "en-us+f3").audio, synthesizer.speak(TEXT).audio)
    for voice in ("nonsense", "en-us+nonsense", "en-us+../../phondata"):
        with pytest.raises(UsageError, match="no voice"):
            synthesizer.speak(TEXT, voice)


@pytest.mark.parametrize("setting", [{"rate_wpm": 20}, {"pitch": 101}, {"range": -1}])
def test_settings_out_of_range_are_refused(synthesizer, setting):
    with pytest.raises(UsageError, match=next(iter(setting))):
        synthesizer.speak(TEXT, **setting)


def test_a_private_data_path_with_its_own_variant(tmp_path):
    # A long path as well: espeak-ng cuts paths of more than 160 bytes.
    data = tmp_path / ("x" * 90) / ("y" * 90) / "espeak-ng-data"
    shutil.copytree(espeakng_loader.get_data_path(), data, ignore=shutil.ignore_patterns("*_dict"))
    shutil.copy(Path(espeakng_loader.get_data_path()) / "en_dict", data)
    (data / "voices" / "!v" / "own").write_text("language variant\nname own\npitch 180 220\nformant 1 120 100 100\n")
    speech = EspeakSynthesizer(data).speak(TEXT, "en-us+own")
    assert median_f0(speech) > 1.3 * median_f0(EspeakSynthesizer().speak(TEXT))


def test_a_folder_without_data_is_said(tmp_path):
    with pytest.raises(VoicecloneError, match="phondata"):
        EspeakSynthesizer(tmp_path)


@pytest.mark.parametrize("order", ["misaki first", "synthesizer first"])
def test_works_beside_misakis_own_espeak(order):
    # In a process of its own, since the order in which the library is loaded is what is tested.
    misaki = (
        "from misaki.espeak import EspeakFallback\n"
        "from types import SimpleNamespace\n"
        "fallback = EspeakFallback(british=False)\n"
        "assert fallback(SimpleNamespace(text='zorblatt'))[0] == 'zˈɔɹblæt'\n"
    )
    ours = (
        "from voiceclone.text.espeak import EspeakSynthesizer\n"
        "synthesizer = EspeakSynthesizer()\n"
        "assert len(synthesizer.speak('Hello there.').audio) > 5000\n"
    )
    script = misaki + ours + misaki if order == "misaki first" else ours + misaki + ours
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
