"""The commands that send nothing. Each returns its exit code."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bulk_sync import batch
from bulk_sync.address import without_secrets
from bulk_sync.cli import next_step
from bulk_sync.cli.collector import start_collector
from bulk_sync.cli.declare import Given
from bulk_sync.cli.followed import show
from bulk_sync.cli.keys import describe, key_or_error
from bulk_sync.cli.parts import Examining, Following
from bulk_sync.cli.streams import err, out, show_failure, standard_output
from bulk_sync.clock import SystemClock
from bulk_sync.errors import OutputError, UsageError
from bulk_sync.job.leftover import JobPlace
from bulk_sync.jobs import purge, read_status, read_summary, write_again
from bulk_sync.model.estimates import KnownPace
from bulk_sync.model.summaries import CheckSummary
from bulk_sync.pipeline import check as run_check
from bulk_sync.platforms import why_refused
from bulk_sync.report.terminal.progress import reading as reading_rows
from bulk_sync.run.dated import as_last_named, of_last_run
from bulk_sync.run.rows import Judgement
from bulk_sync.run.send import seconds_left
from bulk_sync.run.shared_limit import known_pace
from bulk_sync.secret import SANDBOX_KEY
from bulk_sync.settings.composed import part
from bulk_sync.settings.creating import Creating
from bulk_sync.settings.files import Files
from bulk_sync.settings.inbox import Inbox
from bulk_sync.settings.option import Declared
from bulk_sync.settings.outputs import Outputs, Preview, Purging
from bulk_sync.settings.push import PushSettings
from bulk_sync.settings.sending import Sending
from bulk_sync.settings.sheet import SheetSettings
from bulk_sync.settings.stopping import Stopping
from bulk_sync.settings.target import Target
from bulk_sync.settings.together import Together


def check(given: Mapping[str, Any]) -> int:
    """Check one or several sheets."""
    from bulk_sync.report.terminal.checked import show_check, show_check_json

    start_collector()
    files: Sequence[Path] = given["files"]
    settings = SheetSettings.of(given, input=files[0])
    if len(files) > 1 or batch.is_folder(files[0]):
        return _check_all(settings, files, given)
    summary = _check_one(settings, None, given, _known_pace(part(Target, given)))
    with standard_output():
        if part(Following, given).json:
            show_check_json(out(), summary)
        else:
            show_check(out(), summary, next_step.after_check(summary))
    if summary.stopped is not None:
        show_failure(str(summary.stopped))
    return summary.exit_code


def _check_one(
    settings: SheetSettings, judgement: Judgement | None, given: Mapping[str, Any], known: KnownPace
) -> CheckSummary:
    preview = part(Preview, given)
    with reading_rows(err(), str(settings.reading.input)) as on_rows:
        return run_check(
            settings,
            show=preview.show,
            save_profile=preview.save_profile,
            on_rows=on_rows,
            known=known,
            window_seconds=_window_seconds(settings.stopping),
            job=_place_of_job(settings.reading.input, given),
            judgement=judgement,
        )


def _check_all(settings: SheetSettings, files: Sequence[Path], given: Mapping[str, Any]) -> int:
    from bulk_sync.report.as_json import checked_batch_json, json_line
    from bulk_sync.report.facts import reason_of
    from bulk_sync.report.terminal.checked import show_checks

    outputs = part(Outputs, given)
    for option in ("save_profile", "checkpoint"):
        if given.get(option) is not None:
            raise UsageError(
                f"--{option.replace('_', '-')} names one file, and several sheets are checked: "
                "check one of them with it"
            )
    known = _known_pace(part(Target, given))
    found = batch.check(
        files,
        settings,
        part(Inbox, given),
        lambda one, judgement: _check_one(one, judgement, given, known),
        lambda file: Files.of(file, out=outputs.out).checkpoint,
        SystemClock(),
        lambda name: reading_rows(err(), name),
    )
    with standard_output():
        if part(Following, given).json:
            out().file.write(json_line(checked_batch_json(found)))
        else:
            show_checks(out(), found)
    for one in found.parts:
        if (why := reason_of(one)) is not None:
            show_failure(why)
    return found.exit_code


def _place_of_job(file: Path, given: Mapping[str, Any]) -> JobPlace | None:
    """Return where the job of a sheet would be; None for standard input, which has none."""
    outputs = part(Outputs, given)
    if str(file) == "-" and outputs.checkpoint is None:
        return None
    files = Files.of(file, out=outputs.out, checkpoint=outputs.checkpoint)
    return JobPlace(files.checkpoint, part(Target, given).base_url)


def _known_pace(target: Target) -> KnownPace:
    """Return the API's limits for this key, as last known to runs on this host."""
    key = key_or_error(target)
    return KnownPace() if isinstance(key, UsageError) else known_pace(target.base_url, key)


def _window_seconds(stopping: Stopping) -> float | None:
    """Return the seconds that a push would have; None without a bound."""
    window = seconds_left(stopping, SystemClock())
    return None if math.isinf(window) else window


def status(given: Mapping[str, Any]) -> int:
    """Show the state of a job; return the exit code that says where it stands."""
    files, sheet = files_of(given, as_named=True), given["file"]
    # A checkpoint and standard input name no sheet.
    named = str(sheet) != "-" and not is_sqlite(sheet)
    summary = read_status(files, sheet) if named else read_summary(files)
    show(summary, part(Following, given))
    return summary.exit_code


