"""What a run is told: one model, checked before anything is touched.

Texts such as `50/s`, `15m` and `10%` become numbers here, and the API key becomes a
`SecretStr` that prints as stars.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from bulk_sync.errors import UsageError
from bulk_sync.model import Rate

DEFAULT_BASE_URL = "https://api.northreports.com"
SANDBOX_TARGET = "sandbox:"
"""What a checkpoint notes instead of a base URL when the job went to a sandbox of its own run."""

_PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_rate(text: str) -> Rate:
    """`50/s`, `600/m`, `5000/h` as a rate; ValueError says what would be right."""
    match = re.fullmatch(r"(\d{1,7}(?:\.\d{1,6})?)/([smh])", text.strip(), re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is not a rate: write requests per second, minute or hour, as 50/s, 600/m, 5000/h")
    rate = Rate(float(match[1]), _PERIODS[match[2]])
    if not 1 / 3600 <= rate.per_second <= 100_000:
        raise ValueError(f"{text!r} is out of range: from 1/h to 100000/s")
    return rate


def parse_duration(text: str) -> float:
    """`90`, `90s`, `15m`, `5h30m` as seconds; ValueError says what would be right."""
    match = re.fullmatch(r"(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,7}(?:\.\d{1,3})?)s?)?", text.strip(), re.ASCII)
    if match is None or not any(match.groups()):
        raise ValueError(f"{text!r} is not a duration: write it as 90s, 15m or 5h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def parse_latency(text: str) -> float:
    """`50ms` or `1.5s` in seconds; ValueError says what would be right."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s)", text.strip(), re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is not a latency: write it as 50ms or 1.5s")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


@dataclass(frozen=True, slots=True)
class Share:
    """A bound on rows: a count, or a part of all."""

    count: int | None = None
    percent: float | None = None

    def exceeded_by(self, number: int, total: int) -> bool:
        """True when `number` of `total` rows is more than the bound allows."""
        if self.count is not None:
            return number > self.count
        return number * 100 > (self.percent or 0) * total

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else f"{self.percent:g}%"


def parse_share(text: str) -> Share:
    """`20` or `5%`; ValueError says what would be right."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)(%?)", text.strip(), re.ASCII)
    if match is None or (not match[2] and "." in match[1]) or (match[2] and float(match[1]) > 100):
        raise ValueError(f"{text!r} is neither a number of rows (20) nor a share of them (5%)")
    return Share(percent=float(match[1])) if match[2] else Share(count=int(match[1]))


def is_loopback(host: str) -> bool:
    """True for localhost, 127.0.0.0/8 and ::1."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_base_url(text: str) -> str:
    """The base URL without its trailing slash or `/v1`; ValueError when the key must not travel there."""
    if text == SANDBOX_TARGET:
        return text
    parts = urlsplit(text.strip())
    try:
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"not a base URL: {error}") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError(f"{_without_password(text)!r} is not a base URL: write it as {DEFAULT_BASE_URL}")
    if parts.username or parts.password:
        raise ValueError("a base URL carries no user name or password: the API takes a key (NORTH_API_KEY)")
    if parts.query or parts.fragment:
        raise ValueError(f"{text!r} is not a base URL: leave out what follows ? or #")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(f"{text!r} would send the key unencrypted: use https:// (http:// is for loopback only)")
    return text.strip().rstrip("/").removesuffix("/v1").rstrip("/")


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//***@", url)


def check_key(key: SecretStr) -> SecretStr:
    """The key, when it can travel in a header; ValueError never shows it."""
    text = key.get_secret_value()
    if not re.fullmatch(r"[!-~]{8,512}", text):
        raise ValueError(
            "the API key is not of the form north_sk_live_...: it must be 8 to 512 characters, "
            "without blanks, line breaks or accents"
        )
    return key


class PushSettings(BaseModel):
    """All that `push` is told.

    Times are in seconds. `base_url` is `sandbox:` when the run starts a sandbox of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    input: Path
    base_url: Annotated[str, AfterValidator(check_base_url)] = DEFAULT_BASE_URL
    key: Annotated[SecretStr, AfterValidator(check_key)]
    rate: Rate | None = None
    workers: int = Field(default=16, ge=1, le=500)
    timeout_seconds: float = Field(default=30.0, ge=0.1, le=3600)
    max_attempts: int = Field(default=5, ge=1, le=100)
    retry_for_seconds: float = Field(default=900.0, ge=0, le=7 * 86400)
    max_problems: Share = Share(percent=50)
    limit: int | None = Field(default=None, ge=1)
    out: Path | None = None
    results: Path | None = None
    checkpoint: Path | None = None
    fresh: bool = False
    new_key: bool = False

    @classmethod
    def checked(cls, **values: object) -> Self:
        """Build the settings; raises UsageError with a sentence for each wrong one."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UsageError(_sentences(error)) from None

    @property
    def files(self) -> Files:
        """Where this run's files go."""
        return Files.of(self.input, out=self.out, results=self.results, checkpoint=self.checkpoint)


_OPTIONS = {"timeout_seconds": "--timeout", "retry_for_seconds": "--retry-for", "key": "API key"}


def _sentences(error: ValidationError) -> str:
    parts = []
    for detail in error.errors(include_input=False, include_url=False):
        name = str(detail["loc"][0]) if detail["loc"] else "settings"
        option = _OPTIONS.get(name, "--" + name.replace("_", "-"))
        parts.append(f"{option}: {detail['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts) + "."


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a job, named after its input."""

    results: Path
    failed: Path
    checkpoint: Path

    @classmethod
    def of(
        cls,
        source: Path,
        *,
        out: Path | None = None,
        results: Path | None = None,
        checkpoint: Path | None = None,
    ) -> Files:
        """Beside the input, or all in `out`; `results` and `checkpoint` name theirs outright."""
        folder = source.parent if out is None else out
        stem = source.name if source.suffix.lower() not in {".csv", ".tsv", ".txt"} else source.stem
        return cls(
            results=results or folder / f"{stem}.results.csv",
            failed=folder / f"{stem}.failed.csv",
            checkpoint=checkpoint or folder / f"{stem}.checkpoint.sqlite",
        )


def read_key(key_file: Path | None, environ: Mapping[str, str]) -> SecretStr:
    """The API key from a file, else from NORTH_API_KEY; raises UsageError when there is none.

    A file that others can read is refused: whoever reads it can change clients' data.
    """
    if key_file is None:
        key = environ.get("NORTH_API_KEY", "")
        if not key.strip():
            raise UsageError("No API key: set NORTH_API_KEY, or name a file that holds it with --key-file.")
        return SecretStr(key)
    try:
        mode = key_file.stat().st_mode
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError(f"--key-file {key_file}: others can read this file. Mend it with: chmod 600 {key_file}")
        return SecretStr(key_file.read_text(encoding="utf-8").strip("\r\n"))
    except OSError as error:
        raise UsageError(f"--key-file {key_file}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"--key-file {key_file}: not a text file.") from None
