"""Which workers of a cluster can run which engine, and what one more would bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dubarr_watch.cluster.members import VRAM, able, asked
from dubarr_watch.cluster.orders import Peaks, stays
from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.crew import Card, Member
from dubarr_watch.engines.specs import EngineSpecs
from dubarr_watch.errors import LeaseError
from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.gpu.leases import LeaseBroker
from dubarr_watch.gpu.wishes import Rules
from dubarr_watch.settings import Separation, Settings

DIVIDED = frozenset({"transcribe", "translate", "synthesize"})
"""Stages of one film that several workers do at a time; every other one is done by one of them."""

_STAGES = {
    "separator": ("separate",), "transcriber": ("transcribe",), "diarizer": ("diarize",),
    "translator": ("correct", "analyse", "translate"), "synthesizer": ("synthesize",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Staffed:
    """An engine, and who can run it.

    Attributes:
        kind: Its seam.
        name: Engine and model.
        here: It holds a key, and so stays with the daemon.
        mib: GPU memory that it asks for; 0 where it computes on the CPU.
        workers: Addresses of those who can.
        why: Why nobody can.
    """

    kind: str
    name: str
    here: bool
    mib: int
    workers: tuple[str, ...]
    why: str = ""

    def row(self, count: int) -> tuple[str, str, str, str]:
        """Return it as a row of the plan's table: stage, engine, where, memory."""
        if self.here:
            return self.kind, self.name, "this machine", "-"
        where = f"{len(self.workers)} of {count} {'worker' if count == 1 else 'workers'}"
        return self.kind, self.name, where, f"{self.mib} MiB" if self.mib else "-"


def staffed(
    specs: EngineSpecs, members: Sequence[Member], settings: Settings, learned: Mapping[str, int]
) -> list[Staffed]:
    """Return who can run each engine, in the order of the stages.

    Args:
        specs: Engines of the profile in use.
        members: Workers.
        settings: CPU_FALLBACK, ENGINE_MIB, SEPARATION.
        learned: Peak in MiB that was measured, by engine and model.
    """
    peaks = Peaks()
    for card in {card.name for member in members for card in member.cards}:
        for model, mib in learned.items():
            peaks.keep(model, card, mib)
    broker = LeaseBroker((), Rules.of(settings), needs=peaks)
    names = {need.kind: need.name for need in specs.needs}
    found = []
    for kind in _STAGES:
        spec: EngineSpec | None = getattr(specs, kind)
        if spec is None or (kind == "separator" and settings.separation is Separation.NEVER):
            continue
        name = names.get(kind, spec.target.rpartition(":")[2])
        if stays(spec):
            found.append(Staffed(kind, name, True, 0, ()))
            continue
        try:
            asks = asked(kind, spec, members, broker)
        except LeaseError as error:
            found.append(Staffed(kind, name, False, 0, (), error.message))
            continue
        who = tuple(one.address for one in able(asks, members))
        found.append(Staffed(kind, name, False, round(asks.get(VRAM, 0.0)), who))
    return found


def with_one_more(members: Sequence[Member]) -> list[Member]:
    """Return the workers and one with a card like the largest of them, or like any of them."""
    best = max(members, key=lambda one: one.offers.get(VRAM, 0.0), default=None)
    if best is None:
        return described([Gpu(0, "", "12 GB", "", 12 * 1024, 0, 12 * 1024)], 512)
    return [*members, Member("one more", "one more", best.cards, best.offers)]


def described(cards: Sequence[Gpu], margin_mib: int) -> list[Member]:
    """Return a worker for each described card."""
    return [
        Member(
            f"described-{one.index}",
            f"described-{one.index}",
            (Card(one.uuid, one.name, one.index, one.total_mib),),
            {VRAM: float(one.total_mib - margin_mib), "cpu": 1.0},
        )
        for one in cards
    ]


def gained(
    seconds: Mapping[str, float], now: Sequence[Staffed], more: Sequence[Staffed]
) -> dict[str, float]:
    """Return seconds of each stage with more workers, at best: what is divided is divided further.

    Args:
        seconds: As they were with the workers of now.
        now: Who can run which engine.
        more: The same with more workers.
    """
    better = dict(seconds)
    for before, after in zip(now, more, strict=True):
        for stage in DIVIDED & {*_STAGES[before.kind]} & {*seconds}:
            better[stage] = (
                seconds[stage] * max(1, len(before.workers)) / max(1, len(after.workers))
            )
    return better
