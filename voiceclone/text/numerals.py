"""Numbers in English prose (Roman numerals, money, units, times, fractions), spelled for the G2P."""

from __future__ import annotations

import re
from collections.abc import Iterable

from voiceclone.text.abbreviations import MONTHS, Replacement

NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
ROMAN = r"(?=[IVXLCDM])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_SCALES = {
    "k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion", "t": "trillion",
    "tn": "trillion",
}  # fmt: skip
_CURRENCIES = {
    "$": ("dollar", "dollars"), "£": ("pound", "pounds"), "€": ("euro", "euros"), "¥": ("yen", "yen"),
    "₹": ("rupee", "rupees"), "₩": ("won", "won"), "₽": ("rouble", "roubles"), "¢": ("cent", "cents"),
}  # fmt: skip
_DOLLARS = {"US": "U.S.", "A": "Australian", "AU": "Australian", "C": "Canadian", "CA": "Canadian", "NZ": "New Zealand",
            "HK": "Hong Kong", "": ""}  # fmt: skip
_ORDINALS = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 6: "sixth", 7: "seventh", 8: "eighth", 9: "ninth",
             10: "tenth", 16: "sixteenth", 32: "thirty-second", 64: "sixty-fourth", 100: "hundredth"}  # fmt: skip
_VULGAR = {"½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4), "⅕": (1, 5), "⅖": (2, 5), "⅗": (3, 5),
           "⅘": (4, 5), "⅙": (1, 6), "⅚": (5, 6), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8), "⅞": (7, 8)}  # fmt: skip
VULGAR = "[" + "".join(_VULGAR) + "]"


UNITS = {
    "km/h": "kilometer per hour", "kph": "kilometer per hour", "mph": "mile per hour", "m/s": "meter per second",
    "km": "kilometer", "m": "meter", "cm": "centimeter", "mm": "millimeter", "µm": "micrometer", "μm": "micrometer",
    "nm": "nanometer", "mi": "mile", "ft": "foot", "yd": "yard", "yds": "yard",
    "kg": "kilogram", "Kg": "kilogram", "KG": "kilogram", "kgs": "kilogram",
    "g": "gram", "mg": "milligram", "µg": "microgram", "μg": "microgram", "lb": "pound",
    "lbs": "pound", "oz": "ounce",
    "ml": "milliliter", "mL": "milliliter", "cl": "centiliter", "l": "liter", "L": "liter",
    "h": "hour", "hr": "hour", "hrs": "hour", "min": "minute", "mins": "minute", "sec": "second", "secs": "second",
    "ms": "millisecond",
    "Hz": "hertz", "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz", "dB": "decibel",
    "kB": "kilobyte", "KB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte",
    "kbps": "kilobit per second", "Mbps": "megabit per second", "Gbps": "gigabit per second",
    "kW": "kilowatt", "MW": "megawatt", "GW": "gigawatt", "kWh": "kilowatt hour", "mAh": "milliamp hour",
    "W": "watt", "V": "volt", "kV": "kilovolt", "kcal": "kilocalorie", "kJ": "kilojoule",
    "°C": "degree Celsius", "°F": "degree Fahrenheit", "°": "degree", "°N": "degree north",
    "°S": "degree south", "°E": "degree east", "°W": "degree west",
}  # fmt: skip
ONLY_ATTACHED = ("W", "V", "h", "l")
"""Units that are recognised only directly after the digits: 12V, but not "rule 12 V. Smith"."""
_INVARIABLE = frozenset({"hertz", "kilohertz", "megahertz", "gigahertz"})
_POWERS = {"²": ("square ", " squared"), "³": ("cubic ", " cubed")}
_PER = {"hr": "hour", "h": "hour", "hour": "hour", "day": "day", "wk": "week", "week": "week", "mo": "month",
        "month": "month", "yr": "year", "year": "year", "night": "night", "person": "person", "lb": "pound",
        "kg": "kilogram", "mile": "mile", "gallon": "gallon", "share": "share"}  # fmt: skip


