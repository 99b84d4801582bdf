"""HTML by construction: what is not `Html` already is escaped, so that no text becomes an element.

Characters that no reader sees and that a browser acts on (controls, marks that turn the direction
of writing) are shown as their escapes. JSON for a `<script>` block keeps every text exactly, and
holds no character that ends the block, begins a comment or breaks a line.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata

_VOID = frozenset({"br", "col", "input", "link", "meta"})

_JOINERS = "\u200c\u200d"
"""Part of words in Persian and Indic scripts, and of emoji; harmless."""


class Html(str):
    """Text that is markup."""

    __slots__ = ()


def shown(text: str) -> str:
    """A text as a page shows it: what is invisible or turns the direction of writing becomes its
    escape.
    """
    return "".join(
        character if _is_harmless(character) else _escape(character) for character in text
    )


def _is_harmless(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in {
        "Cc",
        "Cf",
        "Zl",
        "Zp",
        "Cs",
    }


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def escaped(text: str) -> Html:
    """A text as markup; markup stays what it is."""
    return text if isinstance(text, Html) else Html(html.escape(shown(text)))


def join(*parts: str | None) -> Html:
    """Texts and markup, one after the other; None is nothing."""
    return Html("".join(escaped(part) for part in parts if part is not None))


def element(name: str, /, *inside: str | None, **attributes: str | float | None) -> Html:
    """An element around texts and markup; `class_` is `class`, `aria_label` is `aria-label`, and
    None is left out.
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(shown(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{told}>" if name in _VOID else f"<{name}{told}>{join(*inside)}</{name}>")


_UNSAFE = re.compile("[<>&\u007f-\u009f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def json_text(value: object) -> Html:
    """JSON that can stand in a `<script type="application/json">`; every text comes back exactly."""
    return Html(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", _encode(value)))
