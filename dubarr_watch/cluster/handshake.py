"""The shared secret of a cluster: who does not know it gets no word in.

Dask runs whatever it is sent, so a check that comes after its own handshake would come too late.
This one stands before it, on every connection between scheduler, workers and daemons, in both
directions, and with TLS inside of TLS. The caller sends a number that was never used before; the
other answers with one of its own and a proof that it knows the secret, and gets such a proof back:
HMAC-SHA-256 (RFC 2104) over both numbers and who proves it. Without TLS nobody can join, but who
sits on the wire can read and change what follows.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from typing import Any

import structlog
from distributed.comm import get_address_host
from distributed.comm.core import FatalCommClosedError
from distributed.comm.registry import backends
from distributed.comm.tcp import (
    BaseTCPBackend,
    TCPBackend,
    TCPConnector,
    TCPListener,
    TLSBackend,
    TLSConnector,
    TLSListener,
)
from tornado.iostream import IOStream, StreamClosedError

log = structlog.get_logger(__name__)

STRANGERS_S = 60.0
"""Who was refused within so long is named to whoever asks; a worker tries again all the time."""

_refused: dict[str, float] = {}

GREETING = b"dubarr-watch 1\n"
_NUMBER = 32
_PROOF = hashlib.sha256().digest_size
_PATIENCE_S = 10.0


def use_secret(secret: str) -> None:
    """Let every connection that this process makes or takes begin with the handshake.

    Args:
        secret: CLUSTER_SECRET; the same in the whole cluster.
    """
    key = hashlib.sha256(secret.encode()).digest()
    backends["tcp"] = _backend(TCPBackend, TCPConnector, TCPListener, key)
    backends["tls"] = _backend(TLSBackend, TLSConnector, TLSListener, key)


def strangers() -> list[str]:
    """Return the hosts that called this process lately and did not know the secret."""
    now = time.monotonic()
    return sorted(host for host, at_s in _refused.items() if now - at_s < STRANGERS_S)


def _backend(backend: Any, connector: Any, listener: Any, key: bytes) -> BaseTCPBackend:
    told: set[str] = set()

    class Connector(connector):  # type: ignore[misc]
        async def connect(self, address: str, deserialize: bool = True, **more: Any) -> Any:
            comm = await super().connect(address, deserialize, **more)
            try:
                await asyncio.wait_for(_call(comm.stream, key), _PATIENCE_S)
            except (StreamClosedError, TimeoutError, PermissionError) as error:
                comm.abort()
                words = f"{address} has another CLUSTER_SECRET."
                if address not in told:
                    told.add(address)
                    log.warning("not let in", reason=words)
                raise FatalCommClosedError(words) from error
            except asyncio.CancelledError:
                comm.abort()
                raise
            return comm

    class Listener(listener):  # type: ignore[misc]
        async def _prepare_stream(self, stream: IOStream, address: str) -> IOStream | None:
            stream = await super()._prepare_stream(stream, address)
            if stream is None:
                return None
            try:
                await asyncio.wait_for(_answer(stream, key), _PATIENCE_S)
            except (StreamClosedError, TimeoutError, PermissionError):
                _refused[get_address_host(address)] = time.monotonic()
                log.warning("stranger refused", address=address, note="wrong CLUSTER_SECRET")
                stream.close()
                return None
            return stream

    class Guarded(backend):  # type: ignore[misc]
        _connector_class = Connector
        _listener_class = Listener

    guarded: BaseTCPBackend = Guarded()
    return guarded


async def _call(stream: IOStream, key: bytes) -> None:
    """Prove the secret to who was called, and have it proved."""
    ours = secrets.token_bytes(_NUMBER)
    await stream.write(GREETING + ours)
    answer = await stream.read_bytes(_NUMBER + _PROOF)
    theirs, proof = answer[:_NUMBER], answer[_NUMBER:]
    if not hmac.compare_digest(proof, _proof(key, b"called", ours, theirs)):
        raise PermissionError
    await stream.write(_proof(key, b"caller", ours, theirs))


async def _answer(stream: IOStream, key: bytes) -> None:
    """Prove the secret to a caller, and have it proved."""
    greeting = await stream.read_bytes(len(GREETING) + _NUMBER)
    if not greeting.startswith(GREETING):
        raise PermissionError
    theirs, ours = greeting[len(GREETING) :], secrets.token_bytes(_NUMBER)
    await stream.write(ours + _proof(key, b"called", theirs, ours))
    proof = await stream.read_bytes(_PROOF)
    if not hmac.compare_digest(proof, _proof(key, b"caller", theirs, ours)):
        raise PermissionError


def _proof(key: bytes, who: bytes, callers: bytes, called: bytes) -> bytes:
    return hmac.new(key, who + callers + called, "sha256").digest()
