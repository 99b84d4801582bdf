"""One table saved in many forms gives one set of patches, or a sentence with the way out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bulk_sync import SheetSettings, check
from bulk_sync.errors import InputError, UsageError
from bulk_sync.model.rows import State
from tests.unit.form_books import book_forms
from tests.unit.form_table import Form
from tests.unit.form_texts import text_forms

FORMS = {**text_forms(), **book_forms()}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_of_the_table_gives_its_patches_or_a_sentence(tmp_path: Path, name: str) -> None:
    form = FORMS[name]
    path = tmp_path / f"showings{form.ending}"
    path.write_bytes(form.content)
    patches, invalid, sentence = outcome(path, form)
    if form.refused and not (form.may_be_read and patches):
        assert form.refused in sentence
        assert not patches
    else:
        assert not sentence
        assert patches == form.patches
        assert invalid == form.invalid


def outcome(path: Path, form: Form) -> tuple[dict[str, object], int, str]:
    """The patches that a push would send, its invalid rows, and why it would be refused."""
    options = {"timezone": "America/Chicago", **form.options}
    try:
        summary = check(SheetSettings(input=path, **options), show=100)
    except (InputError, UsageError) as error:
        return {}, 0, str(error)
    invalid = summary.states.get(State.INVALID, 0)
    if summary.stopped is not None:
        assert summary.stopped.exit_code == 4
        return {}, invalid, str(summary.stopped)
    return {key: json.loads(body) for key, body in summary.patches}, invalid, ""
