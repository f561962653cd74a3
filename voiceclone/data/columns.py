"""The roles of the columns of a table of clips, from the names in its header or from their content."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# In order of preference.
FILE_NAMES = (
    "file_name", "filename", "audio_file", "audio_filepath", "audio_file_path", "audio_path", "audio_filename",
    "audio_file_name", "audiofile", "audio", "wav_file", "wav_filename", "wav_filepath", "wav_path", "wav_name",
    "wavfile", "wav", "file_path", "filepath", "file", "clip_path", "clip", "path", "recording", "utterance_id",
    "utt_id", "utt", "file_id", "fileid", "clip_id", "id", "key", "fname", "name",
)  # fmt: skip
TEXT_NAMES = (
    "text", "transcript", "transcription", "sentence", "raw_text", "orthographic", "orthography", "content", "script",
    "caption", "normalized_text", "normalised_text", "text_normalized", "text_normalised", "normalized_transcript",
    "normalized_transcription", "normalised_transcription", "normalized", "normalised", "norm_text", "clean_text",
)  # fmt: skip
SPEAKER_NAMES = ("speaker", "speaker_id", "speaker_name", "spk", "spk_id", "spk_name", "client_id", "reader", "voice")
PHONEME_NAMES = ("phonemes", "phoneme", "phones", "ipa", "phonemized", "phonetic", "pronunciation")
ROLES = {"file_name": FILE_NAMES, "text": TEXT_NAMES, "speaker": SPEAKER_NAMES}
_VAGUE = frozenset({"audio", "wav", "file", "clip", "path", "recording", "id", "utt", "key", "name"})

_NUMBER = re.compile(r"[-+]?\d+([.,:]\d+)*")
_IPA = frozenset("ˈˌːɪʊɹɾʃʒɜʌɐɚəɑθɡʔᵻɫ")  # frequent in phonemes written in IPA, absent from texts
_ARPABET = frozenset((
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY",
    "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z",
    "ZH",
))  # fmt: skip
_MIN_IPA = 0.08  # minimum share of these letters in a column of IPA
_MIN_PHONES = 0.6  # minimum share of words that are ARPAbet phones or pinyin syllables
_MIN_ALIKE = 0.5  # minimum share of a text's letter trigrams that its normalised form contains


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Indices of columns in a row, from 0."""

    text: int
    normalised: int | None = None
    """The text with numbers and abbreviations written out, which is preferred."""
    speaker: int | None = None


def plain_name(name: object) -> str:
    """A column's name, normalised for comparison: ``Audio-File `` is ``audio_file``."""
    return re.sub(r"[\s-]+", "_", str(name).strip().strip('"').strip()).lower()


def columns_by_role(names: Iterable[str]) -> dict[str, str]:
    """The names of a table's columns of files, texts and speakers: role to name as written."""
    known: dict[str, str] = {}
    for name in names:
        known.setdefault(plain_name(name), name)
    found = {role: next((known[n] for n in wanted if n in known), None) for role, wanted in ROLES.items()}
    return {role: name for role, name in found.items() if name is not None}


def is_header(cells: Sequence[str]) -> bool:
    """Whether the first row of a table names its columns."""
    names = {plain_name(cell) for cell in cells}
    roles = [role for role, wanted in {**ROLES, "phonemes": PHONEME_NAMES}.items() if names & set(wanted)]
    return len(roles) >= 2 or bool(names & set(FILE_NAMES) - _VAGUE)


def columns_by_content(rows: Sequence[Sequence[str]]) -> Columns | int:
    """Find the text in a table without header, whose first column is the file.

    Columns of numbers, of phonemes and of few repeated values (a speaker, a language) are not text. A second column of
    words that is similar to the first is its normalised form. Other cases are ambiguous: then the result is the index
    of the column in doubt.

    Args:
        rows: cells; rows may differ in length.
    """
    width = max(len(row) for row in rows)
    cells = {at: [row[at] if at < len(row) else "" for row in rows] for at in range(1, width)}
    filled = [at for at, column in cells.items() if any(column)]
    if len(filled) < 2:
        return Columns(text=filled[0] if filled else 1)
    kinds = _kinds({at: [cell for cell in cells[at] if cell] for at in filled})
    first, second = filled[:2]
    both = {kinds[first], kinds[second]} <= {"words", "label"} and _alike(cells[first], cells[second])
    if both or cells[first] == cells[second]:
        kinds[first] = kinds[second] = "words"  # a few sentences that are repeated
    words = [at for at in filled if kinds[at] == "words"]
    if not words:
        return filled[1]
    labels = [at for at in filled if kinds[at] == "label" and not _alike(cells[words[0]], cells[at])]
    others = [at for at in filled if at > words[0] and at not in labels and kinds[at] in ("words", "label")]
    doubtful = [at for at in others if not _alike(cells[words[0]], cells[at])]
    if doubtful:
        return doubtful[0]
    return Columns(
        text=words[0],
        normalised=others[0] if others else None,
        speaker=labels[0] if len(labels) == 1 else None,
    )


def _kinds(columns: Mapping[int, Sequence[str]]) -> dict[int, str]:
    """``number``, ``phonemes``, ``label`` or ``words`` for the filled cells of each column."""
    spaced = {at: sum(" " in cell for cell in column) / len(column) for at, column in columns.items()}
    kinds = {}
    for at, column in columns.items():
        if all(_NUMBER.fullmatch(cell) for cell in column):
            kinds[at] = "number"
        elif _are_phonemes(column):
            kinds[at] = "phonemes"
        elif len(column) > 1 and (len(set(column)) == 1 or 2 * len(set(column)) <= len(column)):
            kinds[at] = "label"
        elif spaced[at] == 0 and "".join(column).isascii() and max(spaced.values()) > 0.8:
            kinds[at] = "label"  # names in a column of sentences
        else:
            kinds[at] = "words"
    return kinds


def _are_phonemes(column: Sequence[str]) -> bool:
    letters = [c for cell in column for c in cell if c.isalpha() or c in _IPA]
    if letters and sum(c in _IPA for c in letters) >= _MIN_IPA * len(letters):
        return True
    words = [word for cell in column for word in re.split(r"[^\w]+", cell) if word]
    arpabet = sum(word.rstrip("012") in _ARPABET for word in words)
    pinyin = sum(bool(re.fullmatch(r"[a-zü]+[1-5]", word)) for word in words)
    return bool(words) and max(arpabet, pinyin) >= _MIN_PHONES * len(words)


def _alike(texts: Sequence[str], others: Sequence[str]) -> bool:
    """Whether a second column is similar to the texts, by the share of common letter trigrams."""
    common = total = 0
    for text, other in zip(texts, others, strict=True):
        if text and other:
            ours, theirs = _groups(text), _groups(other)
            common += sum((ours & theirs).values()) if len(_letters(text)) >= 3 else _letters(text) in _letters(other)
            total += sum(ours.values())
    return common >= _MIN_ALIKE * total


def _groups(text: str) -> Counter[str]:
    letters = _letters(text)
    return Counter(letters[at : at + 3] for at in range(max(1, len(letters) - 2)))


def _letters(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalpha())
