"""Pass TCP connections on to another address, and note which showings are patched through it.

    python -m tests.benchmarks.forwarder HOST PORT TO_HOST TO_PORT [NOTES]

A sandbox listens on loopback only, and a client sends without TLS to loopback only; so in network
namespaces one of these stands at each end of the way. A line of NOTES is an instant of the
machine's monotonic clock, and a key: when a client here sent a patch, wherever it has got to.
"""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import suppress
from pathlib import Path

from bulk_sync.clock import SystemClock

_PATCH = re.compile(rb"PATCH /v1/showings/(\S+) HTTP")


async def serve(host: str, port: int, to: tuple[str, int], notes: Path | None) -> None:
    """Forward connections until this process ends."""
    clock, pumps = SystemClock(), set[asyncio.Task[None]]()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opening = asyncio.create_task(asyncio.open_connection(*to))

        async def bring_back() -> None:
            with suppress(OSError):
                await pump((await opening)[0], writer)

        pumps.add(asyncio.create_task(bring_back()))
        with suppress(OSError):
            while data := await reader.read(65536):
                if notes is not None:
                    now = clock.monotonic()
                    with notes.open("a", encoding="utf-8") as file:
                        file.writelines(f"{now} {key.decode()}\n" for key in _PATCH.findall(data))
                there = (await opening)[1]
                there.write(data)
                await there.drain()
            (await opening)[1].close()
        writer.close()

    server = await asyncio.start_server(forward, host, port)
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    host, port, to_host, to_port, *rest = sys.argv[1:]
    asyncio.run(serve(host, int(port), (to_host, int(to_port)), Path(rest[0]) if rest else None))
