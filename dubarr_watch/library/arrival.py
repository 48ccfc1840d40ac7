"""A settled file on its way into the queue: who it is, what is asked of it, what is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

import structlog

from dubarr_watch.errors import CannotDub, IllegalTransition, PublishError, printable
from dubarr_watch.languages import Language
from dubarr_watch.library.asking import AWAY, FORBIDDEN, GONE, GOOD, REPLACED, Ask, Asking
from dubarr_watch.library.confines import Confines
from dubarr_watch.library.naming import fingerprint, sidecar_path
from dubarr_watch.library.readiness import Left, NotReady, examine, languages_left
from dubarr_watch.library.scanner import SeenFile
from dubarr_watch.media import Probe
from dubarr_watch.settings import OutputMode, Settings
from dubarr_watch.store.records import JobOptions, JobRecord, JobState, VideoRecord, VideoState
from dubarr_watch.store.store import Store

_LOG = structlog.get_logger(__name__)

PATIENCE_S = 3600.0
"""A file that cannot be dubbed and has not changed for so long is told to be so; a change of it
starts everything anew."""


class Outcome(StrEnum):
    """What became of a settled file."""

    QUEUED = "queued"
    NOTHING = "nothing to do"
    NOT_READY = "not ready"
    FORBIDDEN = "forbidden"


class Arrival:
    """Takes settled files over.

    Args:
        settings: OUTPUT_MODE, PROCESS_EXISTING, SOURCE_LANG.
        store: Videos, jobs, outputs.
        asking: What is asked for.
        probe: `media.probe`, or a stand-in.
        patience_s: See `PATIENCE_S`.
        refusal: Says why a language cannot be dubbed into; empty when it can.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        asking: Asking,
        probe: Callable[[Path], Probe],
        *,
        patience_s: float = PATIENCE_S,
        refusal: Callable[[Language], str] = lambda language: "",
    ) -> None:
        self._settings = settings
        self._store = store
        self._asking = asking
        self._probe = probe
        self._patience_s = patience_s
        self._refusal = refusal

    def consider(self, seen: SeenFile, *, unchanged_for_s: float) -> tuple[VideoRecord, Outcome]:
        """Record a settled file and queue what is asked of it.

        Args:
            seen: The file as it was found unchanged.
            unchanged_for_s: For how long.

        Raises:
            FileNotFoundError: It vanished.
            OSError: Its folder cannot be reached.
        """
        video = self.identify(seen, VideoState.ARRIVED)
        forbidden = self._asking.forbidden_by(seen.path)
        if forbidden is not None:
            reason = f"{FORBIDDEN} {printable(forbidden)}."
            self._note(video, reason)
            self.call_off(video, JobState.SKIPPED, reason)
            return video, Outcome.FORBIDDEN
        if video.note.startswith(FORBIDDEN):
            self._note(video, "")
        asks = self._asking.asks_for(video, by_default=self._wanted_by_default(video))
        if not asks:
            return video, Outcome.NOTHING
        patient = unchanged_for_s < self._patience_s
        try:
            Confines.of(self._settings).check(seen.path)
            found = examine(seen.path, self._probe, patient=patient)
            for ask in asks:
                self._assert_nameable(seen.path, ask)
        except NotReady as error:
            reason = f"{error.message} {error.hint}".strip()
            self._refuse(video, asks, reason, waiting=patient)
            return video, Outcome.NOT_READY if patient else Outcome.NOTHING
        except (CannotDub, PublishError) as error:
            self._refuse(video, asks, f"{error.message} {error.hint}".strip(), waiting=False)
            return video, Outcome.NOTHING
        with self._store.transaction(synced=False):
            queued = [self._queue(video, ask, found) for ask in asks]
        return video, Outcome.QUEUED if any(queued) else Outcome.NOTHING

    def identify(self, seen: SeenFile, state: VideoState) -> VideoRecord:
        """Record a file and return the video that it is: a known one, moved or not, or a new one.

        Raises:
            OSError: It cannot be found.
        """
        key = _fingerprint(seen)
        before = self._store.videos.by_path(seen.path)
        if before is not None and (
            _only_tags_changed(before, seen, key)
            or self._store.outputs.is_mux_of(before.id, seen.path, seen.size_bytes, seen.mtime_ns)
        ):
            self._store.videos.recontent(
                before.id,
                size_bytes=seen.size_bytes,
                mtime_ns=seen.mtime_ns,
                fingerprint=key,
            )
            return self._store.videos.get(before.id)
        moved_from = self._moved_from(seen.path, key)
        with self._store.transaction(synced=False):  # else the next scan finds it once more
            video = self._store.videos.record(seen.path, seen.size_bytes, seen.mtime_ns, key, state)
        if before is not None and before.id != video.id and before.state is not VideoState.MISSING:
            self._supersede(before)
        if moved_from is not None:
            _LOG.info("video_moved", video=video.id, old=moved_from, new=seen.path)
            self._asking.follow(moved_from, seen.path)
        return video

    def call_off(self, video: VideoRecord, state: JobState, reason: str) -> None:
        """End the jobs of a video that have not started; they come back when the reason ends."""
        for job in self._store.jobs.for_video(video.id):
            if job.state in (JobState.WAITING, JobState.QUEUED):
                with suppress(IllegalTransition):  # started in this very moment
                    self._store.jobs.finish(job.id, state, reason)
                    _LOG.info("job_called_off", job=job.id, video=video.path, reason=reason)

    def resume(self) -> None:
        """Queue again what waits for a disk that is there again."""
        for job in self._store.jobs.queue():
            waits = job.state is JobState.WAITING and job.reason.startswith(AWAY)
            if waits and os.path.lexists(job.video.path):
                self._store.jobs.enqueue(job.video.id, job.languages, job.options)
                _LOG.info("job_resumed", job=job.id, video=job.video.path)

    def gone(self, video: VideoRecord) -> None:
        """Record that a video is not there any more; nothing of it is forgotten."""
        _LOG.info("video_gone", video=video.id, path=video.path)
        self._store.videos.mark_missing([video.id])
        self.call_off(video, JobState.CANCELLED, GONE)

    def _wanted_by_default(self, video: VideoRecord) -> bool:
        if video.state is VideoState.BASELINE and not self._settings.process_existing:
            return False
        # Our own muxed file, known by record, or by content when it was moved since.
        if self._store.outputs.is_ours(video.path, video.size_bytes, video.mtime_ns):
            return False
        return not any(
            output.kind == "mux" for output in self._store.outputs.by_fingerprint(video.fingerprint)
        )

    def order(
        self, video: VideoRecord, languages: Sequence[Language], options: JobOptions
    ) -> JobRecord:
        """Queue what somebody asks of a known video; returns the job that does it, or has done it.

        Raises:
            CannotDub: A `.nodub` forbids it, or it has no sound or no pictures.
            NotReady: It cannot be dubbed as it is now.
            PublishError: No track of it could be named.
        """
        forbidden = self._asking.forbidden_by(video.path)
        if forbidden is not None:
            raise CannotDub(f"{FORBIDDEN} {printable(forbidden)}.", path=video.path)
        ask = Ask(tuple(languages), options)
        self._assert_nameable(video.path, ask)
        left = self._left(video, ask, examine(video.path, self._probe, patient=True))
        with self._store.transaction():
            if left.languages:
                codes = [language.code for language in left.languages]
                return self._store.jobs.enqueue(video.id, codes, options)
            codes = [language.code for language in languages]
            for job in self._store.jobs.for_video(video.id):
                if job.state in GOOD and set(codes) <= set(job.languages):
                    return job
            reason = " ".join(left.reasons)
            return self._store.jobs.enqueue(
                video.id, codes, options, state=JobState.SKIPPED, reason=reason
            )

    def _left(self, video: VideoRecord, ask: Ask, found: Probe) -> Left:
        return languages_left(
            found,
            ask.languages,
            again=ask.options.again,
            source=self._settings.source_lang,
            told=self._store.spoken.of(video.path),
            published=lambda language: self._published(video, ask, language),
        )

    def _queue(self, video: VideoRecord, ask: Ask, found: Probe) -> bool:
        left = self._left(video, ask, found)
        request = ask.request.id if ask.request else None
        refused = [language for language in left.languages if self._refusal(language)]
        wanted = [language for language in left.languages if language not in refused]
        reason = " ".join([*left.reasons, *map(self._refusal, refused)])
        if refused:
            self._store.jobs.enqueue(
                video.id,
                [language.code for language in refused],
                ask.options,
                request,
                JobState.FAILED if ask.request else JobState.SKIPPED,
                " ".join(map(self._refusal, refused)),
            )
            _LOG.warning("language refused", video=video.path, reason=reason)
        if not wanted:
            if refused:
                self._drop_waiting(video, reason)
                self._note(video, reason)
                return False
            codes = [language.code for language in ask.languages]
            job = self._store.jobs.enqueue(
                video.id, codes, ask.options, request, JobState.SKIPPED, reason
            )
            self._drop_waiting(video, reason)
        else:
            codes = [language.code for language in wanted]
            job = self._store.jobs.enqueue(video.id, codes, ask.options, request)
        self._note(video, reason)
        _LOG.info("job", job=job.id, video=video.path, languages=codes, state=job.state)
        return bool(wanted)

    def _refuse(
        self, video: VideoRecord, asks: Sequence[Ask], reason: str, *, waiting: bool
    ) -> None:
        if not waiting:
            self._drop_waiting(video, reason)
        for ask in asks:
            codes = [language.code for language in ask.languages]
            # What somebody asked for by name has failed; what merely arrived is passed over.
            end = JobState.FAILED if ask.request else JobState.SKIPPED
            self._store.jobs.enqueue(
                video.id,
                codes,
                ask.options,
                ask.request.id if ask.request else None,
                JobState.WAITING if waiting else end,
                reason,
            )
        if video.note != reason:
            _LOG.info("video_not_ready", video=video.path, reason=reason, waiting=waiting)
        self._note(video, reason)

    def _assert_nameable(self, path: Path, ask: Ask) -> None:
        """Say now, and not after hours of dubbing, that a track could not be named."""
        if not self._only_muxed(ask):
            for language in ask.languages:
                sidecar_path(path, language.code)

    def _only_muxed(self, ask: Ask) -> bool:
        return (ask.options.mode or self._settings.output_mode) == OutputMode.MUX

    def _drop_waiting(self, video: VideoRecord, reason: str) -> None:
        for job in self._store.jobs.for_video(video.id):
            if job.state is JobState.WAITING:
                with suppress(IllegalTransition):
                    self._store.jobs.finish(job.id, JobState.SKIPPED, reason)

    def _published(self, video: VideoRecord, ask: Ask, language: Language) -> bool:
        """Tell whether our sidecar in a language is there, where a sidecar is what is wanted."""
        if self._only_muxed(ask):
            return False
        known = self._store.outputs.for_video(video.id)
        if any(
            o.language == language.code and o.kind == "sidecar" and o.path.exists() for o in known
        ):
            return True
        # The database may be a new one; a track beside a video whose stem is its own is its.
        plain = sidecar_path(video.path, language.code)
        return plain.exists() and self._store.outputs.by_path(plain) is None

    def _supersede(self, old: VideoRecord) -> None:
        """Another content has come to a video's path, or more of the same has."""
        self.call_off(old, JobState.CANCELLED, REPLACED)
        jobs = self._store.jobs.for_video(old.id)
        if old.state is VideoState.ARRIVED and all(not job.attempts for job in jobs):
            # Nothing was ever made of it: a slow copy would leave one such for each of its pauses.
            with suppress(IllegalTransition):
                self._store.videos.forget(old.id)

    def _moved_from(self, path: Path, content: str) -> Path | None:
        same = self._store.videos.by_fingerprint(content)
        if same is None or same.path == path or os.path.lexists(same.path):
            return None
        return same.path

    def _note(self, video: VideoRecord, note: str) -> None:
        if video.note != note:
            self._store.videos.set_note(video.id, note)


def _fingerprint(seen: SeenFile) -> str:
    try:
        return fingerprint(seen.path)
    except FileNotFoundError:
        raise
    except OSError:
        # Unreadable now, perhaps not later; until then nothing else can be like it.
        return f"unreadable:{seen.path.name.encode('utf-8', 'surrogateescape').hex()}"


def _only_tags_changed(before: VideoRecord, seen: SeenFile, content: str) -> bool:
    """Tell whether a file was edited in place, as mkvpropedit does, and not replaced.

    Another version of exactly the same length does not happen; a file whose space was reserved
    before it arrived does.
    """
    same_length = before.fingerprint != content and before.size_bytes == seen.size_bytes
    return same_length and before.state is not VideoState.MISSING
