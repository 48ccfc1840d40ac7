"""Rooms of the original, and which lines of a dub are to sound as if they were said in them.

Listened to is the voice apart from the rest, scene by scene: a film has many rooms, and two people
who talk with each other are mostly in one. Where that does not say clearly that a room rings, the
dub stays dry, to the sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile

from dubarr_watch.dubbing.balance import MixLine
from dubarr_watch.dubbing.reverberation import decay_times, telling
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import Span
from dubarr_watch.errors import JobCancelled

AUDIBLE_S, LONGEST_S = 0.45, 1.6
"""Decay times between which a room is believed.

Without a room, eight people who read into a microphone measure 0.18 s together (alone, from two or
three decays, up to 0.41 s), Kokoro 0.24 s, espeak-ng 0.38 s; what rings for longer than any room
where films are spoken is music.
"""

LEAST_DECAYS = 5
"""So few tell a room: of dry decays one in five or six is as long, so four of five hardly ever."""

ALIKE = 0.7
"""A dub that rings by itself for this share of the room's time needs no more: clones may do so."""

_SCENE_GAP_S = 5.0
_LONGEST_SCENE_S = 180.0
_LISTEN_AFTER_S = 1.0
_LONGEST_LINE_S = 20.0
_TAKES_HEARD = 20


@dataclass(frozen=True, slots=True)
class Room:
    """A stretch of the original that was said in a room.

    Attributes:
        span: From the first line's start to the last one's end.
        decay_s: Time in which its sound falls by 60 dB.
    """

    span: Span
    decay_s: float


def find_rooms(
    voice: Path, lines: Sequence[Line], cancelled: Callable[[], bool] = lambda: False
) -> list[Room]:
    """Return the rooms that are clearly heard, in order.

    Args:
        voice: Voices alone: mono, 8 kHz or more.
        lines: What is said, in order of start.
        cancelled: Whether to stop.

    Raises:
        JobCancelled: As `cancelled` says.
        OSError: The sound cannot be read.
    """
    rooms: list[Room] = []
    with soundfile.SoundFile(voice) as file:
        for scene in _scenes(lines):
            if cancelled():
                raise JobCancelled("Cancelled.")
            decays_s: list[float] = []
            for number, line in enumerate(scene):
                after_s = line.end_s + _LISTEN_AFTER_S
                if number + 1 < len(scene):
                    after_s = min(after_s, max(scene[number + 1].start_s, line.end_s))
                first_s = max(line.start_s, after_s - _LONGEST_LINE_S)
                file.seek(min(round(first_s * file.samplerate), file.frames))
                count = round((after_s - first_s) * file.samplerate)
                block = file.read(count, dtype="float32", always_2d=True)
                decays_s += decay_times(block.mean(axis=1), file.samplerate)
            if len(decays_s) >= LEAST_DECAYS and AUDIBLE_S <= telling(decays_s) <= LONGEST_S:
                end_s = max(line.end_s for line in scene)
                rooms.append(Room(Span(scene[0].start_s, end_s), round(telling(decays_s), 2)))
    return rooms


def in_rooms(lines: Sequence[MixLine], rooms: Sequence[Room]) -> list[MixLine]:
    """Return lines with the room each is to sound like; those in none stay as they are.

    A tail ends where the next take of somebody else begins, so that it covers no words.

    Args:
        lines: What is heard, in any order.
        rooms: As from `find_rooms`.
    """
    found = list(lines)
    until_s = _next_of_others_s(lines)
    for room in rooms:
        those = [
            number
            for number, line in enumerate(lines)
            if room.span.start_s <= line.span.start_s < room.span.end_s
        ]
        if _ring_already([lines[number].take.path for number in those], room.decay_s):
            continue
        for number in those:
            take = lines[number].take
            take = replace(take, room_s=room.decay_s, tail_until_s=until_s[number])
            found[number] = replace(lines[number], take=take)
    return found


def rooms_note(lines: Sequence[MixLine]) -> list[str]:
    """Return what the report says of lines that got a room, if there are any."""
    decays_s = [line.take.room_s for line in lines if line.take.room_s]
    if not decays_s:
        return []
    some = "line is" if len(decays_s) == 1 else "lines are"
    low, high = min(decays_s), max(decays_s)
    times = f"{low:.1f} s" if high - low < 0.1 else f"{low:.1f} to {high:.1f} s"
    return [
        f"{len(decays_s)} {some} lightly reverberant, as the original is there "
        f"(its rooms ring for {times})."
    ]


def _scenes(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Yield lines that follow each other closely, none of them for too long."""
    scene: list[Line] = []
    for line in lines:
        if scene and (
            line.start_s - max(one.end_s for one in scene[-3:]) > _SCENE_GAP_S
            or line.end_s - scene[0].start_s > _LONGEST_SCENE_S
        ):
            yield scene
            scene = []
        scene.append(line)
    if scene:
        yield scene


def _next_of_others_s(lines: Sequence[MixLine]) -> list[float | None]:
    """Return when, after the start of each line's take, somebody else's begins."""
    order = sorted(range(len(lines)), key=lambda number: lines[number].take.start_s)
    found: list[float | None] = [None] * len(lines)
    for place, number in enumerate(order):
        found[number] = next(
            (
                lines[later].take.start_s
                for later in islice(order, place + 1, None)
                if lines[later].speaker != lines[number].speaker
            ),
            None,
        )
    return found


def _ring_already(takes: Sequence[Path], decay_s: float) -> bool:
    """Tell whether takes sound like a room, as those of a voice cloned in one may."""
    decays_s: list[float] = []
    for path in takes[:_TAKES_HEARD]:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        silence = np.zeros(rate // 10, dtype=np.float32)
        decays_s += decay_times(np.concatenate([samples.mean(axis=1), silence]), rate)
    return len(decays_s) >= LEAST_DECAYS and telling(decays_s) >= ALIKE * decay_s
