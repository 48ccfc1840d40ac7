"""Finished tracks inside their video: in a copy that takes its place.

Nothing of the original is encoded again, reordered or left out. A copy is compared with the
original stream by stream, packet data included, before it takes the original's name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from dubarr_watch.dubbing import containers
from dubarr_watch.dubbing.codecs import fallback, fits
from dubarr_watch.dubbing.containers import USE_SIDECAR, Plan
from dubarr_watch.dubbing.passes import (
    DURATION_TOLERANCE_S,
    Watch,
    dub_tags,
    half_of,
    probe_written,
    run_pass,
)
from dubarr_watch.dubbing.publishing import Naming, Place, publish
from dubarr_watch.errors import PublishError, VideoChanged
from dubarr_watch.languages import Language, same_language
from dubarr_watch.media import (
    Opener,
    Probe,
    held,
    input_arguments,
    output_name,
    probe,
    readable,
)


def publish_muxed(
    video: Path,
    audios: Sequence[tuple[Language, Path]],
    *,
    work: Path,
    still_there: Callable[[], None],
    job: int,
    token: int = 0,
    naming: Naming = nullcontext,
    earlier: Collection[Language] = (),
    watch: Watch | None = None,
    opened: Opener = held,
) -> Path:
    """Put tracks into a video: a whole copy takes its place, tracks appended last.

    Everything else is copied: streams in their order, chapters, attachments, cover pictures, tags,
    permissions and attributes. Our earlier dub of the same language is replaced. The time of
    change is new, so that media servers look again; a hard link to the original keeps its bytes.

    Args:
        video: The video; when it is a symbolic link, the file it points to is replaced.
        audios: Language and encoded track of each dub, time 0 being the video's first moment.
        work: The job's work folder, for small helper files.
        still_there: Raises `VideoChanged` when the video is gone or another.
        job: The job, part of the temporary name.
        token: See `Place`.
        naming: See `Place`.
        earlier: Languages that we are on record to have put into this file; only needed for
            containers that keep no titles.
        watch: Progress, cancel and stall.
        opened: Opens the video and its folder.

    Returns:
        `video`.

    Raises:
        CannotDub: The container cannot take another audio track.
        PublishError: The copy is not equal to the original.
        DiskFull, NotWritable, VideoChanged, MediaError, JobCancelled: As they say.
    """
    watch = watch or Watch()
    still_there()
    with readable(video, opened) as source:
        target = source.resolve()
        before = _identity(source)
        original = probe(target, source)
        plan = _plan(original, [language for language, _ in audios], earlier)
        copy = _Copy(plan, source, audios, work, job, watch)

        def unchanged() -> None:
            still_there()
            if _identity(target) != before:
                raise VideoChanged(
                    "The video was changed while the dub was put into it.", path=video
                )

        place = Place(
            target=target,
            job=job,
            still_there=unchanged,
            token=token,
            naming=naming,
            may_replace=True,
            like=target,
            whole=True,
            on_step=watch.on_step,
            opened=opened,
        )
        needs = original.size_bytes + sum(path.stat().st_size for _, path in audios)
        publish(place, copy.write, copy.verify, needs_bytes=needs)
    return video


@dataclass(frozen=True, slots=True)
class _Copy:
    """A copy of a video, with tracks put into it.

    Attributes:
        plan: What is copied, and how.
        source: The name that the original is held open by.
        audios: Language and encoded track of each dub.
        work: The job's work folder.
        job: The job.
        watch: Progress, cancel and stall.
    """

    plan: Plan
    source: Path
    audios: Sequence[tuple[Language, Path]]
    work: Path
    job: int
    watch: Watch

    def write(self, temporary: Path) -> None:
        """Write it, and beside it the hashes of what was read."""
        plan = self.plan
        pictures = _save_pictures(plan, self.source, self.work, self.job, self.watch)
        arguments = [
            *_inputs(plan, self.source, self.audios), *containers.copy_arguments(plan, pictures),
            *_dub_arguments(plan, self.audios),
            "-f", plan.container.muxer, output_name(temporary),
            *_hash_arguments([stream.index for stream in plan.tracks], self._hashes("original")),
        ]  # fmt: skip
        self._run(arguments, second=False)

    def verify(self, temporary: Path) -> None:
        """Compare it with the original.

        Raises:
            PublishError: It is not equal.
        """
        plan, target = self.plan, self.plan.original.path
        found = probe_written(temporary, target)
        languages = [language for language, _ in self.audios]
        wrong = containers.difference(plan, found, languages, DURATION_TOLERANCE_S)
        if not wrong and plan.container.exact:
            indexes = [stream.index for stream in containers.copied_tracks(plan, found)]
            hashing = _hash_arguments(indexes, self._hashes("copy"))
            self._run([*input_arguments(temporary), *hashing], second=True)
            if _hash_values(self._hashes("original")) != _hash_values(self._hashes("copy")):
                wrong = "its streams do not hold the same data"
        if wrong:
            raise PublishError(
                f"The copy is not equal to the original: {wrong}.", hint=USE_SIDECAR, path=target
            )

    def _hashes(self, of: str) -> Path:
        return self.work / f"{of}.{self.job}.streamhash"

    def _run(self, arguments: Sequence[str], *, second: bool) -> None:
        original = self.plan.original
        run_pass(arguments, original.path, original.duration_s, half_of(self.watch, second=second))


def _plan(original: Probe, languages: Sequence[Language], earlier: Collection[Language]) -> Plan:
    container = containers.container_of(original)
    return containers.plan(original, container, _earlier_dubs(original, languages, earlier))


def _identity(path: Path) -> tuple[int, int, int, int]:
    try:
        seen = os.stat(path)  # noqa: PTH116 - the path may hold any bytes
    except FileNotFoundError:
        raise VideoChanged("The video is not there any more.", path=path) from None
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns


def _earlier_dubs(
    original: Probe, languages: Sequence[Language], on_record: Collection[Language]
) -> frozenset[int]:
    """Return the indexes of our own dubs that the new ones replace."""
    found: set[int] = set()
    audio = original.of_kind("audio")
    for language in languages:
        titled = [stream.index for stream in audio if stream.title == language.track_title]
        tagged = [stream.index for stream in audio if same_language(stream.language, language)]
        if titled:
            found.update(titled)
        elif language in on_record and tagged:
            found.add(tagged[-1])  # dubs are appended last
    return frozenset(found)


def _inputs(plan: Plan, source: Path, audios: Sequence[tuple[Language, Path]]) -> list[str]:
    """Return the inputs, every clock left as it is where the container keeps clocks."""
    if not plan.container.keeps_clock:
        return [
            *input_arguments(source),
            *(word for _, path in audios for word in input_arguments(path)),
        ]
    offset = f"{plan.original.start_s:.6f}"
    return [
        "-copyts", *input_arguments(source),
        *(word for _, path in audios for word in input_arguments(path, "-itsoffset", offset)),
    ]  # fmt: skip


def _dub_arguments(plan: Plan, audios: Sequence[tuple[Language, Path]]) -> list[str]:
    arguments: list[str] = []
    first = sum(stream.kind == "audio" for stream in plan.tracks)
    for position, (language, audio) in enumerate(audios):
        index = first + position
        arguments += ["-map", f"{position + 1}:a:0", *dub_tags(index, language)]
        if plan.container.names_handlers:
            name = f"handler_name={language.track_title}"
            arguments += [f"-metadata:s:a:{index}", name]
        arguments += _codec_arguments(plan.container.muxer, audio, f"a:{index}")
    return arguments


def _codec_arguments(muxer: str, audio: Path, stream: str) -> list[str]:
    """Copy a track, unless it was made for a file of its own and this container cannot hold it."""
    (found,) = probe(audio).of_kind("audio")
    if fits(muxer, found.codec):
        return [f"-c:{stream}", "copy"]
    return fallback(muxer, found.channels).arguments_for(stream)


def _save_pictures(plan: Plan, source: Path, work: Path, job: int, watch: Watch) -> list[Path]:
    """Write cover pictures to files where the container attaches pictures from files."""
    saved: list[Path] = []
    for stream in plan.pictures_to_attach:
        file = work / f"picture.{job}.{stream.index}"
        arguments = [
            *input_arguments(source), "-map", f"0:{stream.index}", "-c", "copy",
            "-frames:v", "1", "-f", "rawvideo", output_name(file),
        ]  # fmt: skip
        run_pass(arguments, plan.original.path, 0, watch)
        saved.append(file)
    return saved


def _hash_arguments(indexes: Sequence[int], file: Path) -> list[str]:
    maps = [word for index in indexes for word in ("-map", f"0:{index}")]
    return [*maps, "-c", "copy", "-copy_unknown", "-f", "streamhash", "-hash", "murmur3",
            output_name(file)]  # fmt: skip


def _hash_values(file: Path) -> list[str]:
    """Return the hash of each stream in order, without the index before it."""
    lines = file.read_text(encoding="ascii", errors="replace").splitlines()
    return [line.split(",", 1)[1] for line in lines if "," in line]
