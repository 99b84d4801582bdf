"""Sentences for pydantic's errors."""

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


def explained(detail: ErrorDetails, *, noun: str = "", right: str = "") -> str:
    """Return what is wrong with a value.

    `noun` names what is expected, where that is more than a type; `right` ends a sentence about a
    type with what would be right.
    """
    kind, given = detail["type"], detail["input"]
    context: Mapping[str, Any] = detail.get("ctx", {})
    shown = repr(given) if isinstance(given, (str, int, float)) else "this"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        choices = str(context["expected"]).replace("'", "").replace(" or ", ", ")
        return f"{shown} is not one of {choices}"
    if kind == "greater_than_equal":
        return f"{shown} is less than {context['ge']}"
    if noun:
        return f"{shown} is not {noun}"
    for prefix, expected in _NOUNS.items():
        if kind.startswith(prefix):
            return f"{shown} is not {expected}{right}"
    return f"{shown} is of another type"
