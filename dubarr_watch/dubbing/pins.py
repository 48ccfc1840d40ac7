"""What a cast file asks for, once it is known which speakers of a video it means."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from dubarr_watch.dubbing.cast_file import NAME, Entry, Match
from dubarr_watch.dubbing.people import Person, match_people
from dubarr_watch.dubbing.separation import CLEAN_RATE
from dubarr_watch.dubbing.studio import Part
from dubarr_watch.dubbing.voices import SpeakerVoice
from dubarr_watch.engines.base import Gender
from dubarr_watch.engines.samples import RATE
from dubarr_watch.engines.voice_prints import Print
from dubarr_watch.errors import LeadsOut, MediaError, printable
from dubarr_watch.languages import Language
from dubarr_watch.library.confines import Confines
from dubarr_watch.library.series import series_of
from dubarr_watch.media import Opener, decode_samples, held, readable
from dubarr_watch.store.people import AppearanceRecord
from dubarr_watch.store.records import VideoRecord

SAMPLE_S, REFERENCE_S = 60.0, 30.0
"""How much of a recording is listened to, or cloned from."""

LEAST_SAMPLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Pin:
    """What is asked for one speaker.

    Attributes:
        speaker: As in `Line.speaker`.
        line: Of the cast file.
        name: What they are called.
        voices: As `Entry.voices`.
        reference: 24 kHz WAV in the job's folder, to clone from.
        gender: Register to cast for.
    """

    speaker: int
    line: int
    name: str
    voices: dict[str, str] = field(default_factory=dict)
    reference: Path | None = None
    gender: Gender | None = None

    def voice(self, language: str) -> str:
        """Return the id of the voice that is asked for in a language; empty when none is."""
        return self.voices.get(language, self.voices.get("", ""))


@dataclass(frozen=True, slots=True)
class Recognised:
    """Who is heard in a video.

    Attributes:
        people: Its speakers.
        around: Ids of the others in its series.
        pins: What a cast file asks for them.
        problems: What it asks for that cannot be had.
    """

    people: list[Person] = field(default_factory=list)
    around: list[int] = field(default_factory=list)
    pins: list[Pin] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Meant:
    """Finds out whom entries mean.

    Attributes:
        video: The video.
        root: The library.
        voices: What its speakers sound like.
        people: Who they are.
        heard: Everybody's appearances in its series, or in itself where it is a film.
        known: Ids of everybody who was ever heard.
        speakers: How many the video has.
    """

    video: VideoRecord
    root: Path
    voices: Sequence[SpeakerVoice]
    people: Sequence[Person]
    heard: Sequence[AppearanceRecord]
    known: Collection[int]
    speakers: int

    def speaker(self, entry: Entry, samples: Mapping[Path, Print]) -> tuple[int | None, str]:
        """Return the speaker that an entry means, if they are heard here, or what is wrong."""
        if entry.match is not None:
            return self._matched(entry.match)
        if entry.sample is None or not samples.get(entry.sample):
            return None, "the sample is too short or cannot be read: give 5 s of speech."
        sample = {0: np.asarray(samples[entry.sample])}
        found = match_people(self.voices, sample)
        return next((speaker for speaker, who in found.items() if who == 0), None), ""

    def _matched(self, match: Match) -> tuple[int | None, str]:
        if match.person is not None:
            if match.person not in self.known:
                return None, f"there is no person {match.person}; `dubarr-watch cast` lists them."
            return self._with_person(match.person), ""
        number = (match.speaker or 0) + 1
        series = series_of(self.video.path, self.root)
        here = (series.season, series.episode) if series else (None, None)
        if match.episode is None or (match.season, match.episode) == here:
            if match.episode is None and series is not None:
                return None, f'say of which episode: "speaker {number} of S01E01".'
            if number > self.speakers:
                return None, f"there is no speaker {number} in it, only {self.speakers}."
            return match.speaker, ""
        if series is None:
            return None, f'this is a film: write "speaker {number}".'
        for one in self.heard:
            other = series_of(one.path, self.root)
            if (
                other is not None
                and other.key == series.key
                and (other.season, other.episode) == (match.season, match.episode)
                and one.speaker == match.speaker
            ):
                return self._with_person(one.person_id), ""
        episode = f"S{match.season:02d}E{match.episode:02d}"
        return None, f"nobody is known yet as speaker {number} of {episode}: is it dubbed already?"

    def _with_person(self, person: int) -> int | None:
        return next((one.speaker for one in self.people if one.person == person), None)


def pin_people(
    entries: Sequence[Entry], meant: Meant, samples: Mapping[Path, Print], folder: Path
) -> tuple[list[Pin], list[str]]:
    """Return what is asked for the speakers of a video, and what is wrong with the rest.

    Args:
        entries: Of the cast file.
        meant: Finds out whom they mean.
        samples: The voice of each sample.
        folder: Where references go.
    """
    pins: dict[int, Pin] = {}
    problems = []
    for entry in entries:
        speaker, wrong = meant.speaker(entry, samples)
        reference = None
        if speaker is not None and speaker in pins:
            wrong = f"{entry.name} and {pins[speaker].name} are one speaker here; the first counts."
        elif speaker is not None and entry.reference is not None:
            reference = decoded(
                entry.reference, folder, CLEAN_RATE, REFERENCE_S, Confines(meant.root).opened
            )
            if reference is None:
                wrong = (
                    "the reference is too short or cannot be read: 3 to 10 s of speech are best."
                )
        if wrong:
            problems.append(f"{NAME}, line {entry.line} ({entry.name}): {wrong}")
        elif speaker is not None:
            pins[speaker] = Pin(
                speaker, entry.line, entry.name, entry.voices, reference, entry.gender
            )
    return list(pins.values()), problems


def sample_prints(
    entries: Sequence[Entry],
    folder: Path,
    listen: Callable[[Sequence[Path]], Sequence[Print]],
    opened: Opener = held,
) -> dict[Path, Print]:
    """Return what the samples of a cast file sound like; nothing of one that cannot be heard."""
    paths = {one.sample for one in entries if one.sample is not None}
    made = {path: decoded(path, folder, RATE, SAMPLE_S, opened) for path in sorted(paths)}
    there = {path: wav for path, wav in made.items() if wav is not None}
    prints = listen(list(there.values())) if there else []
    return dict(zip(there, prints, strict=True))


def decoded(
    path: Path, folder: Path, rate: int, longest_s: float, opened: Opener = held
) -> Path | None:
    """Write a recording as a mono WAV file named by its content; nothing when it is no use."""
    try:
        with readable(path, opened) as name:
            raw = b"".join(
                decode_samples(name, channels=1, rate=rate, block=rate, duration_s=longest_s)
            )
    except (MediaError, LeadsOut):
        return None
    samples = np.frombuffer(raw, dtype=np.float32)
    if len(samples) < LEAST_SAMPLE_S * rate or not np.abs(samples).max() > 0:
        return None
    values = np.round(np.clip(samples, -1.0, 1.0) * 32767).astype("<i2")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{hashlib.sha256(values.tobytes()).hexdigest()[:24]}.wav"
    if not target.exists():
        half = target.with_suffix(".part")
        soundfile.write(half, values, rate, subtype="PCM_16", format="WAV")
        half.replace(target)
    return target


def unmet_pins(pins: Sequence[Pin], language: Language, parts: Sequence[Part]) -> list[str]:
    """Say which voices that were asked for nobody here has."""
    given = {part.line.speaker: part.voice for part in parts}
    told = []
    for pin in pins:
        voice = given.get(pin.speaker)
        if voice is None:
            continue
        wanted = pin.voice(language.code)
        if pin.reference is not None and not voice.cloned:
            told.append((pin, "a reference needs a voice that clones: TTS_MODEL=xtts."))
        elif pin.reference is None and wanted and voice.id != wanted:
            why = f"there is no voice '{printable(wanted)}' for {language.name} here"
            told.append((pin, f"{why}; `dubarr-watch cast` lists those there are."))
    return [f"{NAME}, line {pin.line} ({pin.name}): {why}" for pin, why in told]
