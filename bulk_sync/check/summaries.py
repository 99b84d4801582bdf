"""Rows that sum up others, as spreadsheet programs and people write them below a table. Pure."""

from __future__ import annotations

import re
from typing import Final

# By the text without case, blanks and punctuation.
_WORDS: Final = frozenset(
    {
        # English
        *("total", "totals", "grandtotal", "overalltotal", "subtotal", "subtotals", "sum", "sums"),
        *("average", "averages", "avg", "mean", "median", "count", "counta", "rowcount"),
        *("minimum", "maximum", "totalrows", "totalcount", "totalshowings", "totalaverage"),
        # German, French, Spanish and Portuguese, Italian, Dutch
        *("summe", "gesamt", "gesamtsumme", "gesamtergebnis", "zwischensumme", "mittelwert"),
        *("durchschnitt", "anzahl", "insgesamt"),
        *("somme", "soustotal", "totalgénéral", "moyenne", "nombre"),
        *("suma", "soma", "totalgeneral", "totalgeral", "totales", "totais", "promedio", "média"),
        *("totale", "totalegenerale", "subtotale", "somma"),
        *("totaal", "eindtotaal", "subtotaal", "gemiddelde", "aantal"),
    }
)
_FIRST: Final = frozenset(word[0] for word in _WORDS)
_LONGEST: Final = 40


def is_summary(key: str) -> bool:
    """Return True for a text that names a sum: `Total`, `Grand Total:`; False for `Total-17`."""
    # The first letter first, because many keys come here.
    if key[:1].lower() not in _FIRST or len(key) > _LONGEST:
        return False
    return re.sub(r"[\W_]+", "", key.casefold()) in _WORDS
