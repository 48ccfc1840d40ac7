"""Reading payloads that may hold anything: each field is asked for its kind, none is trusted."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dubarr_watch.errors import UnknownLanguage, printable
from dubarr_watch.languages import parse_language

Payload = Mapping[str, object]

MAX_FILES = 5000
"""Files that one payload may name; a long-running series has fewer."""

PATH_CHARS = 4096
_EVENT_CHARS = 40
_LANGUAGES, _LANGUAGE_CHARS = 50, 40
_UNKNOWN = frozenset({"", "und", "unknown", "original", "any"})


@dataclass(frozen=True, slots=True)
class Arrived:
    """Files that were imported.

    Attributes:
        files: Their paths, as the sender sees them, each with the languages it is said to speak:
            ISO 639-1 codes, none when the sender does not know.
        tags: Labels of the film or series, in lower case.
        replaced: Files that were deleted because these are better.
    """

    files: tuple[tuple[str, tuple[str, ...]], ...]
    tags: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Files that somebody asks to be dubbed, whenever they arrived.

    Attributes:
        paths: As the sender sees them.
        wishes: `languages`, and options of a marker by their names, unparsed.
        told: Whether the sender reads the answer, and wants to hear what is wrong.
    """

    paths: tuple[str, ...]
    wishes: Mapping[str, str]
    told: bool = True


@dataclass(frozen=True, slots=True)
class Renamed:
    """Files that have new paths: (old, new)."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Deleted:
    """Files, or folders with all that was in them, that are gone.

    Attributes:
        paths: As the sender sees them.
        on_purpose: Whether somebody wanted so, and they are not merely missing or replaced.
    """

    paths: tuple[str, ...]
    on_purpose: bool = False


@dataclass(frozen=True, slots=True)
class Test:
    """Somebody pressed the button that says Test."""

    __test__ = False  # no test of pytest's


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing is to be done.

    Attributes:
        why: In plain words.
    """

    why: str


What = Arrived | Wanted | Renamed | Deleted | Test | Ignored


@dataclass(frozen=True, slots=True)
class News:
    """What a payload says.

    Attributes:
        sender: `Radarr`, `Sonarr`, `Bazarr`, `Tautulli`, or empty when anybody may have sent it.
        event: As the sender calls it, at most 40 characters.
        what: What it means.
    """

    sender: str
    event: str
    what: What


def part(payload: Payload, key: str) -> Payload:
    """Return an object inside an object, empty when there is none."""
    found = payload.get(key)
    return found if isinstance(found, dict) else {}


def parts(payload: Payload, key: str) -> Sequence[Payload]:
    """Return the objects of a list inside an object."""
    found = payload.get(key)
    items = found if isinstance(found, list) else []
    return [item for item in items if isinstance(item, dict)][:MAX_FILES]


def text(payload: Payload, key: str) -> str:
    """Return a text, trimmed; empty when there is none."""
    found = payload.get(key)
    return found.strip() if isinstance(found, str) else ""


def event_of(payload: Payload, key: str) -> str:
    """Return what a sender calls its event, fit to be shown."""
    return printable(text(payload, key)[:_EVENT_CHARS])[:_EVENT_CHARS]


def texts(payload: Payload, key: str) -> list[str]:
    """Return the texts of a list, empty ones too, or those that one text lists."""
    found = payload.get(key)
    if isinstance(found, str):
        found = found.replace("/", ",").split(",")
    items = found if isinstance(found, list) else []
    return [item.strip() for item in items[:MAX_FILES] if isinstance(item, str)]


def path_of(file: Payload, folder: str, key: str = "path", relative: str = "relativePath") -> str:
    """Return a file's path: the one it names, else its folder's and its place in there."""
    whole = text(file, key)
    if not whole and folder and (rest := text(file, relative)):
        slash = "\\" if "\\" in folder and "/" not in folder else "/"
        whole = f"{folder.rstrip(slash)}{slash}{rest.lstrip('/' + chr(92))}"
    return whole if len(whole) <= PATH_CHARS else ""


def spoken_languages(file: Payload, owner: Payload) -> tuple[str, ...]:
    """Return what a file speaks, as far as Radarr or Sonarr can tell.

    Its tracks' own languages when all of them are known, else what its release claims, else the
    language that the film or series was made in.

    Args:
        file: `movieFile` or `episodeFile`.
        owner: `movie` or `series`.
    """
    tracks = texts(part(file, "mediaInfo"), "audioLanguages")
    codes = language_codes(tracks)
    if tracks and all(language_codes([word]) for word in tracks):
        return codes
    # Radarr lists objects; Sonarr lists names, or has them in one text.
    names = [text(one, "name") for one in parts(file, "languages")] or texts(file, "languages")
    made_in = [text(part(owner, "originalLanguage"), "name") or text(owner, "originalLanguage")]
    claims = language_codes(names) or language_codes(made_in)
    return tuple(dict.fromkeys((*codes, *claims)))


def tags_of(owner: Payload) -> tuple[str, ...]:
    """Return the labels of a film or series, in lower case."""
    return tuple(tag.lower() for tag in texts(owner, "tags") if tag)


def language_codes(words: Iterable[str]) -> tuple[str, ...]:
    """Return the ISO 639-1 codes of those words that name a language, each once."""
    codes: dict[str, None] = {}
    for word in itertools.islice(words, _LANGUAGES):
        if word.lower() in _UNKNOWN or len(word) > _LANGUAGE_CHARS:
            continue
        try:
            codes[parse_language(word).code] = None
        except UnknownLanguage:
            continue
    return tuple(codes)


def present(paths: Sequence[str]) -> tuple[str, ...]:
    """Return those of some paths that are not empty, each once."""
    return tuple(dict.fromkeys(path for path in paths if path))
