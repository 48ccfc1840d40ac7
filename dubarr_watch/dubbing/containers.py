"""What each container keeps of a video when it is copied, and how ffmpeg is told to keep it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubarr_watch.errors import CannotDub
from dubarr_watch.languages import Language, same_language
from dubarr_watch.media import Probe, Stream

USE_SIDECAR = "Set OUTPUT_MODE=sidecar to get the dub as a file beside the video."

# Tags that ffmpeg writes in MP4's usual place; any other needs the QuickTime way of keeping tags.
# From libavformat/movenc.c, mov_write_ilst_tag, and what the container makes by itself.
# fmt: off
_USUAL_MP4_TAGS = frozenset({
    "album", "album_artist", "artist", "comment", "compatible_brands", "compilation", "composer",
    "copyright", "creation_time", "date", "description", "disc", "encoder", "encoding_tool",
    "episode_id", "episode_sort", "gapless_playback", "genre", "grouping", "hd_video", "location",
    "location-eng", "lyrics", "major_brand", "media_type", "minor_version", "network", "rating",
    "season_number", "show", "sort_album", "sort_album_artist", "sort_artist", "sort_composer",
    "sort_name", "sort_show", "synopsis", "timecode", "title", "tmpo", "track",
})
# fmt: on


@dataclass(frozen=True, slots=True)
class Container:
    """How one container is written.

    Attributes:
        muxer: ffmpeg's name of it.
        options: Muxer options.
        keeps_clock: Whether packets keep their times; else they are counted from the start.
        keeps_titles: Whether a stream may have a title.
        keeps_languages: Whether a stream may have a language.
        names_handlers: Whether players show a stream's `handler_name` as its title.
        attaches_pictures: Whether a cover picture is an attachment and no stream.
        exact: Whether a copy's packets equal the original's byte for byte.
    """

    muxer: str
    options: tuple[str, ...] = ()
    keeps_clock: bool = True
    keeps_titles: bool = True
    keeps_languages: bool = True
    names_handlers: bool = False
    attaches_pictures: bool = False
    exact: bool = True


_PASSTHROUGH = ("-default_mode", "passthrough")
_MATROSKA = Container("matroska", options=_PASSTHROUGH, attaches_pictures=True)
_WEBM = Container("webm", options=_PASSTHROUGH)
_AVI = Container("avi", keeps_clock=False, keeps_languages=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """What of the original goes into the copy.

    Attributes:
        original: The video.
        container: Its container.
        tracks: Streams that are mapped, in their order.
        pictures_to_attach: Cover pictures that are attached from files.
    """

    original: Probe
    container: Container
    tracks: tuple[Stream, ...]
    pictures_to_attach: tuple[Stream, ...]


def container_of(video: Probe) -> Container:
    """Return how the video's own container is written.

    Raises:
        CannotDub: ffmpeg cannot add an audio track to it and keep it playable everywhere.
    """
    names = set(video.format_name.split(","))
    suffix = video.path.suffix.lower()
    if "matroska" in names:
        return _WEBM if suffix == ".webm" else _MATROSKA
    if "mp4" in names and suffix not in {".3gp", ".3g2", ".mj2"}:
        return _movie_container(video, suffix)
    if "mpegts" in names:
        blu_ray = _has_blu_ray_packets(video.path)
        options = ("-mpegts_m2ts_mode", "1" if blu_ray else "0")
        return Container("mpegts", options=options, keeps_clock=False, keeps_titles=False,
                         exact=False)  # fmt: skip
    if "avi" in names:
        return _AVI
    raise CannotDub(
        f"A {suffix.lstrip('.').upper() or video.format_name} file cannot take another audio "
        "track.",
        hint=USE_SIDECAR,
        path=video.path,
    )


def plan(video: Probe, container: Container, dropped: frozenset[int]) -> Plan:
    """Decide what is mapped; `dropped` are the indexes of our own earlier dubs."""
    kept = [stream for stream in video.streams if stream.index not in dropped]
    if container.muxer in {"mp4", "mov"}:
        kept = [stream for stream in kept if not _is_made_anew(stream, video)]
    pictures = [s for s in kept if container.attaches_pictures and _is_picture(s)]
    tracks = [stream for stream in kept if stream not in pictures]
    return Plan(video, container, tuple(tracks), tuple(pictures))


def copy_arguments(plan: Plan, pictures: Sequence[Path]) -> list[str]:
    """Return the arguments that copy everything in the plan from input 0."""
    arguments = [word for stream in plan.tracks for word in ("-map", f"0:{stream.index}")]
    arguments += ["-c", "copy", "-copy_unknown", "-map_metadata", "0", "-map_chapters", "0"]
    # Dolby Vision and codecs that are newer than a container's rules are kept only when allowed.
    arguments += ["-strict", "experimental", "-max_muxing_queue_size", "9999"]
    arguments += plan.container.options
    for position, stream in enumerate(plan.tracks):
        if "name" in stream.tags and "title" not in stream.tags:
            # MP4's title of a track is read as `name` but written only from `title`.
            arguments += [f"-metadata:s:{position}", f"title={stream.tags['name']}"]
    first = sum(stream.kind == "attachment" for stream in plan.tracks)
    for position, (stream, file) in enumerate(zip(plan.pictures_to_attach, pictures, strict=True)):
        index = first + position
        arguments += ["-attach", str(file)]
        for tag, value in stream.tags.items():
            arguments += [f"-metadata:s:t:{index}", f"{tag}={value}"]
        if "filename" not in stream.tags:
            arguments += [f"-metadata:s:t:{index}", "filename=cover"]
    return arguments


def copied_tracks(plan: Plan, found: Probe) -> list[Stream]:
    """Return the streams of a copy that came from the plan's tracks, in the plan's order."""
    return _originals(plan, found)[0]


def difference(plan: Plan, found: Probe, languages: Sequence[Language], tolerance_s: float) -> str:
    """Say in plain words how a copy differs from what it should be; empty when it does not."""
    originals, dubs = _originals(plan, found)
    if len(originals) != len(plan.tracks):
        return f"it has {len(originals)} of {len(plan.tracks)} streams"
    for before, after in zip(_in_written_order(plan.tracks), _in_written_order(originals),
                             strict=True):  # fmt: skip
        changed = _changed(before, after, plan.container)
        if changed:
            return f"stream {before.index} ({before.kind}) has another {changed}"
    pictures = sum(_is_picture(stream) for stream in plan.original.streams)
    if sum(_is_picture(stream) for stream in found.streams) != pictures:
        return "a cover picture is missing"
    if found.chapters != plan.original.chapters:
        return f"it has {found.chapters} of {plan.original.chapters} chapters"
    if abs(found.duration_s - plan.original.duration_s) > tolerance_s:
        return f"it is {found.duration_s:.2f} s long instead of {plan.original.duration_s:.2f} s"
    return _wrong_dubs(dubs, languages, plan.container)


def _movie_container(video: Probe, suffix: str) -> Container:
    muxer = "mov" if suffix == ".mov" or video.tags.get("major_brand") == "qt  " else "mp4"
    flags = []
    if _index_stands_first(video.path):
        flags.append("+faststart")
    has_picture = any(_is_picture(stream) for stream in video.streams)
    if muxer == "mov" or not (set(video.tags) <= _USUAL_MP4_TAGS or has_picture):
        flags.append("+use_metadata_tags")
    options = ("-movflags", "".join(flags)) if flags else ()
    return Container(muxer, options=options, names_handlers=True)


def _index_stands_first(path: Path) -> bool:
    """Tell whether an MP4 file can be played while it is still being loaded."""
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            size, kind = int.from_bytes(head[:4], "big"), head[4:]
            if kind in {b"moov", b"mdat"}:
                return kind == b"moov"
            if size == 1:
                size = int.from_bytes(file.read(8), "big") - 8
            if size < 8:
                return False
            file.seek(size - 8, 1)
    return False


def _has_blu_ray_packets(path: Path) -> bool:
    """Tell 192-byte packets (a time stamp before each) from plain 188-byte ones."""
    with path.open("rb") as file:
        head = file.read(4 + 192 * 3 + 1)
    return len(head) > 4 + 192 * 2 and all(head[4 + 192 * i] == 0x47 for i in range(3))


def _is_picture(stream: Stream) -> bool:
    return "attached_pic" in stream.dispositions


def _is_made_anew(stream: Stream, video: Probe) -> bool:
    """Chapter and time code tracks are written from chapters and tags, never copied."""
    if stream.kind != "data":
        return False
    return stream.codec_tag == "tmcd" or (stream.codec_tag == "text" and video.chapters > 0)


def _originals(plan: Plan, found: Probe) -> tuple[list[Stream], list[Stream]]:
    """Divide the streams of a copy into the original's and the dubs."""
    streams = [
        s for s in found.streams if not (plan.container.attaches_pictures and _is_picture(s))
    ]
    if plan.container.muxer in {"mp4", "mov"}:
        streams = [stream for stream in streams if not _is_made_anew(stream, found)]
    audio = [stream for stream in streams if stream.kind == "audio"]
    kept = sum(stream.kind == "audio" for stream in plan.tracks)
    dubs = audio[kept:]
    return [stream for stream in streams if stream not in dubs], dubs


def _in_written_order(streams: Sequence[Stream]) -> list[Stream]:
    # Attachments and pictures are listed last, wherever they were mapped.
    return sorted(streams, key=lambda s: (s.kind == "attachment", _is_picture(s)))


def _changed(before: Stream, after: Stream, container: Container) -> str:
    if (before.kind, before.codec) != (after.kind, after.codec):
        return "codec"
    if container.keeps_languages and before.language != after.language:
        return "language"
    if container.keeps_titles and before.tags.get("title") != after.tags.get("title"):
        return "title"
    if before.channels != after.channels:
        return "number of channels"
    if before.dispositions != after.dispositions:
        return "disposition"
    return ""


def _wrong_dubs(dubs: Sequence[Stream], languages: Sequence[Language], container: Container) -> str:
    if len(dubs) != len(languages):
        return f"it has {len(dubs)} of {len(languages)} dubs"
    for dub, language in zip(dubs, languages, strict=True):
        if container.keeps_languages and not same_language(dub.language, language):
            return f"the dub is tagged {dub.language or 'with no language'}"
        if container.keeps_titles and dub.title != language.track_title:
            return f"the dub has the title {dub.title!r}"
        if "default" in dub.dispositions:
            return "the dub is marked as default"
    return ""
