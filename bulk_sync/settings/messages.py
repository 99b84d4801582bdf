"""The sentences about values that are no settings, with the option as it is typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from bulk_sync.settings.option import Declared, declared

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_SUBJECTS = {"key": "API key"}
_NOUNS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "path": "a path",
    "string": "a text",
}
"""What is expected, by the beginning of pydantic's type of error."""


def sentences(error: ValidationError, parts: Mapping[str, type]) -> str:
    """Return a sentence for each wrong value; `parts` are those of the model, by name.

    One part that is validated by itself has the name "".
    """
    said = [_sentence(detail, parts) for detail in error.errors(include_url=False)]
    return "; ".join(dict.fromkeys(said)).rstrip(".")


def _sentence(detail: ErrorDetails, parts: Mapping[str, type]) -> str:
    place = [str(step) for step in detail["loc"]]
    part = parts[""] if "" in parts else parts.get(place[0]) if place else None
    names = place if "" in parts else place[1:]
    if part is not None and names:
        option = next((one for one in declared(part) if one.field == names[0]), None)
        return _about(option.flag if option else names[0], detail, option)
    if not place:
        return said(detail, None)
    if detail["type"] == "extra_forbidden":
        return _unknown(place[0], parts.values())
    return _about(place[0], detail, None)


def _about(name: str, detail: ErrorDetails, option: Declared | None) -> str:
    subject = _SUBJECTS.get(name, name)
    if detail["type"] == "missing":
        return f"{subject} is missing"
    return f"{subject}: {said(detail, option)}"


def said(detail: ErrorDetails, option: Declared | None) -> str:
    """Translate one of pydantic's errors: what is wrong, and what would be right."""
    kind, given = detail["type"], detail["input"]
    context: Mapping[str, Any] = detail.get("ctx", {})
    shown = repr(given) if isinstance(given, (str, int, float)) else "this"
    right = option.option.right() if option else ""
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error" and option is not None:
        return f"{shown} is not one of {', '.join(option.choices)}"
    if option is not None and option.option.form is not None:
        form = option.option.form
        return f"{shown} is not a {form.noun}, such as {form.such_as}"
    for prefix, noun in _NOUNS.items():
        if kind.startswith(prefix):
            return f"{shown} is not {noun}{right}"
    return f"{shown} is of another type"


def _unknown(name: str, parts: Iterable[type]) -> str:
    known = [one.keyword for part in parts for one in declared(part)]
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f": did you mean {close[0]}?" if close else ""
    return f"{name} is not a setting{hint}"
