"""Who was heard in which videos, and the voices that speak for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubarr_watch.store.database import Database
from dubarr_watch.store.models import Video
from dubarr_watch.store.series_models import Appearance, Casting, Person


@dataclass(frozen=True, slots=True)
class AppearanceRecord:
    """What a person sounds like in one video.

    Attributes:
        video_id: The video.
        path: Where it was seen last.
        speaker: Which speaker they are in it.
        person_id: Who it is.
        model: What heard it; only what one model heard can be compared.
        seconds: Speech that the print rests on.
        print: A vector of length 1.
    """

    video_id: int
    path: Path
    speaker: int
    person_id: int
    model: str
    seconds: float
    print: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CastingRecord:
    """Which voice of an engine speaks for a person.

    Attributes:
        person_id: Who.
        language: ISO 639-1 code.
        engine: As `Voice.engine`.
        voice: As `Voice.id`.
    """

    person_id: int
    language: str
    engine: str
    voice: str


class People:
    """People, by what their voices sound like.

    What a person sounds like is the mean of their appearances, so that a video that is dubbed
    again counts once, and one that is forgotten no more.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def videos(self, model: str) -> list[tuple[int, Path]]:
        """Return the videos in which a model has heard anybody, and where they are now."""
        heard = Appearance.select(Appearance.video).where(Appearance.model == model)
        rows = self._database.all(Video.select(Video.id, Video.path).where(Video.id.in_(heard)))
        return [(row.id, row.path) for row in rows]

    def appearances(
        self, model: str, videos: Collection[int] | None = None
    ) -> list[AppearanceRecord]:
        """Return the appearances that a model has heard, with where their videos are now.

        Args:
            model: What heard them.
            videos: Only in these; in all when None.
        """
        mine = Appearance.model == model
        if videos is not None:
            mine &= Appearance.video << list(videos)
        rows = self._database.all(
            Appearance.select(Appearance, Video.path.alias("path"))
            .join(Video)
            .where(mine)
            .order_by(Appearance.video, Appearance.speaker)
            .objects()
        )
        return [
            AppearanceRecord(
                video_id=row.video,
                path=row.path,
                speaker=row.speaker,
                person_id=row.person,
                model=row.model,
                seconds=row.seconds,
                print=tuple(np.frombuffer(bytes(row.print), dtype="<f4").tolist()),
            )
            for row in rows
        ]

    def ids(self) -> set[int]:
        """Return everybody who is known."""
        return {row.id for row in self._database.all(Person.select())}

    def add(self) -> int:
        """Make somebody known, and return their id; it is never anybody else's."""
        return self._database.run(Person.insert())

    def appear(self, video_id: int, found: Sequence[AppearanceRecord]) -> None:
        """Keep who was heard in a video, in place of who was before.

        Whoever appears nowhere any more is forgotten, with the voices they had.
        """
        with self._database.transaction():
            self._database.run(Appearance.delete().where(Appearance.video == video_id))
            for one in found:
                self._database.run(
                    Appearance.put(
                        video=video_id,
                        speaker=one.speaker,
                        person=one.person_id,
                        model=one.model,
                        seconds=one.seconds,
                        print=np.asarray(one.print, dtype="<f4").tobytes(),
                    )
                )
            _forget_the_unheard(self._database)

    def castings(self, people: Collection[int], language: str) -> list[CastingRecord]:
        """Return the voices that some people have in a language, one for each engine."""
        mine = (Casting.person << list(people)) & (Casting.language == language)
        rows = self._database.all(
            Casting.select().where(mine).order_by(Casting.person, Casting.engine)
        )
        return [CastingRecord(row.person_id, row.language, row.engine, row.voice) for row in rows]

    def cast(self, language: str, voices: Mapping[int, tuple[str, str]]) -> None:
        """Keep which voice speaks for some people, as (engine, voice) by person.

        Those who were forgotten meanwhile are left out.
        """
        with self._database.transaction():
            known = self.ids()
            for person, (engine, voice) in voices.items():
                if person in known:
                    self._database.run(
                        Casting.put(person=person, language=language, engine=engine, voice=voice)
                    )


def forget_video(database: Database, video_id: int) -> None:
    """Forget who was heard in a video, and whoever was heard nowhere else."""
    database.run(Appearance.delete().where(Appearance.video == video_id))
    _forget_the_unheard(database)


def _forget_the_unheard(database: Database) -> None:
    heard = Appearance.select(Appearance.person)
    database.run(Person.delete().where(Person.id.not_in(heard)))
