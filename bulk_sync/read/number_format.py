"""The text that a spreadsheet program shows of a value in a number format.

Pure: a value and the format's code go in, a text comes out, or None where programs may differ. The
codes are those of ECMA-376 part 1, 18.8.31, which XLS and XLSB share ([MS-XLS] 2.4.126, [MS-XLSB]
2.4.689).

Not taken from a library: the ones for Python (`ssf`, last released in 2020, untyped, with six
dependencies for its calendars) always return a text, and a key needs to know where it is a guess.

Decided here:

- `General` shows a whole number of up to 15 digits in full. Excel abbreviates one of 12 and more
  (1.23457E+11), and shortens it in narrow columns; LibreOffice and Google Sheets do not. All have
  the same digits in mind, so they are no guess.
- `General` shows a fraction if it takes at most 11 characters, Excel's most. A longer one is
  rounded to the column's width, which is a guess.
- Dates, times, fractions and exponents are None: as texts they depend on the program's language and
  version. So do the digits of other scripts.
- Decimals are rounded half up from 15 significant digits, as spreadsheet programs do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import NamedTuple

MOST_DIGITS = 15
"""Significant digits of a number in spreadsheet programs."""
# Characters of a code; Excel allows 255, and a longer one is not worth its time.
_LONGEST_CODE = 255
_TOO_MANY_SECTIONS = ";;;;"
# Zeros of a format that are rendered in the short way; more than any number has digits.
_MOST_ZEROS = 30
# Characters that `General` shows in Excel at most, without the sign.
_LONGEST_GENERAL = 11

GENERAL = "General"


class Shown(NamedTuple):
    """A text as the English version shows it.

    `is_local` if other versions show it with other separators: 1,000.50 is 1.000,50 in German.
    """

    text: str
    is_local: bool = False


def shown(value: float, code: str) -> Shown | None:
    """Return the text of a number in a format; None if it can't be known for certain."""
    if abs(value) >= 10**MOST_DIGITS:
        return None
    section, is_negative = _format(code).choose(value)
    if section is None or not section.is_certain:
        return None
    # Programs show -0 or 0 of a negative number that rounds to zero.
    if is_negative and section.rounds_to_zero(value):
        return None
    result = section.render(abs(value))
    if result is None or not is_negative:
        return result
    # Excel shows the sign of a negative number before a mere literal, LibreOffice doesn't.
    return Shown("-" + result.text, result.is_local) if section.has_number else None


def shown_of_text(text: str, code: str) -> str | None:
    """Return a text as a format shows it; None if it can't be known for certain."""
    section = _format(code).texts
    if section is None:
        return text
    return section.framed(text) if section.is_certain else None


def changes_texts(code: str) -> bool:
    """Return whether a format may show a text as another one."""
    return shown_of_text("text", code) != "text"


def is_plain(code: str) -> bool:
    """Return whether a format shows every number, and every text, as it is without one."""
    return code.strip().lower() in {"general", "@", ""}


class _Token(NamedTuple):
    kind: str
    text: str = ""


