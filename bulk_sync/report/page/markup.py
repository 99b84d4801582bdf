"""HTML by construction: any text that is not `Html` is escaped, so that none becomes an element.

Characters that no reader sees and that a browser acts on (controls, marks that change the
direction of writing) are shown as their escapes. JSON for a `<script>` block keeps every text
exactly, without a character that would end the block, begin a comment or break a line.
"""

from __future__ import annotations

import html
import json
import re

from bulk_sync.report.words import printable

_VOID = frozenset({"br", "col", "input", "link", "meta"})

# Zero-width (non-)joiners: part of Persian and Indic words and of emoji, and harmless.
_JOINERS = "\u200c\u200d"


class Html(str):
    """Text that is markup."""

    __slots__ = ()


def shown(text: str) -> str:
    """Return a text as a page shows it: invisible characters become their escapes."""
    return printable(text, keep=_JOINERS)


def cut(text: str, most: int) -> str:
    """Return a text of at most that many characters; an ellipsis ends one that was cut."""
    return text if len(text) <= most else text[: most - 1] + "…"


def escaped(text: str) -> Html:
    """Return a text as markup; markup stays as it is."""
    return text if isinstance(text, Html) else Html(html.escape(shown(text)))


def join(*parts: str | None) -> Html:
    """Join texts and markup; None is left out."""
    return Html("".join(escaped(part) for part in parts if part is not None))


def element(name: str, /, *inside: str | None, **attributes: str | float | None) -> Html:
    """Return an element with texts and markup inside.

    `class_` is the attribute `class`, `aria_label` is `aria-label`; None is left out.
    """
    listed = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(shown(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(
        f"<{name}{listed}>" if name in _VOID else f"<{name}{listed}>{join(*inside)}</{name}>"
    )


_UNSAFE = re.compile("[<>&\u007f-\u009f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def json_text(value: object) -> Html:
    """Return JSON for a `<script type="application/json">`; every text comes back exactly."""
    return Html(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", _encode(value)))
