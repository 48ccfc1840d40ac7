"""Where a dub has voice, as it is heard; after a change only around what changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dubarr_watch.dubbing.timeline import PlacedTake, write_speech
from dubarr_watch.engines.base import Span

Hear = Callable[[Path], list[Span]]
"""Returns where a recording has voice."""

_AROUND_S = 2.0
"""What decides on voice hears this much before and behind a change."""

_MARGIN_S = 0.2
"""What is voice begins a little before a take and ends a little behind it."""

_TOUCH_S = 0.02


@dataclass(frozen=True, slots=True)
class DubVoice:
    """Where a dub has voice.

    Attributes:
        takes: What is heard of it.
        duration_s: Length of the video.
        engine: What decided on it.
        spans: In order.
    """

    takes: list[PlacedTake]
    duration_s: float
    engine: str
    spans: list[Span]


def find_voice(
    takes: Sequence[PlacedTake],
    duration_s: float,
    engine: str,
    hear: Hear,
    recording: Path,
    before: DubVoice | None = None,
) -> DubVoice:
    """Find out where a dub has voice.

    Args:
        takes: What is heard of it.
        duration_s: Length of the video.
        engine: What `hear` asks.
        hear: Decides.
        recording: Where the dub alone is written, as far as it is to be heard.
        before: What was found of the dub before it was changed.
    """
    stretches = [Span(0.0, duration_s)]
    found: list[Span] = []
    if before is not None and (before.engine, before.duration_s) == (engine, duration_s):
        stretches = _stretches(before.takes, takes, duration_s)
        found = _outside(before.spans, stretches)
    for stretch in stretches:
        some = [
            replace(take, start_s=take.start_s - stretch.start_s)
            for take in takes
            if _meet(_span_of(take), stretch)
        ]
        write_speech(some, stretch.duration_s, recording)
        found += [
            Span(span.start_s + stretch.start_s, span.end_s + stretch.start_s)
            for span in hear(recording)
        ]
    return DubVoice(list(takes), duration_s, engine, _joined(found))


def _stretches(
    before: Sequence[PlacedTake], now: Sequence[PlacedTake], duration_s: float
) -> list[Span]:
    """Return what is to be heard again, in order; no take reaches over their ends."""
    changed = [_span_of(take) for take in set(before) ^ set(now)]
    all_takes = [_span_of(take) for take in {*before, *now}]
    found: list[Span] = []
    for span in sorted(changed, key=lambda span: span.start_s):
        start_s, end_s = span.start_s - _AROUND_S, span.end_s + _AROUND_S
        for take in sorted(all_takes, key=lambda take: -take.end_s):
            if take.start_s < start_s < take.end_s:
                start_s = take.start_s
        for take in sorted(all_takes, key=lambda take: take.start_s):
            if take.start_s < end_s < take.end_s:
                end_s = take.end_s
        before_s = max((take.end_s for take in all_takes if take.end_s <= start_s), default=0.0)
        behind_s = min((t.start_s for t in all_takes if t.start_s >= end_s), default=duration_s)
        start_s = max(start_s - _MARGIN_S, (before_s + start_s) / 2, 0.0)
        end_s = min(end_s + _MARGIN_S, (behind_s + end_s) / 2, duration_s)
        if found and start_s < found[-1].end_s:
            last = found.pop()
            start_s, end_s = last.start_s, max(last.end_s, end_s)
        found.append(Span(start_s, end_s))
    return found


def _outside(spans: Sequence[Span], stretches: Sequence[Span]) -> list[Span]:
    """Return what of spans lies in none of some stretches."""
    left = list(spans)
    for stretch in stretches:
        parts = [
            part
            for span in left
            for part in (
                Span(span.start_s, min(span.end_s, stretch.start_s)),
                Span(max(span.start_s, stretch.end_s), span.end_s),
            )
        ]
        left = [part for part in parts if part.end_s > part.start_s]
    return left


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Return spans in order, those that touch each other as one."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start_s):
        if found and span.start_s - found[-1].end_s <= _TOUCH_S:
            found[-1] = Span(found[-1].start_s, max(found[-1].end_s, span.end_s))
        else:
            found.append(span)
    return found


def _span_of(take: PlacedTake) -> Span:
    return Span(take.start_s, take.start_s + take.duration_s)


def _meet(one: Span, other: Span) -> bool:
    return one.start_s < other.end_s and other.start_s < one.end_s
