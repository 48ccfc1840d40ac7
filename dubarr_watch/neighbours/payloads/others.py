"""Bazarr, Tautulli, scripts and people: whoever names one file that is to be dubbed."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dubarr_watch.neighbours.payloads.reading import (
    MAX_FILES,
    PATH_CHARS,
    Ignored,
    News,
    Payload,
    Test,
    Wanted,
    What,
    event_of,
    text,
    texts,
)

WISHES = ("languages", "mode", "style", "again", "priority")

_WISH_CHARS = 400

# What Radarr and Sonarr call an import when they run a script; `added` and `created` are
# Tautulli's names for a video that has come, `play` and `on_play` for one that is being watched.
_WORTH_IT = frozenset(
    {"", "download", "added", "created", "on_created", "play", "on_play", "watched", "on_watched"}
)


def parse(payload: Payload) -> News | None:
    """Return what the payload asks for, or nothing when it names no file."""
    event = event_of(payload, "event") or event_of(payload, "action")
    for sender, key, known_by in (
        ("Bazarr", "episode", ("subtitles", "subtitles_language", "subtitles_language_code2")),
        ("Tautulli", "file", ("action", "event", "rating_key")),
        ("", "path", ()),
    ):
        if isinstance(payload.get(key), str) and (
            not known_by or any(name in payload for name in known_by)
        ):
            what = _what(payload, event, _paths(text(payload, key)), told=not sender)
            return News(sender, event or "path", what)
    return None


def _what(payload: Payload, event: str, paths: tuple[str, ...], *, told: bool) -> What:
    if event.lower() == "test":
        return Test()
    if event.lower() not in _WORTH_IT:
        return Ignored(f"{event} asks for nothing.")
    if not paths and not told:
        return Ignored("It names no file.")
    return Wanted(paths, _wishes(payload), told)


def _paths(listed: str) -> tuple[str, ...]:
    """Return the paths in a text; Sonarr gives a script those of an import with | between them."""
    found = re.split(r"\|(?=/|[A-Za-z]:[\\/]|\\\\)", listed)
    return tuple(path for path in found if 0 < len(path) <= PATH_CHARS)[:MAX_FILES]


def _wishes(payload: Payload) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name in WISHES:
        value = payload.get(name)
        if isinstance(value, bool):
            found[name] = "yes" if value else "no"
        elif isinstance(value, list):
            found[name] = ",".join(texts(payload, name))
        elif isinstance(value, str) and value.strip():
            found[name] = value.strip()
    return {name: value[:_WISH_CHARS] for name, value in found.items()}
