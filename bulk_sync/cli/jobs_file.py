"""Read a jobs file: the jobs of one run, each with its files, its team's key and its options.

    [defaults]
    rate = "5/s"

    [[job]]
    name = "vale"
    files = ["vale/*.csv", "vale/inbox"]
    key-file = "keys/vale"
    team = "Vale Realty"

Options have the names and values that they have in `bulk-sync.toml`. A job's own win over the
defaults, and both over the environment and the user's settings file. Paths, and files by name,
folder or pattern, are relative to the folder of the jobs file. It decides which key goes where, so
that it is read from the user's configuration folder or by name, never because it lies somewhere.
"""

from __future__ import annotations

import difflib
import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bulk_sync.batch import is_sheet
from bulk_sync.cli.config import checked_value, known_name, parsed
from bulk_sync.errors import UsageError
from bulk_sync.settings.option import Declared, Kind
from bulk_sync.settings.target import without_key_source
from bulk_sync.wording import listed

FILE_NAME = "bulk-sync.jobs.toml"

_MOST_JOBS = 10_000
_OWN = ("name", "files")
# Keys that people write for `files`.
_MEANS_FILES = frozenset({"file", "sheet-file", "sheets", "input", "inputs", "path", "paths"})
_PATTERN = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Entry:
    """A job of the file: the files that it names, and its options by keyword."""

    name: str
    files: tuple[Path, ...]
    given: Mapping[str, Any]


def jobs_file(named: Path | None, user_folder: Path | None) -> Path:
    """Return the file to read; raises UsageError if there is none."""
    if named is not None:
        return named
    found = None if user_folder is None else user_folder / FILE_NAME
    if found is not None and found.exists():
        return found
    here = f" {FILE_NAME} in this folder is read only by name:" if Path(FILE_NAME).exists() else ""
    raise UsageError(
        f"no jobs file: there is no {found or FILE_NAME}.{here or ' Name one:'} --jobs {FILE_NAME}"
    )


def read_jobs(
    path: Path,
    options: Sequence[Declared],
    for_run: Mapping[str, str],
    elsewhere: Mapping[str, Any],
) -> tuple[Entry, ...]:
    """Return the jobs of a file in its order.

    `options` are those of a push; `for_run` has those that only the whole run has, and what to do
    instead; `elsewhere` are the options, by keyword, of the environment and settings files. Raises
    UsageError.
    """
    content = parsed(path)
    kinds = {one.name: one.kind for one in options}
    keywords = {one.name: one.keyword for one in options}
    for key in content:
        if key not in {"defaults", "job"}:
            raise UsageError(f"{path}: {key}: a jobs file has [defaults] and [[job]], nothing else")
    reader = _Reader(path, kinds, keywords, for_run)
    defaults = reader.options(_table(content.get("defaults", {}), path, "[defaults]"), "[defaults]")
    defaults = without_key_source(elsewhere, defaults) | defaults
    jobs = content.get("job", [])
    if not isinstance(jobs, list) or not jobs:
        raise UsageError(f"{path}: no jobs: write [[job]] with name and files for each")
    if len(jobs) > _MOST_JOBS:
        raise UsageError(f"{path}: {len(jobs):,} jobs; at most {_MOST_JOBS:,} can run")
    entries = [
        reader.entry(_table(job, path, f"[[job]] {number}"), number, defaults)
        for number, job in enumerate(jobs, start=1)
    ]
    seen: set[str] = set()
    for entry in entries:
        if entry.name in seen:
            raise UsageError(f"{path}: two jobs are named {entry.name}: give each its own")
        seen.add(entry.name)
    return tuple(entries)


def chosen(entries: Sequence[Entry], names: Sequence[str], path: Path) -> tuple[Entry, ...]:
    """Return the jobs of these names, in the order of the file; all without names.

    Raises UsageError for an unknown one, with the closest name.
    """
    known = [entry.name for entry in entries]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f": did you mean {close[0]}?" if close else f"; it has {_some(known)}"
            raise UsageError(f"{path} has no job {name}{hint}")
    return tuple(entry for entry in entries if not names or entry.name in names)


def _some(names: Sequence[str]) -> str:
    return listed(names, 5)


def _table(value: object, path: Path, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise UsageError(f"{path}: {where} must be a table")
    return value


@dataclass(frozen=True, slots=True)
class _Reader:
    path: Path
    kinds: Mapping[str, Kind]
    keywords: Mapping[str, str]
    for_run: Mapping[str, str]

    def options(self, table: Mapping[str, object], where: str) -> dict[str, Any]:
        """Return the options of a table by keyword."""
        found: dict[str, Any] = {}
        for key, value in table.items():
            name = key.replace("_", "-")
            if name in self.for_run:
                raise UsageError(f"{self.path}: {where}: {name} is {self.for_run[name]}")
            if name in _MEANS_FILES and name not in self.kinds:
                raise UsageError(
                    f"{self.path}: {where}: {key} is not a setting: name the sheets with "
                    'files = ["showings.csv"] in each [[job]]'
                )
            name = known_name(key, self.kinds, f"{self.path}: {where}")
            kind = self.kinds[name]
            one = checked_value(name, value, kind, f"{self.path}: {where}", self._folder)
            found[self.keywords[name]] = Path(str(one)) if kind is Kind.PATH else one
        return found

    def entry(self, table: Mapping[str, object], number: int, defaults: Mapping[str, Any]) -> Entry:
        name = table.get("name")
        if not isinstance(name, str) or not name.strip():
            raise UsageError(f'{self.path}: [[job]] {number} has no name: write name = "..."')
        where = f"job {name}"
        own = self.options({k: v for k, v in table.items() if k not in _OWN}, where)
        # A job's own key source takes the place of the default one.
        defaults = without_key_source(defaults, own)
        return Entry(name.strip(), self._files(table.get("files"), where), {**defaults, **own})

    def _files(self, value: object, where: str) -> tuple[Path, ...]:
        many = [value] if isinstance(value, str) else value
        if not isinstance(many, list) or not many or not all(isinstance(one, str) for one in many):
            raise UsageError(
                f"{self.path}: {where}: files takes names, folders or patterns, such as "
                'files = ["vale/*.csv"]'
            )
        found = [path for one in many for path in self._matching(one)]
        return tuple(dict.fromkeys(found))

    def _matching(self, text: str) -> list[Path]:
        named = Path(text).expanduser()
        path = self._folder / named
        if path.exists() or not _PATTERN & set(text):
            return [path]
        fixed = next(one for one in named.parents if not _PATTERN & set(str(one)))
        if not (self._folder / fixed).is_dir():
            return [self._folder / fixed]  # a misspelt name is no night without sheets
        # glob, because a pattern may have an absolute path, which Path.glob refuses. The folder of
        # the jobs file is no part of the pattern: its own name may have brackets.
        names = glob.glob(str(named), root_dir=self._folder, recursive=True)  # noqa: PTH207
        found = (self._folder / name for name in sorted(names))
        return [one for one in found if one.is_dir() or is_sheet(one)]

    @property
    def _folder(self) -> Path:
        return self.path.absolute().parent
