"""Part-of-speech tags by rule, for machines that have no spaCy model.

misaki's English G2P needs a Penn Treebank tag of every token. It uses the tags to tell the article "a" from the
letter, punctuation from words, amounts of money from numbers, and the two pronunciations of some 400 words (read,
use, record). The rules here cover the closed classes and punctuation fully and the open classes by their neighbours;
their aim is the pronunciation, not a correct parse.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

COMPONENT = "voiceclone_offline_tagger"

_CLOSED_CLASSES = {
    "DT": "a an the this these those each every some any no all both another either neither",
    "PRP": "i you he she it we they me him us them myself yourself himself herself itself ourselves yourselves"
    " themselves thou thee ye one mine yours hers ours theirs",
    "PRP$": "my your his her its our their thy",
    "IN": "of in on at by for with from into onto upon over under about after before between through during without"
    " within against among across behind beyond near since until till than as if because while although though whether"
    " unless toward towards around above below beside besides despite except like per via vs vs. off out up down",
    "CC": "and or but nor yet & plus",
    "MD": "can could may might must shall should will would ca wo 'll ’ll cannot ought shalt wilt",
    "WP": "who what whom",
    "WDT": "which whatever whichever",
    "WP$": "whose",
    "WRB": "when where why how whenever wherever",
    "RB": "not n't n’t so very too also just only even still again never always often now then here almost quite rather"
    " soon ever already perhaps once twice away back well much more most less least almost nearly",
    "UH": "oh ah yes yeah hello hi hey okay please",
    "VBZ": "is has does 's ’s says hath doth",
    "VBP": "am are have do 're ’re 've ’ve 'm ’m",
    "VBD": "was were had did said told thought knew saw felt found made went came took gave got kept left heard became"
    " began stood brought held ran sat met sent fell spoke wrote 'd ’d",
    "VB": "be",
    "VBN": "been gone done known seen taken given written spoken",
    "VBG": "being having doing",
    "CD": "zero two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion"
    " trillion dozen",
    "EX": "there",
    "TO": "to",
}
_TAG_OF_WORD = {word: tag for tag, words in _CLOSED_CLASSES.items() for word in words.split()}

_PUNCTUATION = {
    **dict.fromkeys((".", "!", "?", "?!", "!?"), "."),
    **dict.fromkeys((",", "،"), ","),
    **dict.fromkeys((":", ";", "-", "--", "–", "—", "…", "...", ".."), ":"),
    **dict.fromkeys("([{", "-LRB-"),
    **dict.fromkeys(")]}", "-RRB-"),
    **dict.fromkeys(("“", "„", "«", "``", "‘"), "``"),
    **dict.fromkeys(("”", "»", "''", "’"), "''"),
    **dict.fromkeys("$£€¥", "$"),
    "#": "#",
    "%": "NN",
    "@": "IN",
    "/": "SYM",
}
_SENTENCE_ENDS = frozenset((".", "!", "?", "?!", "!?", ":", ";"))
_BE = frozenset(("am", "is", "are", "was", "were", "be", "been", "being", "'s", "’s", "'re", "’re", "'m", "’m"))
_HAVE = frozenset(("have", "has", "had", "having", "'ve", "’ve"))
_DO = frozenset(("do", "does", "did"))
_SUBJECTS = frozenset(("i", "you", "he", "she", "it", "we", "they", "who", "that", "thou", "ye"))
_NAMED_BY_LETTER = frozenset(
    ("vitamin", "plan", "grade", "class", "type", "group", "section", "hepatitis", "point", "series", "figure", "part")
)
# Words that are tagged as adjective or adverb rather than noun if the neighbours do not decide.
_ADJECTIVES = frozenset(
    (
        "close",
        "perfect",
        "crooked",
        "ragged",
        "dogged",
        "jagged",
        "learned",
        "absent",
        "present",
        "minute",
        "content",
        "live",
    )
)
_NUMBER = re.compile(r"[-+−]?[\d.,]*\d[\d.,:/]*(?:s|'s|’s|k|K|m|M)?$")
_ORDINAL = re.compile(r"\d[\d,]*(?:st|nd|rd|th)$", re.IGNORECASE)
_SUFFIX_TAGS = (
    (("ing",), "VBG"),
    (("ed",), "VBD"),
    (("ly",), "RB"),
    (("tion", "sion", "ness", "ment", "ity", "ism", "ance", "ence", "ship", "hood"), "NN"),
    (("ous", "ful", "able", "ible", "ive", "less", "ish", "est"), "JJ"),
)


def build_offline_nlp() -> Language:
    """A blank English spaCy pipeline whose tokens carry ``tag_`` by :func:`tag_words`."""
    import spacy
    from spacy.language import Language

    if not Language.has_factory(COMPONENT):
        Language.component(COMPONENT, func=_tag_document)
    nlp = spacy.blank("en")
    nlp.add_pipe(COMPONENT)
    return nlp


def _tag_document(document: Doc) -> Doc:
    tags = tag_words([token.text for token in document], [bool(token.whitespace_) for token in document])
    for token, tag in zip(document, tags, strict=True):
        token.tag_ = tag
    return document


def tag_words(words: Sequence[str], spaces: Sequence[bool]) -> list[str]:
    """Penn Treebank tags for the tokens of a text.

    Args:
        words: token texts as spaCy's English tokenizer splits them ("do", "n't", "$", "5").
        spaces: whether whitespace follows each token.
    """
    letters = [word for word in words if word.isalpha() and len(word) > 1]
    shouted = len(letters) > 1 and all(word.isupper() for word in letters)
    tags: list[str] = []
    for index in range(len(words)):
        tags.append(_tag(words, spaces, tags, index, shouted))
    return tags


def _tag(words: Sequence[str], spaces: Sequence[bool], tags: list[str], index: int, shouted: bool) -> str:
    word = words[index]
    lower = word.lower()
    if not any(character.isalnum() for character in word):
        return _tag_symbol(words, spaces, tags, index)
    if _ORDINAL.match(word):
        return "JJ"
    if _NUMBER.match(word):
        return "CD"
    if lower in ("a", "an", "i", "am"):
        return _tag_short_word(words, spaces, tags, index, shouted)
    starts_sentence = index == 0 or words[index - 1] in _SENTENCE_ENDS or tags[index - 1] in ("``", "-LRB-")
    if word.isupper() and not shouted and (lower in ("us", "it", "who") or lower not in _TAG_OF_WORD):
        return "NNP"
    if lower in ("her", "that", "'s", "’s") or lower in _TAG_OF_WORD:
        return _tag_closed(words, tags, index)
    if word[0].isupper() and not shouted and not starts_sentence:
        return "NNP"
    return _tag_open(words, tags, index)


def _tag_symbol(words: Sequence[str], spaces: Sequence[bool], tags: list[str], index: int) -> str:
    word = words[index]
    spaced_before = index == 0 or spaces[index - 1]
    if word.isspace():
        return "_SP"
    if word in ('"', "'"):
        return "``" if spaced_before and not spaces[index] else "''"
    if word == "-" and not (spaced_before and spaces[index]):
        return "HYPH"
    if word in _PUNCTUATION:
        return _PUNCTUATION[word]
    marks = set(word)
    if marks <= set(".!?…"):
        return "."
    return "NFP" if marks <= set("*~_=^<>|\\") else "SYM"


def _tag_short_word(words: Sequence[str], spaces: Sequence[bool], tags: list[str], index: int, shouted: bool) -> str:
    """Tags of the words that may be letters: a, an, i, am."""
    word = words[index]
    before = words[index - 1].lower() if index else ""
    after = words[index + 1].lower() if index + 1 < len(words) and spaces[index] else ""
    if word.lower() == "am":
        return "NN" if index and tags[index - 1] == "CD" else "VBP"
    if word.lower() == "i":
        return "PRP" if before not in ("part", "war", "chapter", "act", "volume", "book", "section") else "CD"
    if word.lower() == "an":
        return "NNP" if word == "AN" and not shouted and not after[:1].isalnum() else "DT"
    if not after or not (after[0].isalnum() or after[0] in "\"'“‘(«$£€-"):
        return "NN"
    named = before in _NAMED_BY_LETTER or (word == "A" and after in ("is", "was", "and", "or", "to"))
    if named and not shouted:
        return "NN"
    return "DT"


def _tag_closed(words: Sequence[str], tags: list[str], index: int) -> str:
    lower = words[index].lower()
    before = tags[index - 1] if index else ""
    after = words[index + 1].lower() if index + 1 < len(words) else ""
    if lower in ("'s", "’s"):
        return "POS" if before.startswith("NN") else "VBZ"
    if lower == "her":
        return "PRP$" if after and after[0].isalpha() and _TAG_OF_WORD.get(after) in (None, "CD") else "PRP"
    if lower == "like" and (before in ("PRP", "TO", "MD") or before.startswith("NNS")):
        return "VB"
    if lower == "that":
        return _tag_that(before, after)
    return _TAG_OF_WORD[lower]


def _tag_that(before: str, after: str) -> str:
    """DT ("that book", "of that") is stressed, IN and WDT ("said that", "the book that fell") are not."""
    next_tag = _TAG_OF_WORD.get(after)
    if not after or not after[0].isalnum() or before in ("IN", "CC"):
        return "DT"
    if before == "" or before in (".", ":", "``"):
        return "DT" if next_tag not in ("PRP", "DT", "PRP$", "EX") else "IN"
    if before.startswith("NN") or before == "PRP":
        return "WDT"
    if next_tag is None and before.startswith("VB") and not after.endswith(("s", "ed", "ing")):
        return "DT"
    return "IN"


def _tag_open(words: Sequence[str], tags: list[str], index: int) -> str:
    lower = words[index].lower()
    after = words[index + 1].lower() if index + 1 < len(words) else ""
    # Skip adverbs between a verb and its auxiliary: "will never use", "did not read".
    place = index - 1
    while place >= 0 and tags[place] == "RB":
        place -= 1
    before = words[place].lower() if place >= 0 else ""
    before_tag = tags[place] if place >= 0 else "."
    if lower == "used" and after == "to":
        return "VBN" if before in _BE else "VBD"
    if before_tag in ("TO", "MD") or before in _DO or before in ("let", "please", "n't"):
        return "VB"
    if before in _HAVE and before_tag.startswith("VB"):
        return "VBN" if not lower.endswith("s") and _TAG_OF_WORD.get(after) != "TO" else "NNS"
    if before in _BE and before_tag.startswith("VB"):
        return _tag_after_be(lower)
    if before in _SUBJECTS and before_tag in ("PRP", "WP", "WDT", "IN"):
        return _tag_verb(lower, before)
    if before_tag in ("DT", "PRP$", "POS", "CD", "JJ", "IN", "WP$"):
        return _tag_in_noun_phrase(lower, after)
    return _tag_elsewhere(lower, before_tag, _TAG_OF_WORD.get(after), after)


def _tag_after_be(lower: str) -> str:
    if lower.endswith("ing"):
        return "VBG"
    if lower in _ADJECTIVES or not (lower.endswith(("ed", "en")) or lower in ("read", "wound")):
        return "JJ"
    return "VBN"


def _tag_verb(lower: str, subject: str) -> str:
    if lower.endswith("ed"):
        return "VBD"
    if lower.endswith("ing"):
        return "VBG"
    if lower.endswith("ly"):
        return "RB"
    if lower.endswith("s") and not lower.endswith("ss"):
        return "VBZ"
    return "VBD" if subject in ("he", "she", "it") else "VBP"


def _tag_in_noun_phrase(lower: str, after: str) -> str:
    """After an article, a possessive, a number, an adjective or a preposition."""
    heads_phrase = not after or not after[0].isalpha() or after in _TAG_OF_WORD
    if lower in _ADJECTIVES and lower not in ("content", "minute", "present"):
        return "NN" if lower == "close" and after == "of" else "JJ"
    if not heads_phrase and (lower.endswith("ate") or lower in ("minute", "present")):
        return "JJ"
    if lower.endswith("ing"):
        return "NN"
    for endings, tag in _SUFFIX_TAGS[2:]:
        if lower.endswith(endings):
            return tag
    if lower.endswith("ed"):
        return "VBN"
    return "NNS" if lower.endswith("s") and not lower.endswith(("ss", "us", "is")) else "NN"


def _tag_elsewhere(lower: str, before_tag: str, after_tag: str | None, after: str) -> str:
    if lower == "lives" and before_tag in ("NN", "NNP") and after_tag in ("IN", "TO", "RB"):
        return "VBZ"  # the man lives in, Mr. Roe lives on
    if lower in _ADJECTIVES and not (before_tag in (".", "CC", "RB") and after_tag in ("DT", "PRP$", "PRP")):
        return "JJ"
    for endings, tag in _SUFFIX_TAGS:
        if lower.endswith(endings) and len(lower) > len(endings[0]) + 2:
            return tag
    takes_object = after_tag in ("DT", "PRP$", "PRP") and after not in ("all", "both")
    if before_tag in (".", ":", "CC", "UH") and takes_object:
        return "VB"
    if before_tag.startswith("NN") and takes_object:
        return "VBZ" if lower.endswith("s") else "VBP"
    return "NNS" if lower.endswith("s") and not lower.endswith(("ss", "us", "is")) else "NN"