def roman(numeral: str) -> int:
    """The value of a well-formed Roman numeral."""
    values = [_ROMAN_VALUES[letter] for letter in numeral.upper()]
    return sum(-v if v < max(values[i:]) else v for i, v in enumerate(values))


def ordinal(value: int) -> str:
    """``the eighth`` for 8."""
    from num2words import num2words

    return f"the {num2words(value, to='ordinal')}"


def roman_ordinal(match: re.Match[str]) -> str:
    """``Henry VIII``, the numeral in the group ``roman``: Henry the eighth."""
    return f"{match['name']} {ordinal(roman(match['roman']))}"


def roman_century(match: re.Match[str]) -> str:
    """``XIX century``: nineteenth century."""
    return f"{ordinal(roman(match['roman'])).removeprefix('the ')} {match['name']}"


def roman_heading(match: re.Match[str]) -> str:
    """``IV.`` at the start of a line: 4."""
    return str(roman(match["roman"]))


def roman_cardinal(match: re.Match[str]) -> str:
    """``Chapter IV``, the numeral in the group ``roman``: Chapter 4."""
    return f"{match['name']} {roman(match['roman'])}"


def money(match: re.Match[str]) -> str:
    """A sum with the groups sign, number and perhaps which, until (end of a range) and scale (M, billion)."""
    groups = match.groupdict()
    singular, plural = _CURRENCIES[match["sign"]]
    which = _DOLLARS[groups.get("which") or ""]
    scale = (groups.get("scale") or "").strip()
    scale = _SCALES.get(scale.lower(), scale)
    number, until = match["number"], groups.get("until")
    amount = f"{number} to {until}" if until else number
    unit = singular if number == "1" and not scale and not until else plural
    return " ".join(part for part in (amount, scale, which, unit) if part)


def per(match: re.Match[str]) -> str:
    """``$20/hr``: $20 per hour."""
    return f"{match['sum']} per {_PER[match['per']]}"


def scaled(match: re.Match[str]) -> str:
    """``2.5bn``: 2.5 billion."""
    return f"{match['number']} {_SCALES[match['scale'].lower()]}"


def number_with_unit(match: re.Match[str]) -> str:
    """A number with its unit; singular after 1 and after a hyphen (a 5-kg bag)."""
    words = UNITS[match["unit"] or match["unit_attached"]]
    if match["power"]:
        before, behind = _POWERS[match["power"]]
        words = words + behind if " per " in words else before + words
    if match["link"] == "-":
        return f"{match['number']}-{words}"
    return f"{match['number']} {words if match['number'] == '1' else _plural(words)}"


def inches(match: re.Match[str]) -> str:
    """``6 in.`` within a sentence: 6 inches."""
    return f"{match['number']} {'inch' if match['number'] == '1' else 'inches'}"


def clock(match: re.Match[str]) -> str:
    """``10:05am``: 10 oh 5 am."""
    hour, minute, rest = int(match["hour"]), int(match["minute"]), match["half"] or ""
    if minute:
        said = f"{hour} {f'oh {minute}' if minute < 10 else minute}"
    elif rest:
        said = str(hour)
    else:
        said = f"{hour} o'clock" if 1 <= hour <= 12 else f"{hour} hundred"
    second = match.groupdict().get("second")
    seconds = f" and {int(second)} seconds" if second else ""
    return said + seconds + (f" {rest}" if rest else "")


def telephone(match: re.Match[str]) -> str:
    """``555-123-4567``: 5 5 5, 1 2 3, 4 5 6 7."""
    return ", ".join(" ".join(group) for group in re.findall(r"\d+", match[0]))


def iso_date(match: re.Match[str]) -> str:
    """``2020-10-12``: October 12, 2020."""
    return f"{MONTHS[int(match['month']) - 1]} {int(match['day'])}, {match['year']}"


