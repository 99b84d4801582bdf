"""The options of the sandbox: its behaviour, and where it is served."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bulk_sync.quantities import Rate, parse_latency, parse_rate
from bulk_sync.sandbox.faults import Fault, parse_fault
from bulk_sync.sandbox.limits import LimitHeaders, LimitStyle
from bulk_sync.settings.option import Form, Option

_LATENCY = Form("latency", "50ms or 1.5s", parse_latency, lambda seconds: f"{seconds * 1000:g}ms")
_LIMIT = Form("rate", "50/s, 600/m or 5000/h", parse_rate)
_FAULTS = Form("fault", "2%:503", parse_fault, collect=tuple)


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """The behaviour of the sandbox."""

    accept_any: Annotated[bool, Option("Create a showing when an unknown key is patched.")] = False
    latency_seconds: Annotated[
        float, Option("Answer after this long.", "50ms", name="latency", form=_LATENCY)
    ] = 0.0
    limit: Annotated[
        Rate | None, Option("Answer 429 beyond N/s, N/m or N/h.", "N/s", form=_LIMIT)
    ] = None
    limit_style: Annotated[LimitStyle, Option("How the limit counts.")] = "token-bucket"
    limit_headers: Annotated[LimitHeaders, Option("The headers about the limit in replies.")] = (
        "retry-after"
    )
    faults: Annotated[
        tuple[Fault, ...],
        Option(
            "Let a share of requests fail: with a status (2%:503), or by reset, timeout, cut or "
            "garbage. Repeatable.",
            "N%:KIND",
            name="fault",
            form=_FAULTS,
        ),
    ] = ()
    seed: Annotated[
        int, Option("The same N gives the same faults for the same keys.", "N", name="seed-random")
    ] = 0
    revoke_after: Annotated[
        int | None, Option("Refuse every key after N requests.", "N", at_least=0)
    ] = None


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The port and the data of the sandbox."""

    port: Annotated[
        int, Option("The port; 0 takes a free one.", "N", at_least=0, at_most=65535)
    ] = 8787
    db: Annotated[Path | None, Option("Keep showings and journal in a file.", "FILE")] = None
    seed: Annotated[Path | None, Option("Load showings from a CSV file.", "FILE")] = None
