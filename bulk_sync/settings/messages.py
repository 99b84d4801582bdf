"""Turn pydantic's errors into sentences that name the option as it is typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from bulk_sync.settings.option import Declared, declared
from bulk_sync.similar import closest
from bulk_sync.validation import explain

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_SUBJECTS = {"key": "API key"}


def sentences(error: ValidationError, parts: Mapping[str, type]) -> str:
    """Return a sentence for each wrong value; `parts` are those of the model, by name.

    One part that is validated by itself has the name "".
    """
    found = [_sentence(detail, parts) for detail in error.errors(include_url=False)]
    return "; ".join(dict.fromkeys(found)).rstrip(".")


def _sentence(detail: ErrorDetails, parts: Mapping[str, type]) -> str:
    place = [str(step) for step in detail["loc"]]
    part = parts[""] if "" in parts else parts.get(place[0]) if place else None
    names = place if "" in parts else place[1:]
    if part is not None and names:
        option = next((one for one in declared(part) if one.field == names[0]), None)
        return _about(option.flag if option else names[0], detail, option)
    if not place:
        return _explain(detail, None)
    if detail["type"] == "extra_forbidden":
        return _unknown(place[0], parts.values())
    return _about(place[0], detail, None)


def _about(name: str, detail: ErrorDetails, option: Declared | None) -> str:
    subject = _SUBJECTS.get(name, name)
    if detail["type"] == "missing":
        return f"{subject} is missing"
    return f"{subject}: {_explain(detail, option)}"


def _explain(detail: ErrorDetails, option: Declared | None) -> str:
    if option is None:
        return explain(detail)
    form = option.option.form
    noun = f"a {form.noun}, such as {form.such_as}" if form else ""
    return explain(detail, noun=noun, range_hint=option.option.range_hint())


def _unknown(name: str, parts: Iterable[type]) -> str:
    known = [one.keyword for part in parts for one in declared(part)]
    close = closest(name, known)
    hint = f": did you mean {close[0]}?" if close else ""
    return f"{name} is not a setting{hint}"
