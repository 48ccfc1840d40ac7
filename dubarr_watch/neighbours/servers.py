"""The servers that are told what was published: each by its own way to look at one item."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import SecretStr

from dubarr_watch.errors import printable
from dubarr_watch.neighbours.asking import Line, NotTold
from dubarr_watch.neighbours.owners import Owners
from dubarr_watch.neighbours.paths import behind, rewritten
from dubarr_watch.settings import Settings


class NotTheirs(NotTold):
    """The server has no such item; asking again changes nothing."""


class Server(Protocol):
    """A server that may be told of a new track."""

    @property
    def line(self) -> Line:
        """The way to it."""

    def look(self, video: Path) -> None:
        """Let it look at a video whose tracks have changed.

        Raises:
            NotTheirs: It does not know the video.
            NotTold: It could not be told; see `Line`.
        """

    def check(self) -> str:
        """Return what it is, in plain words, once it was reached and let us in.

        Raises:
            NotTold: It was not, or did not.
        """


@dataclass(frozen=True, slots=True)
class MediaBrowser:
    """Jellyfin and Emby: POST /Library/Media/Updated; they wait a minute, then look at the item."""

    line: Line
    settings: Settings

    def look(self, video: Path) -> None:
        """See `Server`."""
        path = theirs(video, self.line.setting.lower(), self.settings)
        updates = {"Updates": [{"Path": path, "UpdateType": "Modified"}]}
        self.line.post("/Library/Media/Updated", updates)

    def check(self) -> str:
        """See `Server`."""
        found = self.line.get("/System/Info")
        if not isinstance(found, dict) or "Version" not in found:
            raise _not_itself(self.line)
        return f"{self.line.label} {printable(str(found['Version'])[:20])}"


@dataclass(frozen=True, slots=True)
class Plex:
    """Plex: GET /library/sections/ID/refresh with the path of the video's folder."""

    line: Line
    settings: Settings

    def look(self, video: Path) -> None:
        """See `Server`."""
        path = theirs(video, "plex", self.settings)
        ids = [key for key, folder in self._sections() if _inside(path, folder)]
        if not ids:
            raise NotTheirs(
                f"No library of Plex holds {printable(path)}.",
                hint="When Plex sees it under another path, set MEDIA_PATH_MAP.",
            )
        folder = path.replace("\\", "/").rpartition("/")[0]
        for key in dict.fromkeys(ids):
            self.line.get(f"/library/sections/{key}/refresh", {"path": path[: len(folder)]})

    def check(self) -> str:
        """See `Server`."""
        folders = [folder for _, folder in self._sections()]
        ours = theirs(self.settings.videos_dir, "plex", self.settings)
        if not any(_inside(folder, ours) or _inside(ours, folder) for folder in folders):
            raise NotTheirs(
                f"None of Plex's libraries is in {printable(ours)}.",
                hint="When Plex sees VIDEOS_DIR under another path, set MEDIA_PATH_MAP.",
            )
        return f"Plex with {len(folders)} folders"

    def _sections(self) -> list[tuple[str, str]]:
        """Return (section, folder) of all libraries."""
        found = self.line.get("/library/sections")
        container = found.get("MediaContainer") if isinstance(found, dict) else None
        if not isinstance(container, dict):
            raise _not_itself(self.line)
        return [
            (str(section.get("key")), str(place.get("path")))
            for section in _dicts(container.get("Directory"))
            for place in _dicts(section.get("Location"))
            if str(section.get("key")).isdigit()
        ]


@dataclass(frozen=True, slots=True)
class Kodi:
    """Kodi: JSON-RPC VideoLibrary.Scan of the video's folder, its path with a slash at the end."""

    line: Line
    settings: Settings

    def look(self, video: Path) -> None:
        """See `Server`."""
        folder = theirs(video.parent, "kodi", self.settings)
        slash = "\\" if "\\" in folder else "/"
        params = {"directory": f"{folder.rstrip(slash)}{slash}", "showdialogs": False}
        self._call("VideoLibrary.Scan", params)

    def check(self) -> str:
        """See `Server`."""
        found = self._call("Application.GetProperties", {"properties": ["version"]})
        version = found.get("version") if isinstance(found, dict) else None
        major = version.get("major") if isinstance(version, dict) else None
        return f"Kodi {major}" if isinstance(major, int) else "Kodi"

    def _call(self, method: str, params: dict[str, object]) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        found = self.line.post("/jsonrpc", body)
        if not isinstance(found, dict):
            raise _not_itself(self.line)
        if "result" not in found:
            raise NotTold(f"Kodi refuses {method}.", hint="Look into Kodi's own log.")
        return found["result"]


