"""Turn pydantic's errors into sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# The expected kind of value, by the prefix of the type of an error.
_NOUNS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "path": "a path",
    "string": "a text",
    "dict": "a table",
    "list": "a list",
    "model": "a table",
}


def explain(detail: ErrorDetails, *, noun: str = "", range_hint: str = "") -> str:
    """Return a sentence about an invalid value.

    `noun` names the expected value if that is more than a type. `range_hint` ends a sentence about
    a type.
    """
    kind, given = detail["type"], detail["input"]
    context: Mapping[str, Any] = detail.get("ctx", {})
    shown = _shown(given)
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        choices = str(context["expected"]).replace("'", "").replace(" or ", ", ")
        return f"{shown} is not one of {choices}"
    if kind == "greater_than_equal":
        return f"{shown} is less than {context['ge']}: write {context['ge']} or more"
    if noun:
        return f"{shown} is not {noun}"
    for prefix, expected in _NOUNS.items():
        if kind.startswith(prefix):
            return f"{shown} is not {expected}{range_hint}"
    return f"{shown} is of another type"


# Characters of a value that a message repeats.
_LONGEST_VALUE = 200


def _shown(given: object) -> str:
    if isinstance(given, str):
        return repr(given if len(given) <= _LONGEST_VALUE else f"{given[:_LONGEST_VALUE]}...")
    # A number of more digits than Python writes can't be given: reading it fails.
    return repr(given) if isinstance(given, int | float) else "this"
