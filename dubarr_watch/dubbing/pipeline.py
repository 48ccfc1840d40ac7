"""The order of the stages of a job; nothing else.

understanding (sound, voices, words, speakers)                             once for a video
-> analyse -> translate -> cast -> synthesize -> mix -> publish -> report  for each language
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import structlog

from dubarr_watch.dubbing.asking import Asking
from dubarr_watch.dubbing.delivery import Delivery, check_delivery
from dubarr_watch.dubbing.dub import Dub, Understood
from dubarr_watch.dubbing.keeping import is_kept
from dubarr_watch.dubbing.recognition import Recognition
from dubarr_watch.dubbing.results import JobResult, LanguageResult, PublishedTrack, job_result
from dubarr_watch.dubbing.room import check_room, refuse_full_disk, work_bytes
from dubarr_watch.dubbing.series_memory import SeriesMemory
from dubarr_watch.dubbing.shares import StageReport, share_before
from dubarr_watch.dubbing.together import AT_A_TIME, SharedProgress, make_each
from dubarr_watch.dubbing.track import TrackMaker
from dubarr_watch.dubbing.understanding import Understanding
from dubarr_watch.dubbing.usage import UsageBook
from dubarr_watch.dubbing.video import Video, open_video, still_there
from dubarr_watch.dubbing.workspace import JobControl, MemoryMeter, Workspace
from dubarr_watch.engines.dispatch import Dispatchers
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import EngineSpecs
from dubarr_watch.engines.texts import ACCOUNT
from dubarr_watch.errors import (
    ClaimLost,
    DiskFull,
    DubarrError,
    JobCancelled,
    MediaError,
    UserMustProvide,
    VideoChanged,
    worth_another_try,
)
from dubarr_watch.languages import Language, parse_language
from dubarr_watch.library.confines import Confines
from dubarr_watch.settings import Settings
from dubarr_watch.store.records import JobRecord, JobState
from dubarr_watch.store.store import Store

log = structlog.get_logger(__name__)

_ENDS_THE_JOB = (JobCancelled, ClaimLost, VideoChanged, DiskFull, UserMustProvide)

_SHARED_PART = 0.3
"""Time until the lines are known against that of one language, as measured; for progress only."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Runs jobs.

    Attributes:
        settings: All settings.
        store: Checkpoints, outputs and videos.
        host: Runs engines.
        specs: Which engines.
        dispatchers: Where requests of all jobs are queued; without any, each job has its own.
    """

    settings: Settings
    store: Store
    host: EngineHost
    specs: EngineSpecs
    dispatchers: Dispatchers | None = None

    def run(self, job: JobRecord, control: JobControl) -> JobResult:
        """Run a job from its last checkpoint to its end.

        A language that fails does not keep the others from being finished. When it may go better
        another time, and there is one, that is asked for once they are.

        Raises:
            CannotDub: The video cannot be dubbed, or is not the same any more.
            NotWritable: Its folder is read-only.
            DiskFull: There is no space, or there will not be enough.
            EngineError: A stage that all languages share failed, or one of a language did and the
                job has an attempt left.
            JobCancelled: Somebody asked for it.
            ClaimLost: Another worker was given the job.
        """
        video = open_video(job.video, self.store, Confines.of(self.settings))
        check_delivery(self.settings, job, video)
        folder = self.settings.work_dir / str(job.id)
        if is_kept(folder):  # of a run that finished: another is to make everything anew
            Workspace(folder, job.id, self.store.checkpoints).clear()
        work = Workspace(folder, job.id, self.store.checkpoints)
        check_room(folder, self._work_bytes(job, video))
        with MemoryMeter().watching() as meter, self._queues() as dispatchers:
            run = _Run.of(self, job, video, work, control, meter, dispatchers)
            try:
                return job_result(run.languages())
            except _ENDS_THE_JOB:
                raise
            except Exception as error:
                refuse_full_disk(error, folder, video)
                if isinstance(error, MediaError):
                    # A video that was taken away while it was read looks like a damaged one.
                    still_there(video.record, self.store, Confines.of(self.settings))
                raise
            finally:
                dispatchers.cancel(job.id)
                self.host.end_job(job.id)

    def _work_bytes(self, job: JobRecord, video: Video) -> int:
        return work_bytes(
            video.found,
            languages=len(job.languages),
            stereo=self.settings.stereo,
            separated=self.specs.separator is not None,
        )

    @contextmanager
    def _queues(self) -> Iterator[Dispatchers]:
        if self.dispatchers is not None:
            yield self.dispatchers
            return
        with Dispatchers() as own:
            yield own


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of one job; `control` also says to stop when one language has ended the job."""

    pipeline: Pipeline
    job: JobRecord
    video: Video
    work: Workspace
    control: JobControl
    meter: MemoryMeter
    dispatchers: Dispatchers
    stopping: threading.Event

    @classmethod
    def of(
        cls,
        pipeline: Pipeline,
        job: JobRecord,
        video: Video,
        work: Workspace,
        control: JobControl,
        meter: MemoryMeter,
        dispatchers: Dispatchers,
    ) -> _Run:
        stopping, cancelled = threading.Event(), control.cancelled
        control = replace(control, cancelled=lambda: stopping.is_set() or cancelled())
        return cls(pipeline, job, video, work, control, meter, dispatchers, stopping)

    def languages(self) -> list[LanguageResult]:
        wanted = [parse_language(code) for code in self.job.languages]
        ended = {one.code: result for one in wanted if (result := self._unspoken(one))}
        if len(ended) == len(wanted):
            return list(ended.values())
        pipe, book = self.pipeline, UsageBook(self.work.folder / "usage.json")
        known = Understanding(
            pipe.settings, pipe.host, pipe.specs, self.video, self._source(), self.work,
            self.control, book, self._shared_part,
            Asking(dispatcher=self.dispatchers.translator, job=self.job.id,
                   cancelled=self.control.cancelled),
        ).understand()  # fmt: skip
        recognition = Recognition(
            pipe.settings, pipe.store, pipe.specs, self.video.record, self.work, pipe.host,
            self.control,
        )  # fmt: skip
        known = recognition.of(known)
        maker = TrackMaker(
            pipe.settings, pipe.host, pipe.specs, self.job, self.video, self.work, known,
            self.control, book, self.dispatchers,
            SeriesMemory.of(self.video.record.path, pipe.settings.videos_dir.absolute(),
                            pipe.store.glossary), pipe.store,
        )  # fmt: skip
        delivery = Delivery(
            pipe.settings, pipe.store, pipe.host, pipe.specs, self.job, self.video, self.work,
            known, self.meter, self.control, book,
        )  # fmt: skip
        for language in wanted:
            if language.code not in ended and (result := self._not_needed(language, known)):
                ended[language.code] = result
        made = self._all_made(wanted, set(ended), maker, delivery)
        bad_luck = next((one.error for one in reversed(made) if one.may_go_better), None)
        if bad_luck and self.job.attempts < pipe.settings.max_attempts:
            raise bad_luck
        dubs = [one.dub for one in made if one.dub is not None]
        inside = {track.language.code: track for track in delivery.inside(dubs)}
        for one in made:
            code = one.language.code
            if one.dub is None:
                ended[code] = LanguageResult(one.language, JobState.FAILED, str(one.error))
                continue
            self.control.report("report", 0.99)
            tracks = [*one.tracks, *filter(None, [inside.get(code)])]
            ended[code] = delivery.report(one.dub, tracks)
        return [ended[language.code] for language in wanted]

    def _source(self) -> str:
        """Return what the original is known by: this job may have put its tracks into it since."""
        now = self.video.record.fingerprint
        known = self.pipeline.store.outputs.by_fingerprint(now)
        if any(one.kind == "mux" and one.job_id == self.job.id for one in known):
            return self.work.kept("source", str) or now
        self.work.keep("source", str, now)
        return now

    def _all_made(
        self, wanted: Sequence[Language], ended: set[str], maker: TrackMaker, delivery: Delivery
    ) -> list[_Made]:
        """Return what becomes of each language that has not ended, in order."""
        progress = SharedProgress(self._languages_part, wanted)
        for language in wanted:
            if language.code in ended:
                progress.done(language)

        def make(language: Language) -> _Made:
            ACCOUNT.set(language.code)
            try:
                return self._made(language, maker, delivery, progress.of(language))
            finally:
                progress.done(language)

        return make_each(
            [language for language in wanted if language.code not in ended],
            make,
            at_a_time=AT_A_TIME if self.pipeline.specs.languages_together else 1,
            stop=self._stop,
        )

    def _made(
        self, language: Language, maker: TrackMaker, delivery: Delivery, report: StageReport
    ) -> _Made:
        try:
            dub = maker.make(language, report)
            report("publish", share_before("publish"))
            return _Made(language, dub, delivery.beside(dub))
        except _ENDS_THE_JOB:
            raise
        except DubarrError as error:
            refuse_full_disk(error, self.work.folder, self.video)
            log.warning("language failed", language=language.code, job=self.job.id, error=error)
            return _Made(language, error=error)

    def _stop(self) -> None:
        """End what is under way for other languages, since one ended the job."""
        self.stopping.set()
        self.dispatchers.cancel(self.job.id)

    def _unspoken(self, language: Language) -> LanguageResult | None:
        """Refuse at once, not after an hour of listening, what no engine here speaks."""
        reason = self.pipeline.specs.refusal(language)
        if not reason:
            return None
        log.warning("language failed", language=language.code, error=reason)
        return LanguageResult(language, JobState.FAILED, reason)

    def _not_needed(self, language: Language, known: Understood) -> LanguageResult | None:
        if not known.lines:
            return LanguageResult(language, JobState.DONE, "No speech found.")
        if len(known.songs) == len(known.lines):
            return LanguageResult(language, JobState.DONE, "Only songs; DUB_SONGS=true dubs them.")
        if known.language == language.code:
            reason = f"It is spoken in {language.name} already."
            return LanguageResult(language, JobState.SKIPPED, reason)
        return None

    def _shared_part(self, stage: str, share: float) -> None:
        self._report(stage, _SHARED_PART * min(max(share, 0.0), 1.0))

    def _languages_part(self, stage: str, languages: float) -> None:
        self._report(stage, _SHARED_PART + languages)

    def _report(self, stage: str, done: float) -> None:
        self.control.report(stage, done / (_SHARED_PART + len(self.job.languages)))


@dataclass(frozen=True, slots=True)
class _Made:
    """What became of one language: a dub and its tracks, or an error."""

    language: Language
    dub: Dub | None = None
    tracks: Sequence[PublishedTrack] = ()
    error: DubarrError | None = None

    @property
    def may_go_better(self) -> bool:
        """Whether another attempt is worth it."""
        return self.error is not None and worth_another_try(self.error)
