"""Workers on other machines, as far as anybody but the cluster has to know of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU of a worker.

    Attributes:
        uuid: NVML's.
        name: What its maker calls it.
        index: NVML's index on its machine.
        total_mib: All that can be used.
    """

    uuid: str
    name: str
    index: int
    total_mib: int


@dataclass(frozen=True, slots=True)
class Member:
    """A worker.

    Attributes:
        address: Where it listens.
        machine: Name of its host.
        cards: Its GPUs; usually one, or none.
        offers: What it announced: `vram_mib`, `cpu`.
        tasks: What it does or is to do next, by name.
    """

    address: str
    machine: str
    cards: tuple[Card, ...]
    offers: Mapping[str, float]
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Crew:
    """All workers at a moment; an empty one where engines run on this machine.

    Attributes:
        scheduler: Its address; empty without a cluster.
        reachable: Whether it answers.
        members: Who is there.
        wanted: How many workers could be busy now, for autoscalers.
        lost: How many were lost since the start.
    """

    scheduler: str = ""
    reachable: bool = True
    members: Sequence[Member] = field(default_factory=tuple)
    wanted: int = 0
    lost: int = 0
