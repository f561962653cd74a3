"""Texts of any length: nothing is lost, the order is kept, no piece exceeds the model's context."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceclone.text.g2p import Phonemizer, build_pipeline
from voiceclone.text.pieces import MAX_LINE, MAX_PHONEMES, LeftOut, cut_phonemes, phoneme_pieces

VOCAB = frozenset(
    ';:,.!?—…"()“” ̃ʣʥʦʨᵝꭧAIOQSTWYᵊabcdefhijklmnopqrstuvwxyzɑɐɒæβɔɕçɖðʤəɚɛɜɟɡɥɨɪʝɯɰŋɳɲɴøɸθœɹɾɻʁɽʂʃʈʧʊʋʌɣɤχʎʒʔˈˌːʰʲ↓→↗↘ᵻ'
)
SENTENCES = {
    "a": "The old mill stood empty for years, and nobody in the village knew who had built it or why",
    "e": "El viejo molino quedó vacío durante años, y nadie en el pueblo sabía quién lo había construido",
    "f": "Le vieux moulin resta vide pendant des années, et personne au village ne savait qui l'avait bâti",
    "h": "पुरानी चक्की कई साल खाली रही, और गाँव में कोई नहीं जानता था कि इसे किसने बनाया",
    "i": "Il vecchio mulino rimase vuoto per anni, e nessuno in paese sapeva chi lo avesse costruito",
    "p": "O velho moinho ficou vazio durante anos, e ninguém na aldeia sabia quem o tinha construído",
}


class Spelled:
    """A pipeline of Japanese or Chinese whose G2P gives a phoneme for each character, and marks as misaki does."""

    def __init__(self, lang_code: str) -> None:
        self.lang_code = lang_code

    def g2p(self, text: str):
        return re.sub("[。！？]", ". ", re.sub("[、，；]", ", ", text)).replace("字", "a").strip(), None


@pytest.fixture(scope="module")
def pipeline():
    built = {}
    return lambda lang: built.setdefault(lang, build_pipeline(lang, False))


def read(pipeline, text: str) -> tuple[list[str], LeftOut]:
    left_out = LeftOut()
    return list(phoneme_pieces(pipeline, text, VOCAB, left_out)), left_out


def bare(phonemes: str) -> str:
    """Without spaces and stress, which depend on the neighbours."""
    return re.sub(r"[\sˈˌ]", "", phonemes)


@pytest.mark.parametrize("lang", SENTENCES)
@pytest.mark.parametrize("kind", ["clauses", "words", "no breaks"])
def test_a_long_sentence_is_spoken_whole(pipeline, lang, kind):
    sentence = SENTENCES[lang]
    if kind == "clauses":
        text, once = "; ".join([sentence] * 12) + ".", f"{sentence}; "
    elif kind == "words":
        text, once = " ".join([sentence.replace(",", "")] * 20), ""
    else:
        text, once = "zorbla" * 250, ""
    said, left_out = read(pipeline(lang), text)
    assert len(said) > 1 and max(map(len, said)) <= MAX_PHONEMES and not left_out.texts
    assert bare("".join(said)) == bare(Phonemizer(lang).phonemes(text))
    if kind == "clauses":
        assert all(piece[-1] in ",;." for piece in said)
        assert bare("".join(said)).startswith(bare(Phonemizer(lang).phonemes(once)) * 3)
    elif kind == "words":
        words = len("".join(f"{piece} " for piece in said).split())
        assert words == len(Phonemizer(lang).phonemes(text).split())
    else:
        assert len(bare("".join(said))) >= 250 * len("zorla")


@pytest.mark.parametrize("lang", ["e", "f", "h", "i", "p"])
def test_long_rows_of_numbers_and_signs_lose_nothing(lang):
    phonemizer = Phonemizer(lang)
    some, many = (bare(phonemizer.phonemes("1234567 89012 a1b2c3 " * count)) for count in (2, 80))
    assert len(many) > 39 * len(some)


@pytest.mark.parametrize("lang", ["j", "z"])
def test_japanese_and_chinese_split_at_their_own_marks(lang):
    said, _ = read(Spelled(lang), ("字" * 90 + "，") * 9 + "字" * 300 + "。" + "字" * 20)
    assert max(map(len, said)) <= MAX_PHONEMES and [piece[-1] for piece in said] == [",", ",", "a"]
    assert "".join(said).count("a") == 90 * 9 + 300 + 20
    unbroken, _ = read(Spelled(lang), "字" * 1300)
    assert [len(piece) for piece in unbroken] == [510, 510, 280]


def test_lines_and_pieces_of_marks_alone_are_passed_over(pipeline):
    for lang in "ae":
        said, left_out = read(pipeline(lang), "Hola.\n.\n\n…\n---\n* * *\n====\n!!!\n“”\nHola.")
        assert len(said) == 2 and not left_out.texts and not left_out.symbols
    assert read(pipeline("a"), "." * 2000 + "\n?!")[0] == []


def test_an_abbreviation_does_not_end_an_english_piece(pipeline):
    said, _ = read(pipeline("a"), "Mr. Roe met Mrs. Fox and the U.S. envoy, who knew them. " * 20)
    assert all(piece.endswith("ðˌɛm.") for piece in said)


def test_unknown_symbols_of_an_inline_pronunciation_are_reported(pipeline):
    said, left_out = read(pipeline("a"), "[Kokoro](/kˈO§əɹʘO/) is here; [Anna](/ˈænə/), too.")
    assert len(said) == 1 and left_out.symbols == {"§", "ʘ"}
    assert "'§', 'ʘ'" in left_out.warnings("American English")[0]


def test_marks_that_pass_through_are_no_unknown_symbols(pipeline):
    assert read(pipeline("e"), "¿Cómo? ¡Bien!")[1] == LeftOut()


def test_words_without_phonemes_are_reported(pipeline, monkeypatch):
    spanish = pipeline("e")
    monkeypatch.setattr(spanish, "g2p", lambda text: ("", None) if "zz" in text else ("ˈola", None))
    said, left_out = read(spanish, "hola\nzz 5\nhola")
    assert len(said) == 2 and left_out.texts == ["zz 5"]
    assert "'zz 5'" in left_out.warnings("Spanish")[0]


def test_a_book_in_one_line_comes_in_parts(pipeline, monkeypatch):
    english, lengths = pipeline("a"), []
    whole = english.g2p
    monkeypatch.setattr(english, "g2p", lambda text: lengths.append(len(text)) or whole(text))
    link = "[Roe](/ɹˈO/) "
    said, _ = read(english, ("A short sentence stands here, " * 3 + link) * 100)
    assert len(lengths) > 1 and max(lengths) <= MAX_LINE
    assert "".join(said).count("ɹˈO") == 100 and "".join(said).count("sˈɛntᵊns") == 300


def test_a_cut_leaves_no_tiny_piece_and_splits_no_phoneme():
    assert [len(piece) for piece in cut_phonemes("ab " * 180)] == [269, 269]
    assert list(cut_phonemes("ka. " + "ab " * 180))[0] != "ka."
    assert [piece[-1] for piece in cut_phonemes("aː" * 300, 511)][0] == "ː"
    assert list(cut_phonemes("a" * 509 + "ˈa" * 3)) == ["a" * 509, "ˈaˈaˈa"]
    assert list(cut_phonemes("")) == []


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab ˈː.,;—!̃", max_size=200), st.integers(5, 40))
def test_pieces_add_up_to_the_text(phonemes, limit):
    said = list(cut_phonemes(phonemes, limit))
    assert all(1 <= len(piece) <= limit for piece in said if piece)
    assert "".join(said).replace(" ", "") == phonemes.replace(" ", "")
