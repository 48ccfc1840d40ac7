"""The order of the stages of a job; nothing else.

understanding (sound, voices, words, speakers)                             once for a video
-> analyse -> translate -> cast -> synthesize -> mix -> publish -> report  for each language
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from dubarr_watch.dubbing.delivery import Delivery, check_delivery
from dubarr_watch.dubbing.dub import Dub, Understood
from dubarr_watch.dubbing.keeping import is_kept
from dubarr_watch.dubbing.results import JobResult, LanguageResult, PublishedTrack, job_result
from dubarr_watch.dubbing.track import TrackMaker, share_before
from dubarr_watch.dubbing.understanding import Understanding
from dubarr_watch.dubbing.usage import UsageBook
from dubarr_watch.dubbing.video import Video, open_video, still_there
from dubarr_watch.dubbing.workspace import JobControl, MemoryMeter, Workspace
from dubarr_watch.engines.dispatch import Dispatchers
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import EngineSpecs
from dubarr_watch.errors import (
    DiskFull,
    DubarrError,
    JobCancelled,
    MediaError,
    UserMustProvide,
    VideoChanged,
    worth_another_try,
)
from dubarr_watch.languages import Language, parse_language
from dubarr_watch.settings import Settings
from dubarr_watch.store.records import JobRecord, JobState
from dubarr_watch.store.store import Store

log = structlog.get_logger(__name__)

_ENDS_THE_JOB = (JobCancelled, VideoChanged, DiskFull, UserMustProvide)

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
        dispatchers: Where requests of all jobs are queued; without any, each track has its own.
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
            DiskFull: There is no space.
            EngineError: A stage that all languages share failed, or one of a language did and the
                job has an attempt left.
            JobCancelled: Somebody asked for it.
        """
        video = open_video(job.video, self.store)
        check_delivery(self.settings, job, video)
        folder = self.settings.work_dir / str(job.id)
        if is_kept(folder):  # of a run that finished: another is to make everything anew
            Workspace(folder, job.id, self.store.checkpoints).clear()
        work = Workspace(folder, job.id, self.store.checkpoints)
        with MemoryMeter().watching() as meter:
            run = _Run(self, job, video, work, control, meter)
            try:
                return job_result(run.languages())
            except MediaError:
                # A video that was taken away while it was read looks like a damaged one.
                still_there(video.record, self.store)
                raise
            finally:
                if self.dispatchers is not None:
                    self.dispatchers.cancel(job.id)
                self.host.end_job(job.id)


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of one job."""

    pipeline: Pipeline
    job: JobRecord
    video: Video
    work: Workspace
    control: JobControl
    meter: MemoryMeter

    def languages(self) -> list[LanguageResult]:
        wanted = [parse_language(code) for code in self.job.languages]
        ended = {one.code: result for one in wanted if (result := self._unspoken(one))}
        if len(ended) == len(wanted):
            return list(ended.values())
        pipe, book = self.pipeline, UsageBook(self.work.folder / "usage.json")
        known = Understanding(
            pipe.settings, pipe.host, pipe.specs, self.video, self.work, self.control, book,
            self._part(0.0, _SHARED_PART),
        ).understand()  # fmt: skip
        maker = TrackMaker(
            pipe.settings, pipe.host, pipe.specs, self.job, self.video, self.work, known,
            self.control, book, pipe.dispatchers,
        )  # fmt: skip
        delivery = Delivery(
            pipe.settings, pipe.store, pipe.host, pipe.specs, self.job, self.video, self.work,
            known, self.meter, self.control, book,
        )  # fmt: skip
        bad_luck: DubarrError | None = None
        finished: list[tuple[Dub, list[PublishedTrack]]] = []
        for i, language in enumerate(wanted):
            if language.code in ended:
                continue
            if result := self._not_needed(language, known):
                ended[language.code] = result
                continue
            report = self._part(_SHARED_PART + i, 1.0)
            try:
                dub = maker.make(language, report)
                report("publish", share_before("publish"))
                finished.append((dub, delivery.beside(dub)))
            except _ENDS_THE_JOB:
                raise
            except DubarrError as error:
                log.warning("language failed", language=language.code, job=self.job.id, error=error)
                ended[language.code] = LanguageResult(language, JobState.FAILED, str(error))
                bad_luck = error if worth_another_try(error) else bad_luck
        if bad_luck and self.job.attempts < pipe.settings.max_attempts:
            raise bad_luck
        inside = {track.language.code: track for track in delivery.inside([d for d, _ in finished])}
        for dub, tracks in finished:
            code = dub.language.code
            self.control.report("report", 0.99)
            ended[code] = delivery.report(dub, [*tracks, *filter(None, [inside.get(code)])])
        return [ended[language.code] for language in wanted]

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
        if known.language == language.code:
            reason = f"It is spoken in {language.name} already."
            return LanguageResult(language, JobState.SKIPPED, reason)
        return None

    def _part(self, start: float, size: float) -> Callable[[str, float], None]:
        """Return a reporter for one part of the job: (stage, share of the part)."""
        total = _SHARED_PART + len(self.job.languages)

        def report(stage: str, share: float) -> None:
            self.control.report(stage, (start + size * min(max(share, 0.0), 1.0)) / total)

        return report
