"""Where the sounds of a finished job are, and its report."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dubarr_watch.dubbing.dub import Understood
from dubarr_watch.dubbing.page.making import Sources
from dubarr_watch.dubbing.report import Report
from dubarr_watch.dubbing.workspace import Workspace
from dubarr_watch.errors import DubarrError, NotInStore
from dubarr_watch.languages import Language
from dubarr_watch.media import probe
from dubarr_watch.settings import Settings
from dubarr_watch.store.records import JobRecord
from dubarr_watch.store.store import Store


def read_report(path: Path) -> Report:
    """Return a report that a job wrote.

    Raises:
        NotInStore: Its file is gone or cannot be read.
        DubarrError: It is no report.
    """
    try:
        return TypeAdapter(Report).validate_json(path.read_bytes())
    except OSError as error:
        raise NotInStore(
            f"The report cannot be read: {error.strerror}.",
            hint="`dubarr-watch dub` makes the track and its report anew.",
            path=path,
        ) from error
    except ValidationError as error:
        raise DubarrError("This is no report of this program.", path=path) from error


def sources_of(settings: Settings, store: Store, job: JobRecord, language: Language) -> Sources:
    """Return where the original and the track are: as kept for redo, else as published.

    Raises:
        NotInStore: The track is gone.
    """
    tracks = [one for one in store.jobs.tracks(job.id) if one.language == language.code]
    beside = next((one.path for one in tracks if one.kind == "sidecar" and one.path.exists()), None)
    inside = next((one.path for one in tracks if one.kind == "mux" and one.path.exists()), None)
    if beside is None and inside is None:
        raise NotInStore(
            f"The {language.name} track is gone.",
            hint="`dubarr-watch dub` makes it anew.",
            path=tracks[0].path if tracks else job.video.path,
        )
    dub = (beside, 0) if beside is not None else (inside or job.video.path, 0)
    if beside is None:
        audio = probe(dub[0]).of_kind("audio")
        ours = [n for n, stream in enumerate(audio) if stream.title == language.track_title]
        dub = (dub[0], ours[-1] if ours else len(audio) - 1)
    folder = settings.work_dir / str(job.id)
    known = (
        Workspace(folder, job.id, store.checkpoints).kept("understood", Understood)
        if folder.is_dir()
        else None
    )
    original = known.audio.bed if known is not None else store.videos.get(job.video.id).path
    return Sources(original, 0, *dub)
