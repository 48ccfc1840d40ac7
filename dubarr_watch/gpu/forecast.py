"""How long a film hour will take with a plan: from what stages took here, and on what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dubarr_watch.errors import WrongUsage
from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.gpu.placement import Plan

_KINDS = {
    "transcribe": "transcriber", "diarize": "diarizer", "separate": "separator",
    "correct": "translator", "analyse": "translator", "translate": "translator",
    "synthesize": "synthesizer",
}  # fmt: skip

SHARED = frozenset({
    "extract", "separate", "transcribe", "diarize", "lines", "voices", "correct", "references",
})  # fmt: skip
"""Stages that all languages of a video share."""

_REST = "the rest"
_CARD = re.compile(r"(?:(\d+)\s*x\s*)?(\d+(?:\.\d+)?)\s*(GB|GIB|MIB|MB)", re.IGNORECASE)
_MIB = {"GB": 1024, "GIB": 1024, "MB": 1, "MIB": 1}
_MOST_CARDS = 64


@dataclass(frozen=True, slots=True)
class Forecast:
    """What an hour of film takes.

    Attributes:
        film_s: Seconds until one film hour in one language is dubbed, when nothing else runs.
        next_language_s: Seconds for each further language of it.
        queue_s: Seconds that each hour of a long queue takes, with as many jobs as the plan says.
        bottleneck: Which device is busy all that time.
    """

    film_s: float
    next_language_s: float
    queue_s: float
    bottleneck: str


def forecast(plan: Plan, seconds: Mapping[str, float]) -> Forecast:
    """Return what a plan makes of the time that stages take.

    Stages of one job follow each other. With two jobs at a time, one job's stages run while the
    other's use another device, so that a queue goes as fast as its busiest device.

    Args:
        plan: Where stages run.
        seconds: Seconds of each stage an hour of film, in one language.
    """
    busy: dict[str, float] = {}
    for stage, taken in seconds.items():
        device = _device(plan, stage)
        busy[device] = busy.get(device, 0.0) + taken
    film_s = sum(seconds.values())
    bottleneck = max(busy, key=lambda device: busy[device], default=_REST)
    alone = plan.jobs < 2 or len(busy) < 2
    return Forecast(
        film_s=film_s,
        next_language_s=sum(taken for stage, taken in seconds.items() if stage not in SHARED),
        queue_s=film_s if alone else max(busy[bottleneck], film_s / plan.jobs),
        bottleneck=bottleneck,
    )


def cards_from(text: str) -> list[Gpu]:
    """Return the cards that a person describes, as in `12GB, 8GB` or `2x24GB`.

    Makers call 1024 MiB a GB.

    Raises:
        WrongUsage: It describes no cards.
    """
    sizes: list[int] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        found = _CARD.fullmatch(word)
        if found is None:
            raise WrongUsage(
                f"'{word}' describes no card.", hint='Write them as in: --cards "12GB,8GB"'
            )
        count, size, unit = found.groups()
        sizes += int(count or 1) * [round(float(size) * _MIB[unit.upper()])]
        if len(sizes) > _MOST_CARDS:
            raise WrongUsage(f"At most {_MOST_CARDS} cards can be planned for.")
    if not sizes:
        raise WrongUsage("No card is described.", hint='Write them as in: --cards "12GB,8GB"')
    return [card(index, mib) for index, mib in enumerate(sizes)]


def card(index: int, mib: int) -> Gpu:
    """Return an imagined card."""
    return Gpu(index, f"imagined-{index}", f"{mib / 1024:g} GB", "", mib, 0, mib)


def one_more(cards: Sequence[Gpu]) -> list[Gpu]:
    """Return the cards and one like the largest of them; 12 GB where there is none."""
    largest = max((gpu.total_mib for gpu in cards), default=12 * 1024)
    return [*cards, card(max((gpu.index for gpu in cards), default=-1) + 1, largest)]


def _device(plan: Plan, stage: str) -> str:
    placed = plan.of(_KINDS.get(stage, ""))
    if placed is None:
        return _REST if stage not in _KINDS else "CPU"
    if placed.gpu is not None:
        return f"GPU {placed.gpu.index} ({placed.gpu.name})"
    return "CPU" if placed.where == "cpu" else "a service"
