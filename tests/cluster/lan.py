"""Networks of namespaces, joined by a bridge: each a machine of its own, whose link can be cut."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


class Lan:
    """Namespaces that see each other and this machine; without any, the loopback.

    Attributes:
        address: Of this machine in it.
    """

    def __init__(self, count: int) -> None:
        self._name = f"db{os.getpid() % 1_000_000}"
        self._net = f"10.{64 + os.getpid() % 64}.{os.getpid() // 64 % 256}"
        self.count = count
        self.address = f"{self._net}.1" if count else "127.0.0.1"

    def prefix(self, number: int) -> list[str]:
        """Return how a program is started in one of them."""
        return ["ip", "netns", "exec", f"{self._name}n{number}"] if self.count else []

    def cut(self, number: int) -> None:
        """Cut one of them off: what is sent is lost, and nobody is told."""
        _ip("link", "set", f"{self._name}v{number}", "down")

    def join(self, number: int) -> None:
        """Connect it again."""
        _ip("link", "set", f"{self._name}v{number}", "up")

    def make(self) -> None:
        """Make the bridge and the namespaces."""
        _ip("link", "add", self._name, "type", "bridge")
        _ip("addr", "add", f"{self.address}/24", "dev", self._name)
        _ip("link", "set", self._name, "up")
        for n in range(self.count):
            inside, link = f"{self._name}n{n}", f"{self._name}v{n}"
            _ip("netns", "add", inside)
            _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", inside)
            _ip("link", "set", link, "master", self._name, "up")
            _ip("-n", inside, "addr", "add", f"{self._net}.{10 + n}/24", "dev", "eth0")
            _ip("-n", inside, "link", "set", "eth0", "up")
            _ip("-n", inside, "link", "set", "lo", "up")

    def remove(self) -> None:
        """Remove what there is of them."""
        for n in range(self.count):
            _try("netns", "del", f"{self._name}n{n}")
        _try("link", "del", self._name)


@contextmanager
def lan(count: int) -> Iterator[Lan]:
    """Make a network of so many namespaces for the length of a `with` block.

    Raises:
        CalledProcessError: This machine does not allow it.
    """
    made = Lan(count)
    try:
        if count:
            made.make()
        yield made
    finally:
        if count:
            made.remove()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _try(*words: str) -> None:
    subprocess.run(["ip", *words], check=False, capture_output=True)
