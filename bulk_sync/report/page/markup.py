"""Build HTML: every text that is not `Html` is escaped, so that it can't become markup.

Invisible characters that a browser acts on (controls, marks that change the direction of writing)
are shown as escapes. JSON for a `<script>` block keeps every text exactly, without characters that
would end the block, begin a comment or break a line.
"""

from __future__ import annotations

import html
import json
import re

from bulk_sync.report.words import printable

_VOID = frozenset({"br", "col", "input", "link", "meta"})

# Zero-width joiner and non-joiner are harmless parts of Persian and Indic words and of emoji.
_JOINERS = "\u200c\u200d"


class Html(str):
    """Text that is markup."""

    __slots__ = ()


def shown(text: str) -> str:
    """Return a text as a page shows it: invisible characters become their escapes."""
    return printable(text, keep=_JOINERS)


def cut(text: str, most: int) -> str:
    """Return at most `most` characters of a text, with an ellipsis if it was cut."""
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


# May end the script or begin a comment, breaks a line, is invisible, or can't be encoded in UTF-8.
_UNSAFE = re.compile("[<>&\u007f-\u009f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def json_text(value: object) -> Html:
    """Return JSON for a `<script type="application/json">` that parses to the exact value."""
    return Html(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", _encode(value)))
