import pytest

from voiceclone.text.scripts import readable


@pytest.mark.parametrize(
    ("lang", "text"),
    [
        ("a", "Plain ASCII."),
        ("a", "Zürich, Łódź, naïve, ﬁne, Ｈｅｌｌｏ, 5 µm, № 5, x², 50 %"),
        ("a", "the angle α, and Δt"),
        ("a", "See [東京](/tˈOkiO/)."),
        ("e", "¿Dónde está? 1.º, 2.ª"),
        ("h", "नमस्ते friend १२"),
        ("j", "東京タワーへ、ｱｲｳ々〆ー。"),
        ("z", "你好，世界〇"),
    ],
)
def test_what_a_language_reads(lang, text):
    found = readable(text, lang)
    assert (found.text, found.unread, found.share_unread) == (text, (), 0.0)


@pytest.mark.parametrize(
    ("lang", "text", "unread", "left"),
    [
        ("a", "He said 你好，世界 today.", ("你好，世界",), "He said today."),
        ("a", "Привет, мир and नमस्ते!", ("Привет, мир", "नमस्ते"), "and !"),
        ("b", "A (مرحبا) word", ("مرحبا",), "A word"),
        ("f", "Mot λόγος ici", ("λόγος",), "Mot ici"),
        ("e", "한국 5 한국", ("한국", "한국"), "5"),
        ("a", "一\n二 three", ("一", "二"), "three"),
        ("z", "我有iPhone。", ("iPhone",), "我有 。"),
        ("j", "ABCとД", ("ABC", "Д"), "と"),
    ],
)
def test_foreign_parts_are_taken_out_and_named(lang, text, unread, left):
    found = readable(text, lang)
    assert found.unread == unread
    assert found.text.split() == left.split()


def test_the_share_counts_letters():
    assert readable("ab 12 яя", "a").share_unread == 0.5
    assert readable("日本語", "a").share_unread == 1.0