def report(given: Mapping[str, Any]) -> int:
    """Write the reports of a job again."""
    files = files_of(given)
    with_purge, with_ledger = part(Outputs, given).purge, part(Purging, given).purge_ledger
    if with_ledger and not with_purge:
        raise UsageError("--purge-ledger goes with --purge.")
    summary = purge(files, with_ledger=with_ledger) if with_purge else write_again(files)
    show(summary, part(Following, given), exit_code=0)
    return 0


def files_of(given: Mapping[str, Any], *, as_named: bool = False) -> Files:
    """Return the files of a job, from the name of its input or its checkpoint.

    Those that aren't named have their default names, or `as_named` those of the last run.
    """
    file: Path = given["file"]
    outputs = part(Outputs, given)
    source, checkpoint = file, outputs.checkpoint
    if checkpoint is None and is_sqlite(file):
        stem = file.name.removesuffix(".sqlite").removesuffix(".checkpoint")
        source, checkpoint = file.with_name(f"{stem}.csv"), file
    job = Files.of(source, out=outputs.out, checkpoint=checkpoint).checkpoint
    outputs = of_last_run(outputs, job, SystemClock())
    files = Files.of(
        source,
        out=outputs.out,
        results=outputs.results,
        checkpoint=checkpoint,
        page=outputs.page,
        with_cells=outputs.with_cells,
    )
    return as_last_named(files, outputs) if as_named else files


def is_sqlite(file: Path) -> bool:
    """Return True for a checkpoint, whatever its name, and for one that is still empty."""
    by_name = file.name.endswith(".checkpoint.sqlite")
    try:
        if not file.is_file():  # opening a pipe would wait for its writer
            return by_name
        with file.open("rb") as opened:
            return opened.read(16) == b"SQLite format 3\0" or by_name
    except OSError:
        return by_name


def sandbox(given: Mapping[str, Any]) -> int:
    """Serve until a signal ends it."""
    start_collector()
    from bulk_sync.cli.sandbox import run_sandbox
    from bulk_sync.sandbox.behaviour import Behaviour, Serving

    run_sandbox(out(), part(Behaviour, given), part(Serving, given))
    return 0


def doctor(given: Given, options: Sequence[Declared], of_run: Sequence[Declared]) -> int:
    """Show the settings and the findings; return the exit code that a push would have.

    `options` are those of push, `of_run` those of run. Values from the environment and files are
    validated as in a push. Raises UsageError.
    """
    from bulk_sync.doctor import Subject, examine
    from bulk_sync.report.terminal.doctor import show_findings, show_findings_json

    start_collector()
    elsewhere = {
        one.keyword: given.elsewhere[one.name].value
        for one in options
        if one.name in given.elsewhere
    }
    values = elsewhere | dict(given.values)
    # Only for its errors: the file need not exist, and the real key is a finding of its own.
    PushSettings.of({**values, "key": SANDBOX_KEY}, input="showings.csv")
    part(Inbox, values)
    following = part(Following, values)
    target = part(Target, values)
    key = key_or_error(target)
    settings = [("key", *describe(key, target))]
    settings += [_setting(option, given) for option in options]
    folder = part(Outputs, values).out or Path()
    if part(Together, given.values).dask is not None:
        from bulk_sync.cli.running import examine_cluster

        findings = list(examine_cluster(given, options, of_run))
    else:
        findings = list(
            examine(Subject(target, key, part(Sending, values), part(Creating, values), folder))
        )
    with standard_output():
        if following.json:
            show_findings_json(out(), settings, findings)
        else:
            show_findings(
                out(), settings, findings, all_settings=part(Examining, given.values).verbose > 0
            )
    return next((finding.exit_code for finding in findings if finding.exit_code), 0)


def _setting(option: Declared, given: Given) -> tuple[str, str, str]:
    """Return the name of a setting, its value as it is typed, and its source."""
    found = given.elsewhere.get(option.name)
    value, source = (
        (option.default_text, "default") if found is None else (found.value, found.source)
    )
    if option.keyword in given.typed:
        value, source = given.values[option.keyword], "command line"
    if option.name == "base-url":
        value = without_secrets(str(value))
    elif option.name in {"on-finish", "key-command"} and value:
        value = "set"  # a command may have a token in it
    shown = ", ".join(value) if isinstance(value, list) else option.option.text_of(value)
    return option.name, shown, source


def init(options: Sequence[Declared], *, for_user: bool) -> int:
    """Write a settings file in which every setting is commented out.

    Only the user's own file may set what is not about the sheet.
    """
    from bulk_sync.cli.config import FILE_NAME, template
    from bulk_sync.folders import config_folder

    folder = config_folder() if for_user else Path()
    if folder is None:
        raise UsageError("there is no home folder for this user: set XDG_CONFIG_HOME to a folder")
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        raise UsageError(f"{path} exists already; it was left as it is") from None
    except OSError as error:
        raise OutputError(f"{path}: {why_refused(error)}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        path.chmod(0o644)  # the umask may let the group write, and `config` refuses such a file
        file.write(template(one for one in options if for_user or one.about_sheet))
    with standard_output():
        out().print(
            f"Wrote {path}: remove the # from what you want to set; bulk-sync doctor shows the "
            "settings in effect."
        )
    return 0
