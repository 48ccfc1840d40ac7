"""Asking ffprobe and ffmpeg something, for so long and so many words at most."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from dubarr_watch.media.holding import handles_in
from dubarr_watch.settings import child_environment

_PIECE_BYTES = 65_536
_WORDS_BYTES = 65_536
"""How much of standard error is kept: its end."""


class TooMuchSaid(Exception):
    """A program wrote more than anybody will read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program said.

    Attributes:
        code: Its exit status.
        out: Its standard output.
        words: The end of its standard error.
    """

    code: int
    out: bytes
    words: bytes


def ask(command: Sequence[str], *, within_s: float, most_bytes: int) -> Answer:
    """Run a program to its end; it and all that it started are ended when it takes too long.

    Args:
        command: Program and arguments.
        within_s: Time to answer in.
        most_bytes: What it may write to standard output.

    Raises:
        OSError: It cannot be started.
        TimeoutError: It did not end in time.
        TooMuchSaid: It wrote more.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(),
        pass_fds=handles_in(command),
        start_new_session=True,
    )
    with process:
        try:
            return _hear(process, time.monotonic() + within_s, most_bytes)
        finally:
            end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a session, and what it started, unless it has ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def _hear(process: subprocess.Popen[bytes], until_s: float, most_bytes: int) -> Answer:
    out, words = bytearray(), bytearray()
    with selectors.DefaultSelector() as pipes:
        for pipe, kept in ((process.stdout, out), (process.stderr, words)):
            if pipe is not None:
                pipes.register(pipe, selectors.EVENT_READ, kept)
        while pipes.get_map():
            ready = pipes.select(_left_s(until_s))
            for key, _ in ready:
                piece = os.read(key.fd, _PIECE_BYTES)
                key.data.extend(piece)
                if not piece:
                    pipes.unregister(key.fileobj)
            del words[:-_WORDS_BYTES]
            if len(out) > most_bytes:
                raise TooMuchSaid
    try:
        code = process.wait(_left_s(until_s))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return Answer(code, bytes(out), bytes(words))


def _left_s(until_s: float) -> float:
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