# In the order in which they are tried.
_TOKENS = re.compile(
    r'"(?P<quoted>[^"]*)"'
    r'|(?P<unclosed>".*)'
    r"|\\(?P<escaped>.)"
    r"|_(?P<skip>.)"
    r"|\*(?P<fill>.)"
    r"|\[(?P<bracket>[^\]]*)\]"
    r"|(?P<general>General)"
    r"|(?P<exponent>E[+-])"
    r"|(?P<half>AM/PM|A/P|上午/下午)"
    r"|(?P<letter>[ymdhs])"
    r"|(?P<digit>[0#?])"
    r"|(?P<point>\.)"
    r"|(?P<comma>,)"
    r"|(?P<percent>%)"
    r"|(?P<text>@)"
    # Shown without quotes: 18.8.31, and the signs of currencies. A slash is not among them,
    # because it makes fractions and dates, nor `!`, with which some versions escape.
    r"|(?P<bare>[-+():^&'~{}<>= $€£¥¢₹\xa0])"
    r"|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
_ELAPSED = re.compile(r"h+|m+|s+", re.IGNORECASE)
_COLOUR = re.compile(
    r"black|blue|cyan|green|magenta|red|white|yellow|colou?r ?\d{1,2}", re.IGNORECASE
)
_CONDITION = re.compile(r"(<=|>=|<>|<|>|=)\s*(-?\d{1,15}(?:\.\d{1,15})?)")
# Currency sign, then language and region; more than four digits name other numerals or calendars.
_LOCALE = re.compile(r"\$([^-\]]*)(?:-([0-9A-Fa-f]{1,4}|[A-Za-z]{2,3}(?:-[A-Za-z]{2,4})?))?")
# The system's long date and its time ([MS-OI29500] 2.1.743).
_SYSTEM_DATES = frozenset({"F800", "F400"})


def _sections(code: str) -> list[str]:
    """Return the sections of a code, apart at semicolons that are no literal."""
    sections, start = [], 0
    for match in _TOKENS.finditer(code):
        if match["other"] == ";":
            sections.append(code[start : match.start()])
            start = match.end()
    return [*sections, code[start:]]


def _tokens(section: str) -> Iterator[_Token]:
    for match in _TOKENS.finditer(section):
        kind, text = match.lastgroup or "other", match[match.lastgroup or 0] or ""
        if kind in {"quoted", "escaped", "bare"}:
            yield _Token("literal", text)
        elif kind in {"letter", "half"}:
            yield _Token("date")
        elif kind == "bracket":
            yield _bracket(text)
        else:
            yield _Token(kind, text)


def _bracket(text: str) -> _Token:
    if _ELAPSED.fullmatch(text):
        return _Token("date")
    if _COLOUR.fullmatch(text):
        return _Token("colour")
    if _CONDITION.fullmatch(text):
        return _Token("condition", text)
    locale = _LOCALE.fullmatch(text)
    if locale is None:
        return _Token("other", text)
    if (locale[2] or "").upper() in _SYSTEM_DATES:
        return _Token("date")
    return _Token("literal", locale[1])


def _format(code: str) -> _Format:
    # Judged before it is parsed and remembered, because a file may claim a code of any length.
    return _compiled(code if len(code) <= _LONGEST_CODE else _TOO_MANY_SECTIONS)


@lru_cache(maxsize=1024)
def _compiled(code: str) -> _Format:
    sections = _sections(code or GENERAL)
    if len(sections) > 4:
        sections = ["\0"]  # which nobody can be certain of
    return _Format([_Section(tuple(_tokens(each))) for each in sections])


class _Format:
    """The sections of a format; `texts` is the one for texts, if there is one."""

    def __init__(self, sections: list[_Section]) -> None:
        # The last section is that of texts if it is the fourth, or has the sign for them.
        has_texts = len(sections) == 4 or sections[-1].is_for_texts
        self.texts = sections[-1] if has_texts else None
        self._numbers = sections[:-1] if has_texts else sections

    def choose(self, value: float) -> tuple[_Section | None, bool]:
        """Return the section for a number, and whether it is shown with a minus sign."""
        numbers = self._numbers
        if not numbers:  # `@` alone, which shows a number as `General` does
            return self.texts, value < 0
        if any(section.condition for section in numbers):
            return self._choose_by_condition(value), False
        if value < 0 and len(numbers) > 1:
            return numbers[1], False
        if value == 0 and len(numbers) > 2:
            return numbers[2], False
        return numbers[0], value < 0

    def _choose_by_condition(self, value: float) -> _Section | None:
        numbers = self._numbers
        # Whether a negative number keeps its sign depends on the conditions and on the program.
        if value < 0 or len(numbers) < 2 or not numbers[0].condition:
            return None
        if numbers[0].holds(value):
            return numbers[0]
        # Without one of its own, the second section is for all others, or for negative ones if
        # there is a third.
        if len(numbers) == 2:
            return numbers[1] if not numbers[1].condition or numbers[1].holds(value) else None
        return numbers[1] if numbers[1].condition and numbers[1].holds(value) else numbers[2]


# Kinds of tokens that can be shown.
_CERTAIN = frozenset(
    {"literal", "skip", "fill", "colour", "condition", "general", "digit", "point", "comma"}
    | {"percent", "text"}
)


class _Section:
    """One section of a format."""

    def __init__(self, tokens: tuple[_Token, ...]) -> None:
        kinds = [token.kind for token in tokens]
        self.condition = next((each.text for each in tokens if each.kind == "condition"), "")
        self._tokens = [each for each in tokens if each.kind not in {"colour", "condition"}]
        self.is_for_texts = "text" in kinds
        self._is_general = "general" in kinds
        self._has_digits = "digit" in kinds
        self._whole, self._decimals, self._after = self._split()
        self._scale = self._take_scale()
        self._is_grouped = any(token.kind == "comma" for token in self._whole)
        self._percents = kinds.count("percent")
        self._places = sum(token.kind == "digit" for token in self._decimals)
        self._has_point = "point" in kinds
        self._usual = self._usual_shape()
        self.is_certain = set(kinds) <= _CERTAIN and self._is_regular(kinds)
        self.has_number = self._has_digits or self._is_general or self.is_for_texts

    def _is_regular(self, kinds: list[str]) -> bool:
        """Return whether programs agree on the order of the tokens."""
        if max(map(kinds.count, ("point", "percent"))) > 1:
            return False
        if kinds.count("general") + kinds.count("text") > 1:
            return False
        if not self._tokens and kinds:  # a colour and nothing else
            return False
        if (self._is_general or self.is_for_texts) and not {"digit", "point", "comma"}.isdisjoint(
            kinds
        ):
            return False
        if "comma" in (token.kind for token in self._decimals + self._after):
            return False
        if self._is_grouped and not self._is_plainly_grouped():
            return False
        if "point" in kinds and not self._has_digits:
            return False
        # A fill other than at an end depends on the column's width.
        return all(
            token.kind != "fill" or (token.text == " " and not self._between(at))
            for at, token in enumerate(self._tokens)
        )

    def _between(self, at: int) -> bool:
        """Return whether anything is shown on both sides of a token."""
        before, after = self._tokens[:at], self._tokens[at + 1 :]
        return any(map(_appears, before)) and any(map(_appears, after))

    def _is_plainly_grouped(self) -> bool:
        digits = [at for at, token in enumerate(self._whole) if token.kind == "digit"]
        commas = [at for at, token in enumerate(self._whole) if token.kind == "comma"]
        if not digits or commas[0] < digits[0] or commas[-1] > digits[-1]:
            return False
        inside = self._whole[digits[0] : digits[-1] + 1]
        return all(
            token.kind == "comma" or (token.kind == "digit" and token.text != "?")
            for token in inside
        )

    def _split(self) -> tuple[list[_Token], list[_Token], list[_Token]]:
        """Return the tokens before the decimal point, the decimals, and the tokens after them."""
        kinds = [token.kind for token in self._tokens]
        point = kinds.index("point") if "point" in kinds else len(kinds)
        rest = self._tokens[point + 1 :]
        last = max((at + 1 for at, token in enumerate(rest) if token.kind == "digit"), default=0)
        return self._tokens[:point], rest[:last], rest[last:]

    def _take_scale(self) -> int:
        """Remove the commas after the last whole digit, each of which divides by a thousand."""
        last = max(
            (at for at, token in enumerate(self._whole) if token.kind == "digit"), default=-1
        )
        end = last + 1
        while last >= 0 and end < len(self._whole) and self._whole[end].kind == "comma":
            end += 1
        scale = end - last - 1
        if last >= 0:
            self._whole = self._whole[: last + 1] + self._whole[end:]
        return scale

    def holds(self, value: float) -> bool:
        """Return whether a number satisfies the condition."""
        match = _CONDITION.fullmatch(self.condition)
        if match is None:
            return False
        number = float(match[2])
        return {
            "<": value < number,
            "<=": value <= number,
            ">": value > number,
            ">=": value >= number,
            "=": value == number,
            "<>": value != number,
        }[match[1]]

    def rounds_to_zero(self, value: float) -> bool:
        """Return whether a number is shown as zero."""
        return self._has_digits and self._rounded(abs(value)) == 0

    def render(self, value: float) -> Shown | None:
        """Return the text of a number that is not negative."""
        if self.is_for_texts and len(self._tokens) > 1:
            return None  # Excel shows its literals with a number too, LibreOffice doesn't
        if self._is_general or self.is_for_texts:
            number = general(value)
            if number is None:
                return None
            return Shown(self.framed(number.text), number.is_local)
        if not self._has_digits:
            return Shown(self.framed(""))
        whole, decimals = self._digits(value)
        if self._usual is not None:
            return self._render_usual(*self._usual, whole, decimals)
        text = self._whole_part(whole.lstrip("0"))
        if text is None:
            return None
        is_local = self._is_grouped and "," in text
        if self._has_point:
            shown_decimals = self._decimal_part(decimals)
            if not shown_decimals:  # `0.#`: Excel shows `5.`, LibreOffice 5
                return None
            text += "." + shown_decimals
        text += "".join(map(_bare, self._after))
        return Shown(text, is_local or self._has_point)

    def _usual_shape(self) -> tuple[str, int, str] | None:
        """Return prefix, least number of whole digits, and suffix of a format like nearly all:
        `00000`, `#,##0.00`, `"SH-"0`. They are rendered in a shorter way; None for others.
        """
        places = [at for at, token in enumerate(self._whole) if token.kind == "digit"]
        if not places:
            return None
        first, end = places[0], places[-1] + 1
        digits = "".join(each.text for each in self._whole[first:end] if each.kind == "digit")
        width = digits.count("0")
        between = {token.kind for token in self._whole[first:end]}
        if (
            not between <= {"digit", "comma"}
            or digits != "#" * (len(digits) - width) + "0" * width
            or not 1 <= width <= (1 if self._is_grouped else _MOST_ZEROS)
            or any(token != _Token("digit", "0") for token in self._decimals)
            or self._has_point != bool(self._decimals)
        ):
            return None
        after = [*self._whole[end:], *self._after]
        if self._has_point and self._whole[end:]:
            return None
        return "".join(map(_bare, self._whole[:first])), width, "".join(map(_bare, after))

    def _render_usual(
        self, prefix: str, width: int, suffix: str, whole: str, decimals: str
    ) -> Shown:
        if self._is_grouped:
            whole = f"{int(whole):,}"
            is_local = "," in whole
        else:
            whole, is_local = whole.zfill(width), False
        if not self._has_point:
            return Shown(f"{prefix}{whole}{suffix}", is_local)
        return Shown(f"{prefix}{whole}.{decimals}{suffix}", is_local=True)

    def _digits(self, value: float) -> tuple[str, str]:
        """Return the digits of a number before and after the decimal point."""
        if value == int(value) and not self._percents and not self._scale:
            return str(int(value)), "0" * self._places
        whole, _, decimals = format(self._rounded(value), "f").partition(".")
        return whole, decimals

    def framed(self, content: str) -> str:
        """Return a content between the literals around it; nothing without a place for it."""
        return "".join(
            content if token.kind in {"general", "text"} else _bare(token) for token in self._tokens
        )

    def _rounded(self, value: float) -> Decimal:
        number = Decimal(format(value, f".{MOST_DIGITS}g")).scaleb(
            2 * self._percents - 3 * self._scale
        )
        return number.quantize(Decimal(1).scaleb(-self._places), ROUND_HALF_UP)

    def _whole_part(self, digits: str) -> str | None:
        slots = sum(token.kind == "digit" for token in self._whole)
        if not slots:  # `.00`, which shows whole digits all the same
            return "".join(map(_bare, self._whole)) + digits
        extra, digits = digits[: max(0, len(digits) - slots)], digits[max(0, len(digits) - slots) :]
        blanks = slots - len(digits)
        shown_digits: list[str] = []
        parts: list[str] = []
        padded = False  # from the first 0 on, every place has a digit
        for token in self._whole:
            if token.kind == "comma":
                continue
            if token.kind != "digit":
                parts.append(_bare(token))
                continue
            place = len(shown_digits)
            padded = padded or token.text == "0"
            if padded and token.text != "0" and place < blanks:
                return None  # `0#`: Excel shows 05, LibreOffice 5
            if place >= blanks:
                digit = digits[place - blanks]
            else:
                digit = "0" if padded else {"#": "", "?": " "}[token.text]
            if place == 0:
                digit = extra + digit
            shown_digits.append(digit)
            parts.append(digit)
        if not self._is_grouped:
            return "".join(parts)
        grouped = _grouped("".join(shown_digits))
        first = next(at for at, token in enumerate(self._whole) if token.kind == "digit")
        last = max(at for at, token in enumerate(self._whole) if token.kind == "digit")
        return (
            "".join(map(_bare, self._whole[:first]))
            + grouped
            + "".join(map(_bare, self._whole[last + 1 :]))
        )

    def _decimal_part(self, digits: str) -> str:
        kept = len(digits.rstrip("0"))
        # A place is blank if it and all after it are zero and no 0 of the format follows.
        places = [token.text for token in self._decimals if token.kind == "digit"]
        needed = max((at + 1 for at, place in enumerate(places) if place == "0"), default=0)
        parts, place = [], 0
        for token in self._decimals:
            if token.kind != "digit":
                parts.append(_bare(token))
                continue
            if place < max(kept, needed):
                parts.append(digits[place])
            elif token.text == "?":
                parts.append(" ")
            place += 1
        return "".join(parts)


def general(value: float) -> Shown | None:
    """Return a number that is not negative as `General` shows it; see the module's head."""
    if value == int(value):
        return Shown(str(int(value)))
    text = format(value, f".{MOST_DIGITS}g")
    if "e" in text or len(text) > _LONGEST_GENERAL:
        return None
    return Shown(text, is_local=True)


def _appears(token: _Token) -> bool:
    return (token.kind not in {"skip", "fill"} and _bare(token) != "") or token.kind == "digit"


def _bare(token: _Token) -> str:
    """Return the text of a token that is no digit."""
    if token.kind == "literal":
        return token.text
    if token.kind == "percent":
        return "%"
    return " " if token.kind == "skip" else ""


def _grouped(digits: str) -> str:
    head = len(digits) % 3
    groups = [digits[at : at + 3] for at in range(head, len(digits), 3)]
    return ",".join([digits[:head], *groups] if head else groups)
