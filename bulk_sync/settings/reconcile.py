"""The settings of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, SecretStr, model_validator

from bulk_sync.model.places import column_number
from bulk_sync.secret import check_key
from bulk_sync.settings.comparing import Comparing
from bulk_sync.settings.files import Files
from bulk_sync.settings.history import History
from bulk_sync.settings.outputs import Differences
from bulk_sync.settings.push import rehearse
from bulk_sync.settings.sending import Sending
from bulk_sync.settings.sheet import SheetSettings, not_typed, profile_values
from bulk_sync.settings.target import Target

LEDGER = "ledger"
"""The value of --with for the values that the API last acknowledged."""

# Options about dates, which both sides may have without a zone. The others are about the columns or
# the layout of FILE, or give its cells another meaning than their own, and a text in an export that
# clears a field in FILE is a text that somebody wrote.
_OF_BOTH_SIDES = ("timezone", "date_order", "default_time")

# What a profile of FILE says about the other side too.
_SHARED = frozenset({*_OF_BOTH_SIDES, "map_hints", "aliases"})


class ReconcileSettings(SheetSettings):
    """The settings of `reconcile`: this sheet, the other one, and their common base.

    `there` None is the ledger: that of the checkpoint, or the shared one of `--ledger`.
    `about_target` is False when no address is named: then the ledger's own is meant. `key` is
    needed to send the differences; without sending, a ledger of another key is refused. `command`
    has the words of a command line that only compares, without secrets.
    """

    comparing: Comparing
    there: SheetSettings | None = None
    snapshot: SheetSettings | None = None
    about_target: bool = False
    target: Target = Target()
    sending: Sending = Sending()
    history: History = History()
    outputs: Differences = Differences()
    key: Annotated[SecretStr, AfterValidator(check_key)] | None = None
    command: tuple[str, ...] = ()

    def __init__(self, **values: object) -> None:  # so that type checkers take flat arguments
        super().__init__(**values)

    @classmethod
    def sorted_into_parts(cls, values: Mapping[str, object]) -> dict[str, Any]:
        """Group the values of each part under its name, and add the sheets on the other side."""
        found = super().sorted_into_parts(values)
        comparing: dict[str, Any] = found["comparing"]
        others = {"there": comparing.get("with_"), "snapshot": comparing.get("base")}
        for name, sheet in others.items():
            if name not in found and sheet is not None and sheet != LEDGER:
                found[name] = _other_side(values, comparing) | {"input": sheet}
        named = values.keys() & {"base_url", "target"} or found["target"].get("sandbox")
        found.setdefault("about_target", bool(named or comparing.get("push")))
        rehearse(found)
        return found

    @model_validator(mode="after")
    def _name_a_report(self) -> Self:
        creating = self.creating
        if self.comparing.push and self.there and creating.create_missing and not creating.report:
            raise ValueError(
                "--create-missing with --with OTHER needs --report: the sheet of changes has no "
                "report_id"
            )
        return self

    @property
    def address(self) -> str | None:
        """The base URL that the comparison is about; None for whichever the ledger is of."""
        return self.target.base_url if self.about_target else None

    @property
    def own_folder(self) -> Path:
        """The folder of the checkpoint."""
        return self.files.checkpoint.parent

    @property
    def files(self) -> Files:
        """The files of the job of the sheet here."""
        return Files.of(
            self.reading.input, out=self.outputs.out, checkpoint=self.outputs.checkpoint
        )

    @property
    def changes(self) -> Path | None:
        """The path of the sheet of changes; None if this sheet is pushed itself."""
        if not self.comparing.push or self.there is None:
            return None
        return Files.named_after(self.reading.input, "changes.csv", out=self.outputs.out)


def _other_side(values: Mapping[str, object], comparing: Mapping[str, object]) -> dict[str, object]:
    """Return the settings of a sheet on the other side.

    Its columns are those of its own profile, or of the one that both sides share; columns that
    --map names may be missing from it.
    """
    with_profile = comparing.get("with_profile")
    profile = with_profile or values.get("profile")
    known = profile_values(Path(str(profile))) if profile else {}
    profile_map = known.get("map_hints", {})
    if with_profile is None:
        known = {name: value for name, value in known.items() if name in _SHARED}
        profile_map = _by_name(profile_map)
    given = {name: values[name] for name in _OF_BOTH_SIDES if values.get(name) is not None}
    if comparing.get("with_on_duplicate") is not None:
        given["on_duplicate"] = comparing["with_on_duplicate"]
    hints = _by_name(not_typed(values).get("map_hints", {}))
    bounds = {name: values[name] for name in ("max_problems", "stopping") if name in values}
    return known | given | bounds | {"map_hints": {**profile_map, **hints}}


def _by_name(mapped: Mapping[str, str]) -> dict[str, str]:
    """Return a mapping without the columns that it names by their places in another sheet."""
    return {name: field for name, field in mapped.items() if column_number(name) is None}