def fraction(match: re.Match[str]) -> str:
    """``3/4``: three quarters; ``2 1/2``: 2 and a half. Anything else is unchanged."""
    top, bottom = int(match["top"]), int(match["bottom"])
    if not 0 < top < bottom or bottom not in _ORDINALS:
        return match[0]
    return _fraction(match["whole"], top, bottom)


def vulgar_fraction(match: re.Match[str]) -> str:
    """``2½``: 2 and a half."""
    return _fraction(match["whole"], *_VULGAR[match["mark"]])


def _fraction(whole: str | None, top: int, bottom: int) -> str:
    from num2words import num2words

    name = _ORDINALS[bottom]
    if whole and top == 1:
        return f"{whole} and {'an' if name.startswith('e') else 'a'} {name}"
    said = f"{num2words(top)} {name if top == 1 else f'{name}s'}"
    return f"{whole} and {said}" if whole else said


def _plural(unit: str) -> str:
    head, space, rest = unit.partition(" per ")
    if head.startswith("degree"):
        return unit.replace("degree", "degrees", 1)
    if head in _INVARIABLE:
        return unit
    return (head.replace("foot", "feet") if "foot" in head else f"{head}s") + space + rest


def span(match: re.Match[str]) -> str:
    """``10-20``: 10 to 20, if the numbers increase and are not part of a longer code."""
    low, high = match["low"], match["high"]
    years = len(low) == 4 and len(high) == 2 and low[:2] in ("17", "18", "19", "20") and high > low[2:]
    rises = len(high) - len(low) in (0, 1) and (len(low), len(high)) != (3, 4) and int(high) > int(low)
    named = (low, high) in (("7", "11"), ("9", "11"))
    return f"{low} to {high}" if (years or rises) and not named else match[0]


