"""`cast.toml`: what people say about who speaks, beside a film or in the folder of a series.

Nothing in it can stop a job: a mistake costs the entry that it is in, and is told with its line.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomllib

from dubarr_watch.engines.base import Gender
from dubarr_watch.errors import LeadsOut, UnknownLanguage, printable
from dubarr_watch.languages import parse_language
from dubarr_watch.library.confines import Confines
from dubarr_watch.library.series import series_of

NAME = "cast.toml"
MOST_BYTES = 256 * 1024

_KEYS = ("name", "match", "sample", "voice", "voices", "reference", "gender")
_MATCH = re.compile(
    r"(?:person (?P<person>\d{1,9})"
    r"|speaker (?P<speaker>[1-9]\d{0,2})(?: of s(?P<season>\d{1,4})e(?P<episode>\d{1,4}))?)",
    re.IGNORECASE,
)
_HEADER = re.compile(r"^\s*\[\[\s*person\s*\]\]")


@dataclass(frozen=True, slots=True)
class Match:
    """Whom an entry means, by where they were heard.

    Attributes:
        person: Id, as `dubarr-watch cast` shows it.
        speaker: Number of a speaker, from 0, of the video or of an episode.
        season: Of that episode.
        episode: Of that season.
    """

    person: int | None = None
    speaker: int | None = None
    season: int | None = None
    episode: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One person of a cast file.

    Attributes:
        line: Where the entry begins.
        name: What the person is called in reports.
        match: Whom it means.
        sample: A recording of whom it means.
        voices: Voice ids by ISO 639-1 code; by "" for every other language.
        reference: The recording that a cloned voice takes its sound from.
        gender: Register to cast for.
    """

    line: int
    name: str
    match: Match | None = None
    sample: Path | None = None
    voices: dict[str, str] = field(default_factory=dict)
    reference: Path | None = None
    gender: Gender | None = None


@dataclass(frozen=True, slots=True)
class CastFile:
    """A cast file as it was read.

    Attributes:
        path: The file.
        entries: What can be used of it.
        problems: What cannot, each with its line and what to do.
    """

    path: Path
    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def find_cast_file(video: Path, root: Path) -> Path | None:
    """Return the cast file of a video: in its folder, else in those up to its series' folder."""
    series = series_of(video, root)
    folder = video.parent
    while True:
        if (folder / NAME).is_file():
            return folder / NAME
        if series is None or folder in (series.folder, root) or folder == folder.parent:
            return None
        folder = folder.parent


def read_cast_file(path: Path, root: Path) -> CastFile:
    """Read a cast file.

    Args:
        path: The file.
        root: The library, which no path in it may lead out of.
    """
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            raise LeadsOut("", path=path)
        with Confines(root).opened(path) as name, name.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            return CastFile(path, problems=[f"{NAME} is larger than 256 KiB and is not read."])
        text = raw.decode("utf-8-sig")
        document = tomllib.loads(text)
    except LeadsOut:
        return CastFile(path, problems=[f"{NAME} leads out of the library and is not read."])
    except OSError as error:
        return CastFile(path, problems=[f"{NAME} cannot be read: {error.strerror}."])
    except UnicodeDecodeError:
        return CastFile(path, problems=[f"{NAME} is not read: save it as UTF-8."])
    except tomllib.TOMLDecodeError as error:
        return CastFile(path, problems=[f"{NAME} is not read: {error}."])
    reader = _Reader(path.parent, root, text.splitlines())
    entries = list(reader.entries(document))
    return CastFile(path, entries, reader.problems)


