"""Series: which videos are episodes of one, told from their paths alone."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

# What Sonarr, Jellyfin, Kodi and Plex understand: S01E02, s1.e2, S01E02E03, 1x02.
_NUMBERED = re.compile(
    r"(?:(?<![^\W_])s(?P<season>\d{1,4})[ ._-]*e(?P<episode>\d{1,4})(?!\d)"
    r"|(?<![^\W_])(?P<before>\d{1,2})x(?P<after>\d{2,4})(?![\dp]))",
    re.IGNORECASE,
)

# As fansubs count: "[Group] Show - 012v2 [1080p]".
_COUNTED = re.compile(r"^(?P<title>.*\S) - (?P<episode>\d{2,4})(?:v\d)?(?=$|[ ._]*[\[(]| - )")
_GROUP = re.compile(r"^(?:\[[^\]]*\][ ._]*)+")
_FIRST_NUMBER = re.compile(r"^(?:e|ep|episode)?[ ._-]*(\d{1,4})(?!\d)", re.IGNORECASE)

_SEASON_WORDS = "season|series|staffel|saison|temporada|stagione|sezon|seizoen|säsong|sæson|sesong"
_SEASON_FOLDER = re.compile(
    rf"^(?:(?P<title>.*?)[ ._-]+)??(?:(?:{_SEASON_WORDS}|kausi|сезон)[ ._-]*|s)"
    r"(?P<season>\d{1,4})(?=$|[ ._\[(-])",
    re.IGNORECASE,
)
_SPECIALS = re.compile(r"^specials?$", re.IGNORECASE)

# Year and database ids, as Sonarr and Jellyfin put them behind a title.
_BEHIND_TITLE = re.compile(r"[ ._-]*(?:\((?:19|20)\d\d\)|\{[^}]*\}|\[[^\]]*\])[ ._-]*$")


@dataclass(frozen=True, slots=True)
class Series:
    """The series that a video is an episode of.

    Attributes:
        name: As people would write it, without year and ids.
        folder: What holds all its seasons; the library itself when they lie there loose.
        season: 0 for specials; nothing when it is not said.
        episode: Within the season, or of all; nothing when it is not said.
    """

    name: str
    folder: Path
    season: int | None
    episode: int | None

    @property
    def key(self) -> str:
        """What tells series apart: loose episodes of several may share one folder."""
        return f"{self.folder}\n{_letters(self.name)}"


def series_of(path: Path, root: Path) -> Series | None:
    """Return the series of a video, or nothing for a film.

    Known are the layouts of Sonarr, Jellyfin, Kodi and Plex: `Show/Season 1/Show - S01E02.mkv`,
    `Show/S01E02.mkv`, `Show.S01.1080p/Show.S01E02.1080p.mkv`, loose `Show.S01E02.mkv`, `1x02`,
    and `[Group] Show - 12.mkv`. Nothing is read from the disk.

    Args:
        path: The video.
        root: The library that it lies in; what lies outside belongs to no series.
    """
    if not path.is_relative_to(root) or path == root:
        return None
    stem, folder = path.stem, path.parent
    season_folder = _season_folder(folder.name) if folder != root else None
    numbered = _NUMBERED.search(stem)
    if numbered:
        title = _plain(stem[: numbered.start()])
        season = int(numbered["season"] or numbered["before"])
        episode: int | None = int(numbered["episode"] or numbered["after"])
    elif season_folder is not None:
        first = _FIRST_NUMBER.match(stem)
        title, season = "", season_folder[1]
        episode = int(first[1]) if first else None
    else:
        return _counted(stem, folder, root)
    if season_folder is None:
        return _among(title, folder, root, season, episode)
    above, named = folder.parent, season_folder[0]
    if named:  # a season's folder that says which series
        return Series(named, above, season, episode)
    name = _plain(above.name) if above != root else title or _plain(above.name)
    return Series(name, above, season, episode)


def _counted(stem: str, folder: Path, root: Path) -> Series | None:
    """Return the series of an episode that is only counted; a film's title may end so too."""
    plain = _GROUP.sub("", stem)
    counted = _COUNTED.match(plain.replace("_", " "))
    if not counted:
        return None
    title = _plain(counted["title"])
    if plain == stem and (folder == root or not _alike(title, folder.name)):
        return None
    return _among(title, folder, root, None, int(counted["episode"]))


def _among(
    title: str, folder: Path, root: Path, season: int | None, episode: int | None
) -> Series | None:
    """Return the series of an episode that lies in its series' folder, or among others' files."""
    if folder != root and (own := _NUMBERED.search(folder.name)):
        # A download of one episode has a folder of its own: `Show.S01E02.1080p/`.
        title, folder = title or _plain(folder.name[: own.start()]), folder.parent
    if folder != root and (not title or _alike(title, folder.name)):
        return Series(_plain(folder.name), folder, season, episode)
    return Series(title, folder, season, episode) if title else None


def _season_folder(name: str) -> tuple[str, int] | None:
    """Return the series' name, if it is said, and the season that a folder is for."""
    if _SPECIALS.match(name):
        return "", 0
    match = _SEASON_FOLDER.match(name)
    return (_plain(match["title"] or ""), int(match["season"])) if match else None


def _plain(title: str) -> str:
    """Return a title as people write it."""
    title = _GROUP.sub("", title)
    while (shorter := _BEHIND_TITLE.sub("", title)) != title:
        title = shorter
    if " " not in title:
        title = re.sub(r"[._]+", " ", title)
    return title.strip(" ._-")


def _alike(title: str, folder: str) -> bool:
    """Tell whether a folder is named for a title, or the other way round."""
    one, other = _letters(_plain(title)), _letters(_plain(folder))
    return bool(one and other) and (one.startswith(other) or other.startswith(one))


def _letters(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in folded if char.isalnum())
