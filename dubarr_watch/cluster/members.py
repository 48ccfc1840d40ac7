"""Who is in the cluster: workers as the page, the figures and the daemon see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.crew import Card, Member
from dubarr_watch.errors import LeaseError
from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.gpu.leases import LeaseBroker
from dubarr_watch.gpu.wishes import Wish

VRAM, CPU = "vram_mib", "cpu"


def members_of(
    workers: Mapping[str, Mapping[str, Any]], processing: Mapping[str, Sequence[Any]]
) -> list[Member]:
    """Return the workers that Dask's scheduler names, by address.

    Args:
        workers: As of `Client.scheduler_info`.
        processing: As of `Client.processing`.
    """
    found = []
    for address, told in workers.items():
        ours = told.get("dubarr")
        if not ours:
            continue  # somebody else's worker, or one that is not ready yet
        cards = tuple(
            Card(one["uuid"], one["name"], one["index"], one["total_mib"]) for one in ours["gpus"]
        )
        offers = {name: float(value) for name, value in told["resources"].items()}
        tasks = tuple(str(key) for key in processing.get(address, ()))
        found.append(Member(address, ours["machine"], cards, offers, tasks))
    return sorted(found, key=lambda one: one.address)


def asked(
    kind: str, spec: EngineSpec, members: Sequence[Member], broker: LeaseBroker
) -> dict[str, float]:
    """Return what a task asks for: what the lease of its engine would ask.

    MiB of a GPU where a worker has so many, as the user says, as was measured there, as estimated;
    else a turn on the CPU. While nobody is there, the GPU that it would like best is waited for.

    Raises:
        LeaseError: No worker that is there can run it.
    """
    need = spec.need
    if need is None:
        return {CPU: 1.0}
    wish = Wish(kind, need.mib, model=need.name, cpu=need.cpu)
    fits = [
        on_it
        for member in members
        for card in member.cards
        if (on_it := broker.mib_on(wish, _gpu(card))) <= member.offers.get(VRAM, 0.0)
    ]
    if fits:
        return {VRAM: float(max(fits))}
    mib = broker.rules.engine_mib.get(kind, need.mib)
    if not members:
        return {VRAM: float(mib)}
    if need.cpu and broker.rules.cpu_fallback:
        return {CPU: 1.0}
    raise LeaseError(
        f"The {kind} ({need.name}) needs {mib} MiB of GPU memory, and no worker of the "
        f"cluster has so much.",
        hint="Start a worker on a larger GPU, choose a smaller model, or set CPU_FALLBACK=true.",
    )


def able(asks: Mapping[str, float], members: Sequence[Member]) -> list[Member]:
    """Return the workers that have what a task asks for."""
    return [
        one
        for one in members
        if all(one.offers.get(name, 0.0) >= value for name, value in asks.items())
    ]


def _gpu(card: Card) -> Gpu:
    return Gpu(card.index, card.uuid, card.name, "", card.total_mib, 0, card.total_mib)
