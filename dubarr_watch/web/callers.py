"""Who asks: the address behind a request, and the host that it was sent to."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers

Address = IPv4Address | IPv6Address
Networks = Sequence[IPv4Network | IPv6Network]

# Whoever sends one of these stands between us and somebody else.
_FORWARDING = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
_TELLING = {name.encode() for name in (*_FORWARDING, "host", "x-forwarded-proto")}


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from.

    Attributes:
        address: The client's; nothing where no address can be told.
        local: It comes from this very machine, and was sent to it by one of its own names.
        origin: Scheme, host and port that the client's browser asked, e.g. `http://nas:8000`.
    """

    address: Address | None
    local: bool
    origin: str

    @property
    def shown(self) -> str:
        """The address as a log has it."""
        return str(self.address) if self.address else "unknown"

    @property
    def neighbourhood(self) -> str:
        """What failures are counted by: an address, of IPv6 the network that one household has."""
        if isinstance(self.address, IPv6Address):
            return str(ipaddress.ip_network((self.address, 64), strict=False))
        return self.shown


def caller_of(scope: Mapping[str, Any], trusted: Networks) -> Caller:
    """Return who sent a request.

    A header is believed only from a trusted proxy. From anybody else it can make a client less
    trusted, never more: whoever forwards is not this machine's own user.

    Args:
        scope: Of ASGI: http or websocket.
        trusted: TRUSTED_PROXIES.
    """
    client = (scope.get("client") or ("", 0))[0]
    told = tuple(one for one in scope["headers"] if one[0] in _TELLING)
    return _caller(client, scope["scheme"], told, tuple(trusted))


@lru_cache(maxsize=64)  # whoever asks often is told apart once
def _caller(
    client: str, scheme: str, told: tuple[tuple[bytes, bytes], ...], trusted: Networks
) -> Caller:
    headers = Headers(raw=list(told))
    peer = _address(client)
    scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
    host = headers.get("host", "")
    address: Address | None
    if _is_in(peer, trusted):
        named = ",".join(headers.getlist("x-forwarded-for")).split(",")
        chain = [word.strip() for word in named if word.strip()]
        address = _client(peer, chain, trusted)
        scheme = _last(headers.getlist("x-forwarded-proto")) or scheme
        host = _last(headers.getlist("x-forwarded-host")) or host
        at_home = bool(chain) and _is_loopback(peer) and _is_loopback(address)
    else:
        address = peer
        direct = not any(name in headers for name in _FORWARDING)
        at_home = direct and _is_loopback(peer)
    return Caller(address, at_home and _names_this_machine(host), f"{scheme}://{host}".lower())


def _client(peer: Address | None, chain: Sequence[str], trusted: Networks) -> Address | None:
    """Return the right-most address that is no trusted proxy's."""
    found = peer
    for word in reversed(chain):
        found = _address(word)
        if not _is_in(found, trusted):
            break
    return found


def _address(text: str) -> Address | None:
    bare = text.strip().strip('"')
    if bare.startswith("["):  # [2001:db8::1]:4711
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:  # 192.0.2.1:4711
        bare = bare.partition(":")[0]
    try:
        found = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _is_in(address: Address | None, networks: Networks) -> bool:
    return address is not None and any(
        address.version == network.version and address in network for network in networks
    )


def _is_loopback(address: Address | None) -> bool:
    return address is not None and address.is_loopback


def _last(values: Sequence[str]) -> str:
    return values[-1].rpartition(",")[2].strip() if values else ""


def _names_this_machine(host: str) -> bool:
    """Tell whether a Host header has a loopback name: a foreign page that lets its own name point
    here (DNS rebinding) cannot send one."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(_address(name))
