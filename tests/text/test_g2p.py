import socket
import subprocess
import sys
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voiceclone.errors import MissingPackageError, UsageError, VoicecloneError
from voiceclone.text import g2p
from voiceclone.text.g2p import LANGUAGES, Phonemizer, build_pipeline, language_code

WITHOUT_MODEL = pytest.mark.skipif(g2p._model_loads(), reason="the spaCy model is installed here")


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("a cat", "ɐ kˈæt"),
        ("I saw a cat.", "ˌI sˈɔ ɐ kˈæt."),
        ("The end of the road.", "ði ˈɛnd ʌv ðə ɹˈOd."),
        ("I am going to the sea to eat.", "ˌI ɐm ɡˈOɪŋ tə ðə sˈi tʊ ˈit."),
        ("It costs $5.20.", "ˌɪt kˈɔsts fˈIv dˈɑləɹz ænd twˈɛnti sˈɛnts."),
        ("He has £4 left.", "hˌi hæz fˈɔɹ pˈWndz lˈɛft."),
        ("Dr. Smith and Mr. Jones.", "dˈɑktəɹ smˈɪθ ænd mˈɪstəɹ ʤˈOnz."),
        ("In 1990 it rose by 50%.", "ɪn nˌIntˈin nˈIndi ɪt ɹˈOz bI fˈɪfti pəɹsˈɛnt."),
        ("The US joined NASA.", "ðə jˌuˈɛs ʤˈYnd nˈæsə."),
        ("STOP THE CAR A MOMENT", "stˈɑp ðə kˈɑɹ ɐ mˈOmᵊnt"),
        ("They record a record.", "ðˌA ɹəkˈɔɹd ɐ ɹˈɛkəɹd."),
        ("I used to read; he has read it.", "ˌI jˈust tə ɹˈid; hi hæz ɹˈɛd ɪt."),
        ("one\ntwo\n", "wˈʌn tˈu"),
        ("", ""),
        (" \n ", ""),
    ],
)
@WITHOUT_MODEL
def test_english_without_a_model(english, text, phonemes):
    assert english.phonemes(text) == phonemes


@pytest.mark.parametrize("mark", [".", "!", "?", "…", "...", ","])
def test_the_last_mark_is_kept(english, mark):
    assert english.phonemes(f"It was late{mark}").endswith(mark)


def test_an_unknown_word_goes_through_espeak(english):
    assert english.phonemes("zorblatt") == "zˈɔɹblæt"


@pytest.mark.parametrize(("lang", "part"), [("a", "日本"), ("e", "Привет"), ("h", "日本")])
def test_a_script_that_the_language_cannot_read_is_refused(lang, part):
    with pytest.raises(VoicecloneError, match=f"cannot read the script of '{part}'"):
        Phonemizer(lang).phonemes(f"Hola {part}.")


def test_english_goes_through_the_rules_and_other_languages_do_not(english):
    assert english.phonemes("Henry VIII weighs 5kg.") == english.phonemes("Henry the eighth weighs five kilograms.")
    spanish = Phonemizer("e")
    assert "θˈinko" in spanish.phonemes("5kg") and "kˈilo" not in spanish.phonemes("Chapter IV")


@pytest.mark.parametrize("lang", ["a", "b", "e"])
def test_phonemes_are_what_kpipeline_speaks(lang):
    text = "Well, the doctor paid $3.50 to a friend on the 3rd of May; was that right?"
    pipeline = build_pipeline(lang, False)
    spoken = [result.phonemes for result in pipeline(text)]
    assert [Phonemizer(lang).phonemes(text)] == spoken


@WITHOUT_MODEL
def test_one_notice_where_the_model_is_absent(english):
    assert "en_core_web_sm" in english.notice and "\n" not in english.notice
    assert Phonemizer("e").notice is None


def test_spacy_is_restored_after_use(english):
    import spacy
    from misaki import en

    assert en.spacy is spacy
    assert spacy.util.is_package.__module__ == "spacy.util"


def test_one_lexicon_is_read_for_all_pipelines_of_a_variety():
    from misaki import en

    kind = en.Lexicon
    first, second, british = (build_pipeline(lang, False) for lang in "aab")
    assert first.g2p.lexicon is second.g2p.lexicon and british.g2p.lexicon is not first.g2p.lexicon
    assert british.g2p.lexicon.british and not first.g2p.lexicon.british and en.Lexicon is kind


def test_building_fails_cleanly_and_restores_spacy(monkeypatch):
    import spacy
    from misaki import en

    class Failing(en.Lexicon):
        def __init__(self, british: bool) -> None:
            raise RuntimeError("no lexicon")

    monkeypatch.setattr(g2p, "_lexicons", {})
    monkeypatch.setattr(en, "Lexicon", Failing)
    with pytest.raises(RuntimeError, match="no lexicon"):
        build_pipeline("a", False)
    assert en.spacy is spacy


@WITHOUT_MODEL
def test_threads_build_side_by_side(english):
    spoken = []
    threads = [threading.Thread(target=lambda: spoken.append(Phonemizer("a").phonemes("a cat."))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spoken == ["ɐ kˈæt."] * 2


@WITHOUT_MODEL
def test_nothing_is_installed_where_the_network_is_allowed(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("the network was used"))
    found = Phonemizer("a")
    assert found.phonemes("a cat") == "ɐ kˈæt" and "python -m spacy download en_core_web_sm" in found.notice


@pytest.mark.parametrize(("given", "code"), [("a", "a"), ("A", "a"), ("en-us", "a"), ("en-GB", "b"), ("pt-br", "p")])
def test_language_codes(given, code):
    assert language_code(given) == code


@pytest.mark.parametrize("lang", ["q", "", "english", "ab"])
def test_unknown_language_lists_the_codes(lang):
    with pytest.raises(UsageError) as caught:
        Phonemizer(lang)
    assert all(f"{code} ({name})" in str(caught.value) for code, name in LANGUAGES.items())


@pytest.mark.parametrize(
    ("lang", "module", "extra"),
    [("j", "pyopenjtalk", "'misaki[ja]' && python -m unidic download"), ("z", "jieba", "'misaki[zh]'")],
)
def test_languages_that_need_more_say_what(monkeypatch, lang, module, extra):
    # None in sys.modules makes the import fail, installed or not.
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "misaki.ja", raising=False)
    monkeypatch.delitem(sys.modules, "misaki.zh", raising=False)
    with pytest.raises(MissingPackageError) as caught:
        Phonemizer(lang)
    assert extra in str(caught.value) and "\n" not in str(caught.value)


def test_espeak_languages_speak(capfd):
    phonemizer = Phonemizer("e")
    assert phonemizer.phonemes("Hola mundo.") == "ˈola mˈundo."
    assert phonemizer.phonemes("") == ""
    assert capfd.readouterr() == ("", "")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60))
def test_any_text_gives_a_string_or_one_line(english, text):
    try:
        assert isinstance(english.phonemes(text), str)
    except VoicecloneError as error:
        assert "\n" not in str(error)
