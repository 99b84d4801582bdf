"""What a person writes in ten minutes: the csv module, one AsyncClient, 32 tasks; no checks, no
retries, no record.

python -m tests.benchmarks.plain_httpx SHEET BASE_URL
"""

from __future__ import annotations

import asyncio
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx

TASKS = 32


async def send(client: httpx.AsyncClient, rows: Iterator[dict[str, str]]) -> None:
    for row in rows:
        key = row.pop("unique_showing_key")
        reply = await client.patch(f"/v1/showings/{key}", json=row)
        reply.raise_for_status()


async def main() -> None:
    sheet, base_url = sys.argv[1:]
    # Blocking, as people write it.
    with Path(sheet).open(encoding="utf-8", newline="") as file:  # noqa: ASYNC230
        rows = iter(csv.DictReader(file))
        async with httpx.AsyncClient(
            base_url=base_url, headers={"Authorization": "Bearer north_sk_test_1"}
        ) as client:
            await asyncio.gather(*(send(client, rows) for _ in range(TASKS)))


if __name__ == "__main__":
    asyncio.run(main())
