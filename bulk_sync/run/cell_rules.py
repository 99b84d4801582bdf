"""The rules for cells that follow from the settings of a sheet, and their digest.

Two runs on one file make the same patches exactly if their digests are equal.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from contextvars import ContextVar
from dataclasses import asdict
from zoneinfo import ZoneInfo

import tzlocal
from msgspec import Struct

from bulk_sync.check.naming import existing_field
from bulk_sync.check.rules import Rules
from bulk_sync.check.showing import FIELDS
from bulk_sync.errors import UsageError
from bulk_sync.run.derivations import derivations_of
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.reading import Reading
from bulk_sync.version import __version__

# Suffix of the digest of a sheet whose failed rows begin with a byte order mark.
_BYTE_ORDER_MARK = " byte-order-mark"


home_zone: ContextVar[str | None] = ContextVar("home_zone", default=None)
"""The time zone of the machine on which a job was started, where it runs on another one."""


class CellRules(Struct, frozen=True):
    """The rules for cells; `zone_name` is None if this machine's time zone has no name."""

    rules: Rules
    zone_name: str | None


def rules_of(meaning: Meaning) -> CellRules:
    """Return the rules for cells; raises UsageError for a field that does not exist."""
    zone_name = meaning.timezone or home_zone.get() or local_zone_name()
    # Both hold: a field's own text is one more that clears it.
    own = {_clearable(name): token.strip() for name, token in meaning.field_clears.items()}
    for name, token in own.items():
        if not token:
            raise UsageError(
                f'the text that clears {name} is blank; a profile says so with blank = "clear"'
            )
    general = {meaning.clear.strip()} if meaning.clear else set()
    tokens = {name: general | ({own[name]} if name in own else set()) for name in FIELDS}
    clear = {name: frozenset(texts) for name, texts in tokens.items() if texts}
    rules = Rules(
        timezone=None if zone_name is None else ZoneInfo(zone_name),
        order=meaning.date_order or "mdy",
        order_given=meaning.date_order is not None,
        default_time=meaning.default_time,
        clear=clear,
        blank_clears=frozenset(map(_clearable, meaning.blank_clears)),
        scale=meaning.scale,
        derivations=derivations_of(meaning),
    )
    return CellRules(rules, zone_name)


def _clearable(name: str) -> str:
    """Return the field of this name; raises UsageError for one that can't be cleared."""
    field = existing_field(name)
    if field not in FIELDS:
        raise UsageError(f"{field} names the showing or its report, so no cell can clear it")
    return field


def digest_of_settings(
    reading: Reading, meaning: Meaning, zone_name: str | None, encoding: str | None
) -> str:
    """Return a digest of the settings and the version that turn the cells into patches.

    `encoding` is the one that the file was read in, None for a workbook.
    """
    settings = _deciding(reading, meaning) | {"timezone": zone_name}
    text = json.dumps([__version__, settings], sort_keys=True)
    digest = f"{__version__} {hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return digest if encoding == "UTF-8" else digest + _BYTE_ORDER_MARK


# Settings of later versions, left out where they are not used.
_LATER = ("rows", "where", "values", "constants", "templates")


def wants_byte_order_mark(digest: str) -> bool:
    """Return True when the failed rows of a sheet begin with a byte order mark.

    Excel reads a CSV file without one in the machine's own encoding and garbles it. Input in plain
    UTF-8 gets plain UTF-8 back; for a workbook or any other encoding, the user is assumed to open
    the file in a spreadsheet program.
    """
    return digest.endswith(_BYTE_ORDER_MARK)


def _deciding(reading: Reading, meaning: Meaning) -> dict[str, object]:
    """Return the settings that affect patches."""
    # Checkpoints hold a digest of exactly these names and values. Keep them when settings move or
    # are renamed: otherwise every job would be staged again.
    values = asdict(reading) | asdict(meaning)
    clear = {"": meaning.clear} if meaning.clear else {}
    values["clear"] = clear | meaning.field_clears
    time = meaning.default_time
    values["default_time"] = None if time is None else time.isoformat()
    # Headers, and options without effect, only refuse a sheet; they change no patch.
    without = {"input", "profile", "field_clears", "headers_seen", "for_all_sheets"}
    without |= {name for name in _LATER if not values[name]}
    return {name: values[name] for name in values.keys() - without}


def local_zone_name() -> str | None:
    """Return the name of this machine's time zone; None if it has none."""
    with warnings.catch_warnings():
        # tzlocal warns about its guesses; the run lists the zone among its assumptions anyway.
        warnings.simplefilter("ignore")
        try:
            return tzlocal.get_localzone().key
        except (LookupError, ValueError, OSError, AttributeError):
            return None
