"""An answer goes out in as few calls of the system as it can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from dubarr_watch.web.connections import Corked

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


class Wire:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.sent.append(b"closed")

    def set_protocol(self, protocol: object) -> None:
        self.sent.append(b"handed over")


def sent_by(speak: Callable[[Any], object]) -> list[list[bytes]]:
    """Return what was sent at once, and what when the loop had done what it was at."""

    async def go() -> list[list[bytes]]:
        wire = Wire()
        speak(Corked(wire, asyncio.get_running_loop()))  # type: ignore[arg-type]
        at_once = [*wire.sent]
        await asyncio.sleep(0)
        return [at_once, wire.sent]

    return asyncio.run(go())


def test_a_head_goes_out_with_its_body() -> None:
    assert sent_by(lambda to: (to.write(HEAD), to.write(b"body"), to.write(b""))) == [
        [HEAD + b"body"], [HEAD + b"body"],
    ]  # fmt: skip


def test_a_head_alone_waits_no_longer_than_what_is_being_done() -> None:
    assert sent_by(lambda to: to.write(HEAD)) == [[], [HEAD]]


def test_two_answers_stay_in_order() -> None:
    first, second = HEAD + b"body", HEAD + b"more"
    assert (
        sent_by(lambda to: [to.write(part) for part in (HEAD, b"body", HEAD, b"more", b"last")])
        == [[first, second, b"last"]] * 2
    )


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (lambda to: to.close(), b"closed"),
        (lambda to: to.set_protocol(asyncio.Protocol()), b"handed over"),
    ],
)
def test_nothing_is_held_back_at_the_end(end: Callable[[Any], object], told: bytes) -> None:
    assert sent_by(lambda to: (to.write(HEAD), end(to))) == [[HEAD, told]] * 2
