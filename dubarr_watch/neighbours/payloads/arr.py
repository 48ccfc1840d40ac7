"""Radarr's and Sonarr's webhooks: Settings, Connect, Webhook.

Fields as in the two projects' sources (NzbDrone.Core/Notifications/Webhook), camelCase, nulls left
out. Sonarr sends `Download` in two shapes: On Import has `episodeFile`, On Import Complete has
`episodeFiles`; with both switched on each file comes twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from dubarr_watch.neighbours.payloads.reading import (
    Arrived,
    Deleted,
    Ignored,
    News,
    Payload,
    Renamed,
    Test,
    What,
    event_of,
    part,
    parts,
    path_of,
    present,
    spoken_languages,
    tags_of,
    text,
)


@dataclass(frozen=True, slots=True)
class _Sender:
    """Where one of the two keeps what both tell.

    Attributes:
        name: What it is called.
        owner: The film or the series.
        folder: The owner's folder.
        file: The file that an event is about.
        files: Several of them.
        renamed: The files that were renamed.
        known_by: Fields that only its payloads have.
    """

    name: str
    owner: str
    folder: str
    file: str
    files: str
    renamed: str
    known_by: frozenset[str]


_RADARR = _Sender(
    "Radarr", "movie", "folderPath", "movieFile", "movieFiles", "renamedMovieFiles",
    frozenset({"movie", "movieFile", "movieFiles", "renamedMovieFiles", "remoteMovie"}),
)  # fmt: skip
_SONARR = _Sender(
    "Sonarr", "series", "path", "episodeFile", "episodeFiles", "renamedEpisodeFiles",
    frozenset({"series", "episodes", "episodeFile", "episodeFiles", "renamedEpisodeFiles"}),
)  # fmt: skip
_EITHER = "Radarr or Sonarr"


def parse(payload: Payload) -> News | None:
    """Return what Radarr or Sonarr says, or nothing when neither of them sent it."""
    event = event_of(payload, "eventType")
    if not event:
        return None
    for sender in (_RADARR, _SONARR):
        if sender.known_by & payload.keys():
            return News(sender.name, event, _what(payload, event, sender))
    # Their messages about themselves (Health, ApplicationUpdate) name neither film nor series.
    instance = text(payload, "instanceName")
    name = instance if instance in (_RADARR.name, _SONARR.name) else _EITHER
    return News(name, event, Test() if event.lower() == "test" else _unknown(event))


def _what(payload: Payload, event: str, sender: _Sender) -> What:
    match event.lower():
        case "test":
            return Test()
        case "download":
            return _arrived(payload, sender)
        case "rename":
            return _renamed(payload, sender)
        case "moviefiledelete" | "episodefiledelete":
            return _file_deleted(payload, sender)
        case "moviedelete" | "seriesdelete":
            return _owner_deleted(payload, sender)
        case _:
            return _unknown(event)


def _arrived(payload: Payload, sender: _Sender) -> Arrived | Ignored:
    owner = part(payload, sender.owner)
    folder = text(owner, sender.folder)
    files = [part(payload, sender.file), *parts(payload, sender.files)]
    found = {
        path: spoken_languages(file, owner) for file in files if (path := path_of(file, folder))
    }
    if not found:
        return Ignored("It names no file.")
    replaced = [path_of(file, folder) for file in parts(payload, "deletedFiles")]
    return Arrived(tuple(found.items()), tags_of(owner), present(replaced))


def _renamed(payload: Payload, sender: _Sender) -> Renamed | Ignored:
    folder = text(part(payload, sender.owner), sender.folder)
    pairs = []
    for file in parts(payload, sender.renamed):
        old = path_of(file, folder, "previousPath", "previousRelativePath")
        new = path_of(file, folder)
        if old and new and old != new:
            pairs.append((old, new))
    return Renamed(tuple(pairs)) if pairs else Ignored("It names no file that has a new path.")


def _file_deleted(payload: Payload, sender: _Sender) -> Deleted | Ignored:
    folder = text(part(payload, sender.owner), sender.folder)
    path = path_of(part(payload, sender.file), folder)
    if not path:
        return Ignored("It names no file.")
    return Deleted((path,), on_purpose=text(payload, "deleteReason").lower() == "manual")


def _owner_deleted(payload: Payload, sender: _Sender) -> Deleted | Ignored:
    if payload.get("deletedFiles") is not True:
        return Ignored("Its files were kept.")
    folder = text(part(payload, sender.owner), sender.folder)
    return Deleted((folder,), on_purpose=True) if folder else Ignored("It names no folder.")


def _unknown(event: str) -> Ignored:
    return Ignored(f"{event} asks for nothing.")
