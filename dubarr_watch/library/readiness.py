"""Whether a settled file can be dubbed now, and which languages are left to dub."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from dubarr_watch.errors import DubarrError, MediaError, NoAudio, NotAVideo
from dubarr_watch.languages import Language, same_language
from dubarr_watch.library.completeness import missing_bytes
from dubarr_watch.media import Probe, Stream

MIN_DURATION_S = 0.5
MAX_DURATION_S = 48 * 3600.0
"""Lengths outside of these are a damaged or half-written header."""

_NOT_THE_FILM = frozenset({"comment", "visual_impaired", "hearing_impaired"})


class NotReady(DubarrError):
    """The file cannot be dubbed as it is now; it may still be arriving."""


@dataclass(frozen=True, slots=True)
class Left:
    """What of a wish is left to do.

    Attributes:
        languages: To dub.
        reasons: Why each other language is not, in plain words.
    """

    languages: tuple[Language, ...]
    reasons: tuple[str, ...]


def examine(path: Path, probe: Callable[[Path], Probe], *, patient: bool) -> Probe:
    """Return what is in a settled file, once it can be dubbed.

    Args:
        path: The file.
        probe: `media.probe`.
        patient: Whether bytes that the container promises and the file lacks are waited for.

    Raises:
        NotReady: It is empty, cut off, no media, or cannot be read: it may still be arriving.
        NoAudio: It is whole, and has no sound.
        NotAVideo: It is whole, and has no pictures.
    """
    try:
        if path.stat().st_size == 0:
            raise NotReady("The file is empty.", path=path)
        lacking = missing_bytes(path)
    except OSError as error:
        raise NotReady(
            f"The file cannot be read: {error.strerror or error}.",
            hint="Give the user that runs dubarr-watch the right to read it.",
            path=path,
        ) from error
    if lacking and patient:
        raise NotReady(
            f"The file is not complete: {_amount(lacking)} are missing at its end.", path=path
        )
    try:
        found = probe(path)
    except (NotAVideo, MediaError) as error:
        raise NotReady(error.message, hint=error.hint, path=path) from error
    if not MIN_DURATION_S <= found.duration_s <= MAX_DURATION_S:
        raise NotReady(f"Its length of {found.duration_s:.1f} s is not plausible.", path=path)
    if not found.of_kind("audio"):
        raise NoAudio("The video has no audio to dub.", path=path)
    if not any("attached_pic" not in s.dispositions for s in found.of_kind("video")):
        raise NotAVideo("The file has sound but no pictures.", path=path)
    return found


def languages_left(
    found: Probe,
    wanted: Iterable[Language],
    *,
    again: bool,
    source: Language | None,
    published: Callable[[Language], bool],
    told: Collection[str] = (),
) -> Left:
    """Return which languages are left to dub, and why the others are not.

    Args:
        found: The video.
        wanted: Languages asked for.
        again: Whether a track that is there is made anew; what is spoken never is.
        source: SOURCE_LANG, the language spoken, when the user says so.
        published: Tells whether our own track in a language is beside the video.
        told: Codes of what a neighbour says that it speaks; they count where a track of the file
            does not say its language itself.
    """
    left: list[Language] = []
    reasons: list[str] = []
    tracks = [s for s in found.of_kind("audio") if not s.dispositions & _NOT_THE_FILM]
    silent = source is None and any(s.language in ("", "und") for s in tracks)
    for language in wanted:
        if source == language or _spoken_in(tracks, language, source):
            reasons.append(f"It is spoken in {language.name}.")
        elif not again and any(same_language(s.language, language) for s in tracks):
            reasons.append(f"It already has an audio track in {language.name}.")
        elif not again and silent and language.code in told:
            reasons.append(f"It is in {language.name} already, says who brought it.")
        elif not again and published(language):
            reasons.append(f"It is already dubbed into {language.name}.")
        else:
            left.append(language)
    return Left(tuple(left), tuple(reasons))


def _spoken_in(tracks: list[Stream], language: Language, source: Language | None) -> bool:
    if source is not None or not tracks:
        return False
    main = next((s for s in tracks if "default" in s.dispositions), tracks[0])
    return same_language(main.language, language)


def _amount(size_bytes: int) -> str:
    if size_bytes < 1_000_000:
        return f"{size_bytes} bytes"
    return f"{size_bytes / 1_000_000:.0f} MB"
