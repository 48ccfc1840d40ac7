"""What a job works with: the original as it is understood, and the dubs made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dubarr_watch.dubbing.extraction import SourceAudio
from dubarr_watch.dubbing.levels import Loudness
from dubarr_watch.dubbing.pins import Recognised
from dubarr_watch.dubbing.references import Reference
from dubarr_watch.dubbing.separation import Separated
from dubarr_watch.dubbing.speaking import FittedTake, Part
from dubarr_watch.dubbing.timeline import PlacedTake
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.dubbing.voices import SpeakerVoice
from dubarr_watch.engines.base import Span
from dubarr_watch.languages import Language


@dataclass(frozen=True, slots=True)
class Understood:
    """What all languages of a video share.

    Attributes:
        audio: The decoded sound.
        language: ISO 639-1 code of the spoken language.
        lines: What is said.
        voice: Where there is voice.
        key: Content key of all this.
        separated: Voices apart from the rest, where that was done.
        references: Recordings that voices are cloned from.
        notes: What a listener should know of all languages.
        wordless: Where there is voice that no line has: laughs, breaths, cries.
        voices: What each speaker sounds like; empty when nobody listened for that.
        songs: Indices of the lines that are sung and left alone.
        recognised: Who the speakers are.
    """

    audio: SourceAudio
    language: str
    lines: list[Line]
    voice: list[Span]
    key: str
    separated: Separated | None = None
    references: list[Reference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    wordless: list[Span] = field(default_factory=list)
    voices: list[SpeakerVoice] = field(default_factory=list)
    songs: list[int] = field(default_factory=list)
    recognised: Recognised = field(default_factory=Recognised)

    @property
    def heard(self) -> Path:
        """What was listened to, 16 kHz mono: voices alone, or the original as it is."""
        return self.separated.models if self.separated else self.audio.models


@dataclass(frozen=True, slots=True)
class Dub:
    """A finished mix in one language, not published yet.

    Attributes:
        language: Which.
        audio: Encoded track in the work folder.
        takes: The dub alone: what is heard when.
        parts: What each line needed.
        fitted: What each line got.
        loudness: Of the encoded track.
        cut_short: How many lines are faded out before their end.
        left_silent: How many lines have no voice, although they should.
        notes: What a listener should know.
        misspoken: How many lines were not heard as written.
        cast_problems: How many things a cast file asks for that cannot be had.
        depth_lu: By how much the dub stands above what lies under it; see `Balance`.
        mix_notes: What a listener should know of its mix.
    """

    language: Language
    audio: Path
    takes: list[PlacedTake]
    parts: list[Part]
    fitted: list[FittedTake]
    loudness: Loudness
    cut_short: int
    left_silent: int
    notes: list[str]
    misspoken: int = 0
    cast_problems: int = 0
    depth_lu: float | None = None
    mix_notes: list[str] = field(default_factory=list)
