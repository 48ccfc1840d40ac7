"""Sends a webhook over many connections at once, from a process of its own, and prints the times.

python burst.py HOST PORT HEADER AT_ONCE TIMES < BODY
"""

from __future__ import annotations

import asyncio
import json
import sys
import time


async def _one(
    host: str, port: int, request: bytes, times: int, connected: asyncio.Barrier
) -> list[float]:
    reader, writer = await asyncio.open_connection(host, port)
    await connected.wait()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        took.append(time.perf_counter() - began)
        assert head.startswith(b"HTTP/1.1 202"), head
    writer.close()
    return took


async def _all(host: str, port: int, header: str, at_once: int, times: int) -> list[float]:
    body = sys.stdin.buffer.read()
    head = (
        f"POST /webhook HTTP/1.1\r\nHost: {host}:{port}\r\n{header}\r\nContent-Length: {len(body)}"
    )
    request = f"{head}\r\nContent-Type: application/json\r\n\r\n".encode() + body
    connected = asyncio.Barrier(at_once)
    calls = [_one(host, port, request, times, connected) for _ in range(at_once)]
    return [one for took in await asyncio.gather(*calls) for one in took]


if __name__ == "__main__":
    host, port, header, at_once, times = sys.argv[1:]
    found = asyncio.run(_all(host, int(port), header, int(at_once), int(times)))
    sys.stdout.write(json.dumps(found))
