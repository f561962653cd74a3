"""Abbreviations, symbols and addresses in English prose, spelled out for the G2P."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip
_STREETS = {"St": "Street", "Dr": "Drive", "Ave": "Avenue", "Blvd": "Boulevard", "Rd": "Road", "Ln": "Lane",
            "Hwy": "Highway", "Pkwy": "Parkway", "Sq": "Square"}  # fmt: skip
_TITLES = {"Prof": "Professor", "Gen": "General", "Col": "Colonel", "Capt": "Captain", "Lt": "Lieutenant",
           "Sgt": "Sergeant", "Maj": "Major", "Adm": "Admiral", "Rev": "Reverend", "Hon": "Honorable",
           "Gov": "Governor", "Sen": "Senator", "Rep": "Representative", "Pres": "President", "Mt": "Mount",
           "Ft": "Fort"}  # fmt: skip
_BEHIND_NAMES = {"Jr": "Junior", "Sr": "Senior", "Inc": "Incorporated", "Ltd": "Limited", "Corp": "Corporation",
                 "Bros": "Brothers", "Co": "Company"}  # fmt: skip
_BEFORE_NUMBERS = {"Fig": "Figure", "fig": "figure", "Figs": "Figures", "figs": "figures", "Vol": "Volume",
                   "vol": "volume", "Ch": "Chapter", "ch": "chapter", "p": "page", "pp": "pages",
                   "approx": "approximately", "ca": "circa", "No": "Number", "no": "number", "Nos": "Numbers",
                   "nos": "numbers"}  # fmt: skip
_BEFORE_ROMAN = {"Vol": "Volume", "Ch": "Chapter", "Fig": "Figure", "Pt": "Part", "Sec": "Section", "Bk": "Book"}
_DAYS = {"Mon": "Monday", "Tue": "Tuesday", "Tues": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday",
         "Thur": "Thursday", "Thurs": "Thursday", "Fri": "Friday", "Sat": "Saturday", "Sun": "Sunday"}  # fmt: skip
_MONTHS = {month[:3]: month for month in MONTHS if month != "May"} | {"Sept": "September"}
_OPERATORS = {"÷": "divided by", "≈": "approximately", "≠": "not equal to", "≤": "less than or equal to",
              "≥": "greater than or equal to", "±": "plus or minus", "=": "equals", "==": "equals"}  # fmt: skip
_IN_ADDRESSES = {".": "dot", "/": "slash", "@": "at", "-": "dash", "_": "underscore", "+": "plus",
                 "?": "question mark", "=": "equals", "&": "and", "#": "hash", "%": "percent", ":": "colon",
                 "~": "tilde"}  # fmt: skip
_SPELLED = frozenset({"io", "ai", "uk", "edu", "http", "https", "www", "html", "php", "pdf", "ac"})
_TLD = r"(?:com|org|net|edu|gov|info|io|ai|dev|app|co\.uk|ac\.uk|org\.uk)"


def _address(match: re.Match[str]) -> str:
    """A web or e-mail address as it is read aloud: ``a.b@c.com`` is a dot b at c dot com."""
    parts = re.findall(r"[^\W_]+|[^\w\s]|_", match[0].replace("://", " ").rstrip("/"))
    return " ".join(" ".join(p.upper()) if p.lower() in _SPELLED else _IN_ADDRESSES.get(p, p) for p in parts)


def _from(table: dict[str, str], *, space: str = "") -> Callable[[re.Match[str]], str]:
    """Replace the group ``short``, keeping the groups ``head`` before and ``dot`` (a full stop) behind it."""

    def replace(match: re.Match[str]) -> str:
        groups = match.groupdict()
        return f"{groups.get('head') or ''}{table[match['short']]}{groups.get('dot') or ''}{space}"

    return replace


def _one_of(table: Iterable[str]) -> str:
    return f"(?P<short>{'|'.join(re.escape(short) for short in sorted(table, key=len, reverse=True))})"


# Words that begin a sentence rather than a name: before them the full stop of an abbreviation also ends a sentence.
_STARTS = (
    r"(?:He|She|It|They|We|You|I|The|A|An|This|That|These|Those|There|Then|When|Where|Who|What|Why|How|In|On|At|As|For|"
    r"From|By|And|But|Or|So|If|My|Your|His|Her|Its|Our|Their|No|Yes|Not|Is|Are|Was|Were|Do|Does|Did|After|Before|One|To)\b"
)
_DOT = rf"(?:(?P<dot>\.)(?=[\"”’)]*\s*$|[\"”’)]*\s+{_STARTS}|[\"”’)]*\n)|\.?)"
_NAME = r"\b[A-Z][\w'’]{1,40}"
_LED = rf"(?:{_NAME}\s+|\d+(?:st|nd|rd|th)\s+|[NSEW]\.?\s+)"
_NOT_NAME = rf"(?!\.?\s+(?!{_STARTS})[A-Z][a-z])"  # no name follows

Replacement = str | Callable[[re.Match[str]], str]
RULES: tuple[tuple[str, Replacement], ...] = (
    # Addresses first: every later rule would match parts of them. Lengths are bounded so that no rule is slow on any
    # text.
    (r"\bhttps?://[^\s<>\"”)]*[\w/]", _address),
    (r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}\b", _address),
    (rf"(?<![\w.-])(?:[A-Za-z0-9-]{{1,63}}\.){{1,8}}{_TLD}\b(?!\.\w)(?:/[^\s<>\"”)]*[\w/])?", _address),
    (r"\bwww\.[\w-]+(?:\.[\w-]+)*(?:/[^\s<>\"”)]*[\w/])?", _address),
    # Saint and Street, Doctor and Drive. "St." before a name is "Saint", but not after a house number.
    (rf"(?P<head>^|[^\w\s]\s*|\b[a-z\d][\w'’]*\s+)(?P<short>St)\.\s*(?=(?!{_STARTS})[A-Z])", _from({"St": "Saint "})),
    (rf"(?P<head>\b\d+[A-Za-z]?\s+{_LED}{{1,3}}){_one_of(_STREETS)}\b{_DOT}", _from(_STREETS)),
    (rf"(?P<head>\b\d+(?:st|nd|rd|th)\s+){_one_of(_STREETS)}\b{_NOT_NAME}{_DOT}", _from(_STREETS)),
    (
        rf"(?P<head>\b(?:[Oo]n|[Aa]t|[Aa]long|[Dd]own|[Nn]ear|[Oo]ff|[Uu]p|[Ff]rom|[Tt]o|[Oo]f)\s+{_LED}{{1,3}})"
        rf"{_one_of(_STREETS)}\b{_NOT_NAME}{_DOT}",
        _from(_STREETS),
    ),
    (rf"\bSt\.?\s+(?=(?!{_STARTS})[A-Z])", "Saint "),
    (rf"(?P<head>{_LED})(?P<short>St)\b{_DOT}", _from(_STREETS)),
    (rf"(?P<head>{_LED}){_one_of(_STREETS.keys() - {'St', 'Dr', 'Sq'})}\b{_DOT}", _from(_STREETS)),
    (rf"\b{_one_of(_TITLES)}\.\s*(?=(?!{_STARTS})[A-Z])", _from(_TITLES, space=" ")),
    (
        rf"(?P<head>{_NAME},?\s+|&\s+)(?:{_one_of(_BEHIND_NAMES)})(?=\.|\b(?<=[JS]r)|\b(?<=Ltd)){_DOT}",
        _from(_BEHIND_NAMES),
    ),
    (rf"\b{_one_of(_MONTHS)}\b\.?\s+(?=\d)", _from(_MONTHS, space=" ")),
    (rf"(?<=\d\s){_one_of(_MONTHS)}\b{_DOT}", _from(_MONTHS)),
    (rf"\b{_one_of(_DAYS.keys() - {'Sat', 'Sun'})}(?=\.){_DOT}", _from(_DAYS)),
    (rf"\b{_one_of(_DAYS)}\.(?=,?\s+(?:\d|{'|'.join(MONTHS)}))", _from(_DAYS)),
    (rf"(?<![\w.]){_one_of(_BEFORE_NUMBERS)}\.\s?(?=\d)", _from(_BEFORE_NUMBERS, space=" ")),
    (rf"\b{_one_of(_BEFORE_ROMAN)}\.\s(?=[IVXL]+\b)", _from(_BEFORE_ROMAN, space=" ")),
    (r"\bMs(?=\s+[A-Z])", "Ms."),
    (r"\bWW(?P<roman>II?)\b", r"World War \g<roman>"),
    (r"(?<![\w.])c\.\s?(?=\d{3,4}\b)", "circa "),
    (r"№\s?(?=\d)", "number "),
    (r"\bDept\.(?=\s)", "Department"),
    (r"\b(?P<word>etc|approx|vs)\.(?=\s+[a-z]|[,;:)])", r"\g<word>"),  # a full stop would be a pause
    # Symbols that misaki drops.
    (r"\bw/o\b", "without"),
    (r"\bw/(?=\s?[a-z])\s?", "with "),
    (r"\b(?P<note>[A-G])#(?!\w)", r"\g<note> sharp"),
    (r"(?<![\w&#])#(?=\d)", "number "),
    (r"(?<![\w&#])#(?=[A-Za-z])", "hashtag "),
    (r"§§?\s?(?=\d)", "section "),
    (r"(?<=\d)\s?‰", " per mille"),
    (r"(?<![\w~])~\s?(?=\d)", "about "),
    (r"(?<!\w)±\s?(?=\d)", "plus or minus "),
    (rf"(?<=[\w)%°])\s*{_one_of(_OPERATORS)}\s*(?=[\w(\-$£€])", lambda match: f" {_OPERATORS[match['short']]} "),
    (r"(?<=[\w)%])\s<\s(?=[\w(\-$£€])", " less than "),
    (r"(?<=[\w)%])\s>\s(?=[\w(\-$£€])", " greater than "),
)
