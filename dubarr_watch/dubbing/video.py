"""The video that a job works on, and the proof that it is still the same."""

from __future__ import annotations

from dataclasses import dataclass, field

from dubarr_watch.errors import NotAVideo, VideoChanged
from dubarr_watch.library.confines import Confines
from dubarr_watch.library.naming import fingerprint
from dubarr_watch.library.readiness import MAX_DURATION_S
from dubarr_watch.media import Opener, Probe, held, probe, readable
from dubarr_watch.store.records import VideoRecord
from dubarr_watch.store.store import Store


@dataclass(frozen=True, slots=True)
class Video:
    """A video as it was when its job started.

    Attributes:
        record: As the store knows it.
        found: What is in it.
        opened: Opens what belongs to it, if that lies in the library.
    """

    record: VideoRecord
    found: Probe
    opened: Opener = field(default=held, compare=False)


def open_video(record: VideoRecord, store: Store, confines: Confines) -> Video:
    """Return a video ready to be worked on.

    Raises:
        LeadsOut: A link makes it look as if it were in the library.
        VideoChanged: It is not there, or not what it was when it was queued.
        NotAVideo: There is nothing in it to dub, or its length is not plausible.
        MediaError: It cannot be opened, or ffprobe does not answer.
    """
    current = still_there(record, store, confines)
    with readable(current.path, confines.opened) as name:
        found = probe(current.path, name)
    if found.duration_s <= 0:
        raise NotAVideo("This file does not say how long it is.", path=current.path)
    if found.duration_s > MAX_DURATION_S:
        raise NotAVideo(
            f"This file says that it is {found.duration_s / 3600:.0f} hours long.",
            hint="It is most likely damaged: replace it.",
            path=current.path,
        )
    return Video(current, found, confines.opened)


def still_there(record: VideoRecord, store: Store, confines: Confines) -> VideoRecord:
    """Return where a video is now, if its content is what it was.

    A video that was moved or renamed meanwhile is found where the library saw it last.

    Raises:
        LeadsOut: A link makes it look as if it were in the library.
        VideoChanged: It was deleted, or replaced by another one.
    """
    current = store.videos.get(record.id)
    confines.check(current.path)
    try:
        same = _is_same(current, record, store)
    except OSError:
        raise VideoChanged(
            "The video is gone.",
            hint="Nothing was published. Put it back, or forget the job.",
            path=current.path,
        ) from None
    if not same:
        raise VideoChanged(
            "The video was replaced while it was worked on.",
            hint="Nothing was published for the old one; the new one is queued by itself.",
            path=current.path,
        )
    return current


def _is_same(current: VideoRecord, record: VideoRecord, store: Store) -> bool:
    stat = current.path.stat()
    seen = (stat.st_size, stat.st_mtime_ns) == (current.size_bytes, current.mtime_ns)
    content = current.fingerprint if seen else fingerprint(current.path)
    if content == record.fingerprint:
        return True
    # The process died between putting a track into the video and writing that down.
    return any(output.kind == "mux" for output in store.outputs.by_fingerprint(content))
