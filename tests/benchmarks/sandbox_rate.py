"""How many PATCHes a second one sandbox serves, journal and all.

    python -m tests.benchmarks.sandbox_rate [SECONDS]

The load is bare sockets, each with one request under way, so that the client costs little; the
figure is a lower bound.
"""

from __future__ import annotations

import asyncio
import sys
import time

from tests.helpers import KEY, sandbox_process

CONNECTIONS = 16
BODY = b'{"feedback":"Loved the light","rating":4,"interested":true}'


async def keep_patching(port: int, name: int, until: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    while time.monotonic() < until:  # noqa: TID251 - a benchmark measures real time
        head = (
            f"PATCH /v1/showings/ext_{name}_{count} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
        )
        writer.write(head.encode() + BODY)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        length = next(
            int(line[15:])
            for line in answer.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        await reader.readexactly(length)
        count += 1
    writer.close()
    return count


async def load(port: int, seconds: float) -> int:
    until = time.monotonic() + seconds  # noqa: TID251 - same
    return sum(
        await asyncio.gather(*(keep_patching(port, name, until) for name in range(CONNECTIONS)))
    )


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    with sandbox_process("--accept-any") as witness:
        served = asyncio.run(load(int(witness.base_url.rpartition(":")[2]), seconds))
        stats = witness.get("/_sandbox/stats")
    assert stats["applied"] == served, stats
    print(
        f"{served / seconds:,.0f} PATCHes a second from one sandbox ({served:,} in {seconds:g} s)"
    )


if __name__ == "__main__":
    main()
