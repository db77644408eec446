"""Persian as it is written, in one form; and as it is read aloud.

Rules, in their order: Arabic letters and digits to Persian ones; tatweel, BOM and marks of direction removed, the
zero-width non-joiner kept; ``? , ;`` behind Persian letters to ``؟ ، ؛``; «می» and «ها» joined with ZWNJ, «ه ی»
likewise; three or more of one letter to one. Read aloud, vowel marks stay (کتابِ, گِل), shadda goes (espeak-ng says its
name), and times, dates, decimals and numbers become words.
"""

from __future__ import annotations

import re
import unicodedata

ZWNJ = "\N{ZERO WIDTH NON-JOINER}"
SHADDA = "\N{ARABIC SHADDA}"
_VOWELS = re.compile("[\u064b-\u0652\u0670]")
_LETTERS = str.maketrans(
    {
        "ي": "ی",
        "ى": "ی",
        "ك": "ک",
        "ة": "ه",
        "\N{ARABIC TATWEEL}": None,
        "\ufeff": None,
        "\N{LEFT-TO-RIGHT MARK}": None,
        "\N{RIGHT-TO-LEFT MARK}": None,
        "\N{ARABIC LETTER MARK}": None,
        "\N{NO-BREAK SPACE}": " ",
        **{chr(0x660 + digit): chr(0x6F0 + digit) for digit in range(10)},
    }
)
_LETTER = "[آ-یٔ]"
_SUFFIXES = "ها|های|هایی|هایم|هایت|هایش|هایمان|هایتان|هایشان|تر|ترین|تری"
_STEPS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(rf"(?<={_LETTER})\s*\?"), "؟"),
    (re.compile(rf"(?<={_LETTER})\s*,"), "،"),
    (re.compile(rf"(?<={_LETTER})\s*;"), "؛"),
    (re.compile(r"\s+([،؛؟])"), r"\1"),
    (re.compile(r"([،؛؟])(?=[^\s\d\"'»)\]])"), r"\1 "),
    (re.compile(rf"(?<!{_LETTER})(ن?می) (?={_LETTER})"), rf"\1{ZWNJ}"),
    (re.compile(rf"(?<={_LETTER}) ({_SUFFIXES})(?!{_LETTER})"), rf"{ZWNJ}\1"),
    (re.compile(rf"ه ی(?!{_LETTER})"), f"ه{ZWNJ}ی"),
    (re.compile(r"([آ-ی])\1{2,}"), r"\1"),
    (re.compile(r"[^\S\n]+"), " "),
)


def normalise(text: str) -> str:
    """Return ``text`` in the one form, without vowel marks."""
    return _formed(_VOWELS.sub("", unicodedata.normalize("NFC", text)))


def spoken(text: str) -> str:
    """Return ``text`` as it is read aloud: vowel marks stay, and numbers are words."""
    text = _formed(unicodedata.normalize("NFC", text).replace(SHADDA, ""))
    text = text.translate(_ASCII_DIGITS)
    for pattern, words in _READINGS:
        text = pattern.sub(words, text)
    return re.sub(r"[^\S\n]+", " ", text).strip()


def _formed(text: str) -> str:
    text = text.translate(_LETTERS)
    for pattern, form in _STEPS:
        text = pattern.sub(form, text)
    return text.strip()


# Numbers ------------------------------------------------------------------------------------------

_ASCII_DIGITS = str.maketrans({chr(0x6F0 + digit): str(digit) for digit in range(10)} | {"٫": ".", "٬": ",", "٪": "%"})


def _list(words: str) -> list[str]:
    return words.split()


ONES = _list("صفر یک دو سه چهار پنج شش هفت هشت نه ده یازده دوازده سیزده چهارده پانزده شانزده هفده هجده نوزده")
TENS = _list("- - بیست سی چهل پنجاه شصت هفتاد هشتاد نود")
HUNDREDS = _list("- صد دویست سیصد چهارصد پانصد ششصد هفتصد هشتصد نهصد")
SCALES = ("", "هزار", "میلیون", "میلیارد", "تریلیون")
SOLAR_MONTHS = _list("فروردین اردیبهشت خرداد تیر مرداد شهریور مهر آبان آذر دی بهمن اسفند")
WESTERN_MONTHS = _list("ژانویه فوریه مارس آوریل مه ژوئن ژوئیه اوت سپتامبر اکتبر نوامبر دسامبر")
SOLAR_YEARS = range(1200, 1600)
LONGEST_NUMBER = 3 * len(SCALES)
"""Digits; a longer number is read digit by digit."""


def number(digits: str) -> str:
    """Return ``digits``, ASCII, in words."""
    if len(digits) > LONGEST_NUMBER or (len(digits) > 1 and digits[0] == "0"):
        return " ".join(ONES[int(digit)] for digit in digits)
    value = int(digits)
    if value == 0:
        return ONES[0]
    groups = []
    for scale in SCALES:
        value, group = divmod(value, 1000)
        if group:
            # «هزار» of one thousand is said without a «یک».
            groups.append(scale if group == 1 and scale == "هزار" else f"{_below_1000(group)} {scale}".strip())
    return " و ".join(reversed(groups))


def _below_1000(value: int) -> str:
    parts = []
    if value >= 100:
        parts.append(HUNDREDS[value // 100])
        value %= 100
    if value >= 20:
        parts.append(TENS[value // 10])
        value %= 10
    if value:
        parts.append(ONES[value])
    return " و ".join(parts)


def _time(match: re.Match[str]) -> str:
    hours, minutes, seconds = match.groups()
    said = number(str(int(hours)))
    if int(minutes):
        said += f" و {number(str(int(minutes)))} دقیقه"
    if seconds and int(seconds):
        said += f" و {number(str(int(seconds)))} ثانیه"
    return said


def _date(match: re.Match[str]) -> str:
    year, month, day = (int(part) for part in match.groups())
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return " ".join(number(part) for part in match.groups())
    months = SOLAR_MONTHS if year in SOLAR_YEARS else WESTERN_MONTHS
    return f"{number(str(day))} {months[month - 1]} {number(str(year))}"


def _decimal(match: re.Match[str]) -> str:
    whole, fraction = match.groups()
    digits = fraction if len(fraction) <= LONGEST_NUMBER else fraction[:LONGEST_NUMBER]
    return f"{number(whole)} ممیز {number(digits)}"


_READINGS = (
    (re.compile(r"(?<![\d:])(\d{1,2}):(\d{2})(?::(\d{2}))?(?![\d:])"), _time),
    (re.compile(r"(?<![\d/-])(\d{4})[/-](\d{1,2})[/-](\d{1,2})(?![\d/-])"), _date),
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), lambda _: ""),
    (re.compile(r"(\d+)\.(\d+)(?![\d.])"), _decimal),
    (re.compile(r"(?<![\w.])[-−](?=\d)"), lambda _: "منفی "),
    (re.compile(r"\d+"), lambda match: f" {number(match[0])} "),
    (re.compile(r"\s*%"), lambda _: " درصد "),
    (re.compile(r"\s+([.،؛؟!])"), lambda match: match[1]),
)