class _Reader:
    """Turns a document into entries, and collects what is wrong with it."""

    def __init__(self, folder: Path, root: Path, lines: list[str]) -> None:
        self._folder, self._root, self._lines = folder, root.resolve(), lines
        self._starts = [n for n, line in enumerate(lines, 1) if _HEADER.match(line)]
        self.problems: list[str] = []

    def entries(self, document: Mapping[str, Any]) -> Iterator[Entry]:
        for key in document:
            if key != "person":
                self._problem(self._line_of(0, key), f"'{key}' means nothing; write [[person]].")
        people = document.get("person", [])
        if not isinstance(people, list):
            self._problem(1, "write [[person]], in double brackets, for each person.")
            return
        for n, table in enumerate(people):
            start = self._starts[n] if n < len(self._starts) else 1
            before = len(self.problems)
            entry = self._entry(start, table) if isinstance(table, dict) else None
            if entry is not None and len(self.problems) == before:
                yield entry

    def _entry(self, start: int, table: Mapping[str, Any]) -> Entry | None:
        for key in table.keys() - set(_KEYS):
            near = difflib.get_close_matches(key, _KEYS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(_KEYS)}."
            self._problem(self._line_of(start, key), f"'{key}' means nothing; {hint}")
        text = {key: self._text(start, table, key) for key in _KEYS if key != "voices"}
        if not text["name"]:
            self._problem(start, 'every person needs a name: name = "Anna".')
        if bool(text["match"]) == bool(text["sample"]):
            self._problem(
                start,
                'say who it is, in one way: match = "speaker 2 of S01E01" or sample = "a.wav".',
            )
        return Entry(
            line=start,
            name=" ".join(printable(text["name"]).split())[:60],
            match=self._match(start, text["match"]) if text["match"] else None,
            sample=self._path(start, "sample", text["sample"]),
            voices=self._voices(start, table, text["voice"]),
            reference=self._path(start, "reference", text["reference"]),
            gender=self._gender(start, text["gender"]),
        )

    def _text(self, start: int, table: Mapping[str, Any], key: str) -> str:
        value = table.get(key, "")
        if isinstance(value, str):
            return value.strip()
        self._problem(self._line_of(start, key), f"{key} must be text in quotes.")
        return ""

    def _match(self, start: int, said: str) -> Match | None:
        found = _MATCH.fullmatch(" ".join(said.split()))
        if not found:
            self._problem(
                self._line_of(start, "match"),
                f"'{printable(said)}' says not who: write \"person 12\", as `dubarr-watch cast` "
                'shows it, or "speaker 2 of S01E01", or for a film "speaker 2".',
            )
            return None
        of = {key: int(value) for key, value in found.groupdict().items() if value is not None}
        if "speaker" in of:
            of["speaker"] -= 1
        return Match(**of)

    def _voices(self, start: int, table: Mapping[str, Any], voice: str) -> dict[str, str]:
        found = {"": voice} if voice else {}
        told = table.get("voices", {})
        line = self._line_of(start, "voices")
        if not isinstance(told, dict) or not all(isinstance(one, str) for one in told.values()):
            self._problem(line, 'voices must be like { es = "ef_dora", fr = "ff_siwis" }.')
            return found
        for language, name in told.items():
            try:
                found[parse_language(language).code] = name.strip()
            except UnknownLanguage as error:
                self._problem(line, str(error))
        return found

    def _gender(self, start: int, said: str) -> Gender | None:
        if said.lower() in ("", *Gender):
            return Gender(said.lower()) if said else None
        self._problem(self._line_of(start, "gender"), 'gender must be "female" or "male".')
        return None

    def _path(self, start: int, key: str, said: str) -> Path | None:
        if not said:
            return None
        line = self._line_of(start, key)
        try:
            path = (self._folder / said).resolve()
            there = path.is_file()
        except (OSError, ValueError, RuntimeError):
            path, there = self._folder, False
        if not path.is_relative_to(self._root):
            self._problem(line, f"'{printable(said)}' leads out of the library: copy it there.")
        elif not there:
            self._problem(
                line,
                f"there is no file '{printable(said)}' beside {NAME}: a path is read from there.",
            )
        else:
            return path
        return None

    def _line_of(self, start: int, key: str) -> int:
        """Return the line of a key below a header, as far as it can be found."""
        after = [s for s in self._starts if s > start]
        end = after[0] - 1 if after else len(self._lines)
        for number in range(start + 1, end + 1):
            if re.match(rf"\s*\[*[\"']?{re.escape(key)}[\"']?\s*[.=\]]", self._lines[number - 1]):
                return number
        return max(start, 1)

    def _problem(self, line: int, what: str) -> None:
        self.problems.append(f"{NAME}, line {line}: {what}")
