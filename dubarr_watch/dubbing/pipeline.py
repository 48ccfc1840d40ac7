"""The order of the stages of a job; nothing else.

extract -> transcribe -> diarize -> lines                       once for a video
-> translate -> cast -> synthesize -> mix -> publish -> report  for each language
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from dubarr_watch.dubbing.delivery import Delivery, check_delivery
from dubarr_watch.dubbing.dub import Dub, Understood
from dubarr_watch.dubbing.extraction import SourceAudio, extract_audio
from dubarr_watch.dubbing.results import JobResult, LanguageResult, PublishedTrack, job_result
from dubarr_watch.dubbing.track import STAGE_SHARES, TrackMaker
from dubarr_watch.dubbing.transcript import Line, make_lines
from dubarr_watch.dubbing.video import Video, open_video, still_there
from dubarr_watch.dubbing.workspace import JobControl, MemoryMeter, Workspace, content_key
from dubarr_watch.engines.base import Progress, Transcript, Turn
from dubarr_watch.engines.embedded_languages import embedded_language
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

T = TypeVar("T")

_ENDS_THE_JOB = (JobCancelled, VideoChanged, DiskFull, UserMustProvide)

# Shares of the time until the lines are known, and that time against one language's, as measured
# on a talk with two cores; for progress only.
_SHARED_SHARES = {"extract": 0.04, "transcribe": 0.8, "diarize": 0.15, "lines": 0.01}
_SHARED_PART = 0.3


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Runs jobs.

    Attributes:
        settings: All settings.
        store: Checkpoints, outputs and videos.
        host: Runs engines.
        specs: Which engines.
    """

    settings: Settings
    store: Store
    host: EngineHost
    specs: EngineSpecs

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
        work = Workspace(self.settings.work_dir / str(job.id), job.id, self.store.checkpoints)
        with MemoryMeter().watching() as meter:
            run = _Run(self, job, video, work, control, meter)
            try:
                return job_result(run.languages())
            except MediaError:
                # A video that was taken away while it was read looks like a damaged one.
                still_there(video.record, self.store)
                raise


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
        known = self._understand()
        pipe = self.pipeline
        maker = TrackMaker(
            pipe.settings, pipe.host, pipe.specs, self.job, self.video, self.work, known,
            self.control.cancelled,
        )  # fmt: skip
        delivery = Delivery(
            pipe.settings, pipe.store, pipe.host, pipe.specs, self.job, self.video, self.work,
            known, self.meter, self.control,
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
                report("publish", 1 - STAGE_SHARES["publish"] - STAGE_SHARES["report"])
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
        if not self.pipeline.specs.embedded or embedded_language(language.code):
            return None
        reason = f"No voice speaks {language.name}. See `dubarr-watch languages`."
        log.warning("language failed", language=language.code, error=reason)
        return LanguageResult(language, JobState.FAILED, reason)

    def _not_needed(self, language: Language, known: Understood) -> LanguageResult | None:
        if not known.lines:
            return LanguageResult(language, JobState.DONE, "No speech found.")
        if known.language == language.code:
            reason = f"It is spoken in {language.name} already."
            return LanguageResult(language, JobState.SKIPPED, reason)
        return None

    def _understand(self) -> Understood:
        """Return what all languages share: the sound, its lines and the language spoken."""
        settings, work, control = self.pipeline.settings, self.work, self.control
        specs, host = self.pipeline.specs, self.pipeline.host
        cancelled, stall_s = control.cancelled, control.stall_s
        key = content_key(self.video.record.fingerprint, settings.source_lang, specs.transcriber)
        audio = self._shared(
            "extract", key, SourceAudio,
            lambda progress: extract_audio(
                self.video.found, work.folder, source=settings.source_lang,
                control=control, progress=progress,
            ),
        )  # fmt: skip

        def transcribe(progress: Progress) -> Transcript:
            spoken = settings.source_lang.code if settings.source_lang else None
            with host.engine(
                "transcriber", specs.transcriber, cancelled=cancelled, stall_s=stall_s
            ) as transcriber:
                return transcriber.transcribe(audio.models, language=spoken, progress=progress)

        transcript = self._shared("transcribe", key, Transcript, transcribe)

        def diarize(progress: Progress) -> list[Turn]:
            if not transcript.words:
                return []
            with host.engine(
                "diarizer", specs.diarizer, cancelled=cancelled, stall_s=stall_s
            ) as diarizer:
                return diarizer.diarize(audio.models, transcript.voice, progress=progress)

        key = content_key(key, specs.diarizer)
        turns = self._shared("diarize", key, list[Turn], diarize)
        lines = self._shared("lines", key, list[Line], lambda _: make_lines(transcript, turns))
        return Understood(audio, transcript.language, lines, list(transcript.voice), key)

    def _shared(self, stage: str, key: str, kind: type[T], make: Callable[[Progress], T]) -> T:
        self.control.stop_if_cancelled()
        names = list(_SHARED_SHARES)
        before = sum(_SHARED_SHARES[name] for name in names[: names.index(stage)])
        report = self._part(before * _SHARED_PART, _SHARED_SHARES[stage] * _SHARED_PART)
        report(stage, 0.0)

        def progress(done: float, total: float) -> None:
            report(stage, done / total if total > 0 else 0.0)

        return self.work.stage(stage, "", key, kind, lambda: make(progress))

    def _part(self, start: float, size: float) -> Callable[[str, float], None]:
        """Return a reporter for one part of the job: (stage, share of the part)."""
        total = _SHARED_PART + len(self.job.languages)

        def report(stage: str, share: float) -> None:
            self.control.report(stage, (start + size * min(max(share, 0.0), 1.0)) / total)

        return report