@dataclass(frozen=True, slots=True)
class Arr:
    """Radarr and Sonarr: the command RescanMovie or RescanSeries of whose folder holds the video.

    Attributes:
        owners: Their films or series.
        command: To let one be rescanned.
        number: What the command calls it.
    """

    line: Line
    settings: Settings
    owners: Owners
    command: str
    number: str

    def look(self, video: Path) -> None:
        """See `Server`."""
        path = rewritten(str(video), [(ours, their) for their, ours in self.settings.path_map])
        owner = self.owners.of(path, self.line)
        if owner is None:
            raise NotTheirs(f"{self.line.label} has nothing in {printable(path)}.")
        try:
            self.line.post("/api/v3/command", {"name": self.command, self.number: owner})
        except NotTold:
            self.owners.forget()  # it may be another one by now
            raise

    def check(self) -> str:
        """See `Server`."""
        found = self.line.get("/api/v3/system/status")
        if not isinstance(found, dict) or found.get("appName") != self.line.label:
            raise _not_itself(self.line)
        roots = [str(one.get("path", "")) for one in _dicts(self.line.get("/api/v3/rootfolder"))]
        ours = [rewritten(root, self.settings.path_map) for root in roots]
        library = str(self.settings.videos_dir)
        if roots and not any(_inside(root, library) or _inside(library, root) for root in ours):
            raise NotTheirs(
                f"{self.line.label} keeps its files in {printable(', '.join(roots))}, which is "
                f"not in VIDEOS_DIR {printable(library)}.",
                hint=f"Map it, e.g. PATH_MAP={printable(roots[0].rstrip('/'))}={library}.",
            )
        return f"{self.line.label} {printable(str(found.get('version', ''))[:20])}".strip()


def configured(settings: Settings) -> dict[str, Server]:
    """Return the servers whose address is set, by name."""
    found: dict[str, Server] = {}
    if settings.jellyfin_url:
        key = _secret(settings.jellyfin_token)
        line = Line("Jellyfin", "JELLYFIN", "JELLYFIN_TOKEN",
                    "an API key of Jellyfin (Dashboard, API Keys)", settings.jellyfin_url,
                    {"Authorization": f'MediaBrowser Token="{key}"'})  # fmt: skip
        found["jellyfin"] = MediaBrowser(line, settings)
    if settings.emby_url:
        line = Line("Emby", "EMBY", "EMBY_TOKEN", "an API key of Emby (Settings, API Keys)",
                    settings.emby_url, {"X-Emby-Token": _secret(settings.emby_token)})  # fmt: skip
        found["emby"] = MediaBrowser(line, settings)
    if settings.plex_url:
        line = Line("Plex", "PLEX", "PLEX_TOKEN", "an X-Plex-Token of the server's owner",
                    settings.plex_url, {"X-Plex-Token": _secret(settings.plex_token)})  # fmt: skip
        found["plex"] = Plex(line, settings)
    if settings.kodi_url:
        line = Line("Kodi", "KODI", "KODI_PASS",
                    "the password in Kodi's settings (Services, Control), and KODI_USER to its "
                    "user name", settings.kodi_url,
                    auth=(settings.kodi_user, _secret(settings.kodi_pass)))  # fmt: skip
        found["kodi"] = Kodi(line, settings)
    for name, owners, command, number in (
        ("Radarr", Owners("movie", "tmdbId"), "RescanMovie", "movieId"),
        ("Sonarr", Owners("series", "tvdbId"), "RescanSeries", "seriesId"),
    ):
        url = getattr(settings, f"{name.lower()}_url")
        if url:
            key = _secret(getattr(settings, f"{name.lower()}_api_key"))
            line = Line(name, name.upper(), f"{name.upper()}_API_KEY",
                        f"the API key in {name}'s settings (General, Security)", url,
                        {"X-Api-Key": key})  # fmt: skip
            found[name.lower()] = Arr(line, settings, owners, command, number)
    return found


def theirs(path: Path, server: str, settings: Settings) -> str:
    """Return what a media server calls a path of ours: its own rules first, then those of all."""
    rules = settings.media_path_map
    own = [(ours.partition(":")[2], their) for ours, their in rules
           if ours.partition(":")[0] == server]  # fmt: skip
    mapped = rewritten(str(path), own)
    return mapped if mapped != str(path) else rewritten(str(path), _for_all(rules))


def _for_all(rules: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(ours, their) for ours, their in rules if ours.startswith("/")]


def _inside(path: str, folder: str) -> bool:
    return bool(folder) and behind(path, folder) is not None


def _dicts(found: object) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _secret(value: SecretStr | None) -> str:
    return value.get_secret_value() if value is not None else ""


def _not_itself(line: Line) -> NotTold:
    return NotTold(
        f"What answers is not {line.label}.",
        hint=f"Check {line.setting}_URL: is its port another's, or a base path missing from it?",
    )
