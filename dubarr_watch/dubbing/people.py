"""Who the speakers of a video are: people heard before, in it or in other episodes of its series.

Everything that is learned is an appearance: what one person sounds like in one video. People of
other series are never looked at, however alike they sound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dubarr_watch.dubbing.matching import assign
from dubarr_watch.dubbing.voices import ALIKE, SpeakerVoice
from dubarr_watch.library.series import series_of
from dubarr_watch.store.people import AppearanceRecord
from dubarr_watch.store.records import VideoRecord
from dubarr_watch.store.store import Store

SAME = ALIKE
"""Likeness from which two prints are one person's.

Tuned on four Germans reading (each print on 5 s) and nine synthetic voices of English, clean, over
music and through another microphone: 92 % of a German's and 100 % of a synthetic voice's own pairs
are above it, and 0.4 % and 3.7 % of the pairs of two.
"""

APART = 0.06
"""Who is not liker to one person than to any other by this could be either, and is neither."""

LEAST_S = 4.0
"""Speech on which a print must rest to be remembered; a match may rest on less."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who a speaker is.

    Attributes:
        speaker: As in `Line.speaker`.
        person: Id of who it is; nothing when that is not known.
    """

    speaker: int
    person: int | None


def recognise(
    store: Store, video: VideoRecord, root: Path, voices: Sequence[SpeakerVoice], model: str
) -> tuple[list[Person], list[int]]:
    """Remember how the speakers of a video sound, and return who they are.

    Two videos at once are heard one after the other: who is new in both is new once.

    Args:
        store: Who was heard before.
        video: The video.
        root: The library, which tells series apart.
        voices: What the speakers sound like.
        model: What heard them.

    Returns:
        The speakers, and the ids of all others in the series.
    """
    with store.transaction():
        known = people_around(store, video, root, model)
        found = match_people(voices, known)
        here = []
        for voice in voices:
            person = found.get(voice.speaker)
            if voice.seconds < LEAST_S or not voice.print or voice.speaker in _doubtful(voices):
                continue  # known again perhaps, but nothing to know others by
            if person is None:
                if voice.speaker in found:  # could be either of two
                    continue
                person = store.people.add()
                found[voice.speaker] = person
            here.append(
                AppearanceRecord(
                    video.id, video.path, voice.speaker, person, model, voice.seconds, voice.print
                )
            )
        store.people.appear(video.id, here)
        alive = store.people.ids()
    people = [(voice.speaker, found.get(voice.speaker)) for voice in voices]
    return (
        [Person(speaker, person if person in alive else None) for speaker, person in people],
        sorted(alive & known.keys() - set(found.values())),
    )


def people_around(
    store: Store, video: VideoRecord, root: Path, model: str
) -> dict[int, npt.NDArray[np.float64]]:
    """Return the sound of everybody in a video's series, or in the video itself where it is a film.

    Returns:
        By person, the mean of their prints, weighed by the speech that each rests on.
    """
    sums: dict[int, npt.NDArray[np.float64]] = {}
    for one in heard_around(store, video, root, model):
        print_ = one.seconds * np.asarray(one.print)
        sums[one.person_id] = sums.get(one.person_id, np.zeros(1)) + print_
    return {person: total / max(float(np.linalg.norm(total)), 1e-9)
            for person, total in sums.items()}  # fmt: skip


def heard_around(
    store: Store, video: VideoRecord, root: Path, model: str
) -> list[AppearanceRecord]:
    """Return everybody's appearances in a video's series, or in the video itself if it is a film.

    Prints are read of these videos alone: those of a large library would fill the memory.
    """
    series = series_of(video.path, root)
    videos = [video.id]
    if series is not None:
        for number, path in store.people.videos(model):
            own = series_of(path, root)
            if own is not None and own.key == series.key:
                videos.append(number)
    return store.people.appearances(model, videos)


def match_people(
    voices: Sequence[SpeakerVoice], known: Mapping[int, npt.NDArray[np.float64]]
) -> dict[int, int | None]:
    """Return who speakers are, each at most one person and each person at most one speaker.

    A speaker who is like nobody known is left out; one who could be either of two is None.
    """
    heard = [voice for voice in voices if voice.print]
    people = sorted(known)
    if not heard or not people:
        return {}
    likes = np.array([[float(np.dot(v.print, known[p])) for p in people] for v in heard])
    # What is below is nobody; from there up, the likest pairs all together win.
    floor = SAME - APART
    chosen = assign(likes - floor)
    found: dict[int, int | None] = {}
    for i, j in chosen.items():
        if likes[i, j] < SAME:
            continue
        others = likes - floor
        others[i, j] = 0.0
        second = assign(others)
        worth = sum(likes[a, b] - floor for a, b in chosen.items())
        instead = sum(likes[a, b] - floor for a, b in second.items())
        found[heard[i].speaker] = people[j] if worth - instead >= APART else None
    return found


def _doubtful(voices: Sequence[SpeakerVoice]) -> set[int]:
    """Return who may be a part of another speaker that says more."""
    seconds = {voice.speaker: voice.seconds for voice in voices}
    return {
        voice.speaker
        for voice in voices
        if voice.like is not None and seconds.get(voice.like, 0.0) > voice.seconds
    }