def _any_of(names: Iterable[str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


_NAME = r"\b[A-Z][\w'’]{1,40}"
_RULER = (
    r"(?:Henry|Louis|Charles|George|Edward|Edmund|James|William|Richard|Elizabeth|Mary|John|Paul|Pius|Leo|Benedict|"
    r"Gregory|Innocent|Clement|Alexander|Nicholas|Peter|Catherine|Frederick|Wilhelm|Philip|Ferdinand|Napoleon|"
    r"Ramesses|Rameses|Ramses|Ptolemy|Xerxes|Darius|Urban|Boniface|Sixtus|Julius|Umberto|Carlos|Juan|Felipe|Gustav|"
    r"Olaf|Harald|Haakon|Christian|Eric|Erik|Otto|Conrad|Rudolf|Leopold|Albert|Margrethe|Robert|David|Kenneth|"
    r"Constantine|Theodosius|Justinian|Thutmose|Amenhotep|Cleopatra|Ivan|Sigismund|Casimir|Stephen|Adrian|Eugene|"
    r"Martin|Mehmed|Murad|Selim|Suleiman|Pedro|Manuel|Alfonso|Isabella|Francis|Joseph|Maximilian|Baldwin|Emmanuel)"
)
_CROWNED = r"(?:King|Queen|Pope|Emperor|Empress|Tsar|Czar|Kaiser|Prince|Sultan|Pharaoh)"
_REIGNED = r"(?:was|is|had|became|ruled|reigned|died|ascended|succeeded|married|abdicated)"
_CHAPTER = r"(?:Chapter|Act|Scene|Volume|CHAPTER|ACT|SCENE|VOLUME)"
_COUNTED = (
    r"(?:[Pp]art|[Bb]ook|[Ss]ection|[Aa]rticle|[Pp]hase|[Ss]tage|[Tt]ype|[Tt]itle|[Cc]anto|[Uu]nit|[Ll]esson|[Tt]ier|"
    r"[Ee]pisode|[Ss]eason|[Ff]igure|[Tt]able|[Cc]ategory|[Dd]ivision|[Pp]age|War|Bowl|Mark|Saturn|Apollo|Rocky|"
    rf"Schedule|Psalm|PART|BOOK|SECTION|ARTICLE|WAR|chapter|act|scene|volume|{_CHAPTER})"
)
_MANY = r"(?!I\b|L\b)(?=[IVXL]+\b)" + ROMAN + r"\b"  # I is rather the pronoun
_NO_INITIAL = r"(?!\b[VX]\.\s*[A-Z])"  # George V. Higgins
_ENDS_NAME = r"(?=\s*$|[,;:)]|[.!?](?:\s|$)|['’]s\b|\s+(?:of|and|or|to|errors?|diabetes)\b)"
_PLAIN = r"(?:II|III|VII|VIII|XII|XIII|XIV|XVI|XVII|XVIII|XIX|XXI|XXII|XXIII|XXIV)"  # never a word or an abbreviation

_MONEY = rf"(?<![\w.])(?:(?P<which>US|AU|A|CA|C|NZ|HK)(?=\$))?(?P<sign>[$£€¥₹₩₽])\s?(?P<number>{NUMBER})"
_UNTIL = rf"(?:-|\s?–\s?|\s+to\s+)(?P=sign)?(?P<until>{NUMBER})"
_SCALE = r"(?P<scale>(?:[kKmMbBtT]|mn|bn|tn|MN|BN|TN)\b|\s(?:thousand|million|billion|trillion)\b)"
_ALONE = r"(?<![\w.,:/$£€])(?<!\w-)"  # no part of a longer number or code
_UNIT = _any_of(unit for unit in UNITS if unit not in ONLY_ATTACHED)

RULES: tuple[tuple[str, Replacement], ...] = (
    (rf"^(?P<roman>(?=[IVX]{{2,}}\b){ROMAN})(?=\.?\s*$|\.\s+[A-Z])", roman_heading),
    (rf"\b(?P<name>{_CROWNED}\s+(?:{_NAME}\s+)?{_RULER})\s+(?P<roman>I)\b(?!['’](?!s\b))", roman_ordinal),
    (rf"\b(?P<name>{_RULER})\s+(?P<roman>I)\b(?!\.\s*[A-Z]){_ENDS_NAME}", roman_ordinal),
    (rf"(?:(?<=^)|(?<=[.!?]\s))(?P<name>{_RULER})\s+(?P<roman>I)(?=\s+{_REIGNED}\b)", roman_ordinal),
    (rf"\b(?P<name>{_RULER})\s+(?:the\s+)?{_NO_INITIAL}(?P<roman>{_MANY})", roman_ordinal),
    (rf"\b(?P<roman>(?=[IVX]+\b){ROMAN})(?:th)?[\s-]+(?P<name>century|centuries)\b", roman_century),
    (rf"\b(?P<name>Mark)\s+{_NO_INITIAL}(?P<roman>{_MANY})", roman_cardinal),
    (rf"\b(?P<name>(?!Mark){_COUNTED})\s+(?P<roman>{_MANY}|(?i:(?=[ivxl]{{2,}}\b){ROMAN}\b))", roman_cardinal),
    (rf"\b(?P<name>[Ww]orld\s+[Ww]ar|WORLD WAR|{_CHAPTER})\s+(?P<roman>I)\b(?!['’](?!s\b))", roman_cardinal),
    (rf"\b(?P<name>(?=[A-Z]|type){_COUNTED})\s+(?P<roman>I)\b{_ENDS_NAME}", roman_cardinal),
    (rf"\b(?P<name>{_NAME})\s+(?P<roman>{_PLAIN})\b", roman_cardinal),
    (r"(?<![\w)])[-−](?=[$£€]\d)", "minus "),
    (rf"(?P<sum>[$£€]\d[\d,.]*(?:[kKmM]|bn)?)/(?P<per>{_any_of(_PER)})\b", per),
    (rf"{_MONEY}(?:{_UNTIL})?{_SCALE}", money),
    (rf"{_MONEY}{_UNTIL}(?![\w-])", money),
    (rf"(?<![\w.])(?P<which>US|AU|A|CA|C|NZ|HK)(?P<sign>\$)\s?(?P<number>{NUMBER})(?!\w)", money),
    (rf"(?P<sign>[¥₹₩₽])\s?(?P<number>{NUMBER})(?!\w)", money),
    (rf"(?<![\w.,$£€])(?P<number>{NUMBER})\s?(?P<sign>[€£¥₹₩₽¢])(?!\d)", money),
    (rf"{_ALONE}(?P<number>{NUMBER})\s?(?P<scale>bn|mn|tn)\b", scaled),
    (rf"{_ALONE}(?P<number>\d+\.\d+|\d{{2,3}})(?P<scale>M)\b", scaled),
    (r"(?<![\w-])(?P<year>\d{4})-(?P<month>0[1-9]|1[0-2])-(?P<day>0[1-9]|[12]\d|3[01])(?![\w-])", iso_date),
    (r"(?<![\w-])(?:\+?\d{1,2}[ .-])?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![\w-])", telephone),
    (r"(?<![\w-])\d{2}[1-9]-\d{4}(?![\w-])", telephone),
    (r"(?P<from>\d:\d\d|\d\s?[aApP]\.?[mM]\b\.?)\s?[-–]\s?(?=\d{1,2}(?::\d\d|\s?[aApP]\.?[mM]\b))", r"\g<from> to "),
    (r"(?<![\w:.,/])(?P<hour>[01]?\d)\.(?P<minute>[0-5]\d)\s?(?P<half>[aApP]\.?[mM]\b\.?)", clock),
    (
        r"(?<![\w:.,/])(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?"
        r"(?:\s?(?P<half>[aApP]\.?[mM]\b\.?))?(?![\w:])",
        clock,
    ),
    (rf"(?:(?P<whole>(?<![\w.,])\d+)\s?)?(?P<mark>{VULGAR})", vulgar_fraction),
    (
        r"(?<![\w.,:/-])(?<!\b[Oo]n )(?<!\b[Uu]ntil )(?<!\b[Ss]ince )(?:(?P<whole>\d+)\s)?"
        r"(?P<top>\d{1,2})/(?P<bottom>\d{1,3})(?![\w/]|\.\d)",
        fraction,
    ),
    (r"(?<![\w.,:/$£€-])(?P<low>\d{1,4})(?:\s?–\s?|-)(?P<high>\d{1,4})(?!\d|[.,:/]\d|-)", span),
    (r"(?<!\w)['’‘](?=\d0s\b|\d\d\b(?!['’]))", ""),  # the '90s
    (r"(?<=\d)\s?−\s?(?=\d)", " minus "),
    (r"−(?=\d)", "-"),
    (r"(?<!\b0)(?<=\d)\s?x\s?(?=\d)", " by "),
    (r"\b(?P<feet>[3-8])['’′]\s?(?P<inches>\d{1,2})(?:[\"”″]|'')", r"\g<feet> foot \g<inches>"),
    (r"(?<=\d)\s?h\s(?=\d+\s?min\b)", " hours "),
    (r"°\s(?=[CFNSEW]\b)", "°"),
    (rf"{_ALONE}(?P<low>{NUMBER}\s?)(?P<unit>{_UNIT}|%)\s?[-–]\s?(?={NUMBER}\s?(?P=unit))", r"\g<low>\g<unit> to "),
    (rf"(?<=\d)(?P<unit>\s?(?:{_UNIT}))\s[x×]\s(?=\d)", r"\g<unit> by "),
    (r"\b(?P<feet>\d+)\s?ft\.?\s(?P<inches>\d{1,2})\s?in\b\.?", r"\g<feet> feet \g<inches> inches"),
    (
        rf"{_ALONE}(?P<number>{NUMBER})(?:(?P<link>[-\s]?)(?P<unit>{_UNIT})|(?P<unit_attached>[WVhl]))(?P<power>[²³])?"
        r"(?![\w°/'’]|-\d|\.\w)(?:\.(?=\s+[a-z]|[,;:)]))?",
        number_with_unit,
    ),
    (rf"{_ALONE}(?P<number>{NUMBER})(?:\s?in\.(?=\s+[a-z(]|[,;:)])|in\b(?!\.\w))", inches),
)
