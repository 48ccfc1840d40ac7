"""Finished mixes to where people find them: published tracks, subtitles and the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubarr_watch.dubbing.fitting import Outcome
from dubarr_watch.dubbing.muxing import Watch, publish_muxed, publish_sidecar
from dubarr_watch.dubbing.publishing import publish_file
from dubarr_watch.dubbing.report import Costs, Report, line_reports, report_path, summarize
from dubarr_watch.dubbing.results import LanguageResult, PublishedTrack
from dubarr_watch.dubbing.subtitles import Cue, write_srt
from dubarr_watch.dubbing.track import Dub, Understood
from dubarr_watch.dubbing.video import Video, still_there
from dubarr_watch.dubbing.workspace import JobControl, MemoryMeter, Workspace, content_key
from dubarr_watch.engines.base import Span
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import EngineSpecs
from dubarr_watch.languages import Language, parse_language
from dubarr_watch.library.naming import fingerprint, is_our_output, sidecar_path, subtitles_path
from dubarr_watch.settings import OutputMode, Settings
from dubarr_watch.store.records import JobRecord, JobState, OutputRecord, VideoRecord
from dubarr_watch.store.store import Store


@dataclass(frozen=True, slots=True)
class Delivery:
    """Publishes the dubs of one job.

    Attributes:
        settings: OUTPUT_MODE, SUBTITLES and folders.
        store: What was published before.
        host: Runs the engine that listens to the result.
        specs: Which engine.
        job: The job.
        video: Its video.
        work: Its work folder.
        understood: The original.
        meter: Watches memory.
        control: Cancel and stall.
    """

    settings: Settings
    store: Store
    host: EngineHost
    specs: EngineSpecs
    job: JobRecord
    video: Video
    work: Workspace
    understood: Understood
    meter: MemoryMeter
    control: JobControl

    @property
    def mode(self) -> OutputMode:
        """Where tracks go: what the job asks for, else OUTPUT_MODE."""
        return OutputMode(self.job.options.mode or self.settings.output_mode)

    def beside(self, dub: Dub) -> list[PublishedTrack]:
        """Publish a dub beside the video, as far as the mode asks for it, and its subtitles.

        Raises:
            VideoChanged: The video is gone or another one.
            PublishError: A file that is not ours has the name.
        """
        video = self._check()
        tracks: list[PublishedTrack] = []
        if self.mode is not OutputMode.MUX:
            target = self._target(video, sidecar_path, dub)
            publish_sidecar(
                dub.audio,
                target=target,
                language=dub.language,
                duration_s=self.understood.audio.duration_s,
                still_there=self._still_there,
                job=self.job.id,
                may_replace=self._is_ours(target),
                like=video.path,
            )
            tracks.append(PublishedTrack(dub.language, target, "sidecar"))
        if self.settings.subtitles:
            target = self._target(video, subtitles_path, dub)
            written = self.work.folder / f"lines.{dub.language.code}.srt"
            write_srt(_cues(dub), written)
            publish_file(
                written,
                target=target,
                job=self.job.id,
                still_there=self._still_there,
                may_replace=self._is_ours(target),
                like=video.path,
            )
            tracks.append(PublishedTrack(dub.language, target, "subtitles"))
        for track in tracks:
            self._remember(track)
        return tracks

    def inside(self, dubs: Sequence[Dub]) -> list[PublishedTrack]:
        """Publish dubs into the video, all in one pass, as far as the mode asks for it.

        Raises:
            VideoChanged: The video is gone or another one.
            PublishError: The container cannot hold them.
        """
        if self.mode is OutputMode.SIDECAR or not dubs:
            return []
        video = self._check()
        publish_muxed(
            video.path,
            [(dub.language, dub.audio) for dub in dubs],
            work=self.work.folder,
            still_there=self._still_there,
            job=self.job.id,
            earlier=self._put_in_before(video),
            watch=Watch(cancelled=self.control.cancelled, stall_s=self.control.stall_s),
        )
        tracks = [PublishedTrack(dub.language, video.path, "mux") for dub in dubs]
        for track in tracks:
            self._remember(track)
        self._know_again(video)
        return tracks

    def report(self, dub: Dub, tracks: Sequence[PublishedTrack]) -> LanguageResult:
        """Listen to the result, write its report, and say how the language ended."""
        code = dub.language.code
        heard = self.work.stage(
            "report", code, content_key(dub.fitted), list[Span], lambda: self._listen(dub)
        )
        lines = line_reports(dub.parts, dub.fitted)
        seconds = self.work.stage_seconds(code)
        summary = summarize(
            lines,
            original=self.understood.voice,
            dub=heard,
            loudness=dub.loudness,
            costs=Costs(seconds, self.understood.audio.duration_s, self.meter.peak_mib),
            notes=dub.notes,
        )
        state = JobState.DONE_WITH_WARNINGS if dub.lines_to_check else JobState.DONE
        report = Report(self.job.id, str(self.video.record.path), code, state.value, lines, summary)
        path = report_path(self.settings.reports_dir, self.job.id, code)
        report.write(path)
        return LanguageResult(dub.language, state, _to_check(dub), tuple(tracks), report, path)

    def _listen(self, dub: Dub) -> list[Span]:
        with self.host.engine(
            "transcriber",
            self.specs.transcriber,
            cancelled=self.control.cancelled,
            stall_s=self.control.stall_s,
        ) as transcriber:
            return transcriber.voice_activity(dub.speech)

    def _still_there(self) -> None:
        self._check()

    def _put_in_before(self, video: VideoRecord) -> list[Language]:
        outputs = self.store.outputs.for_video(video.id)
        return [parse_language(known.language) for known in outputs if known.kind == "mux"]

    def _check(self) -> VideoRecord:
        return still_there(self.video.record, self.store)

    def _target(self, video: VideoRecord, name: Callable[..., Path], dub: Dub) -> Path:
        """Return a free name: another video's dub in the same folder may have the usual one."""
        target = name(video.path, dub.language.code)
        theirs = self.store.outputs.by_path(target)
        taken = (
            theirs is not None
            and target.exists()
            and self.store.jobs.get(theirs.job_id).video.id != video.id
        )
        return name(video.path, dub.language.code, taken_by_other=True) if taken else target

    def _is_ours(self, target: Path) -> bool:
        return is_our_output(target.name)

    def _remember(self, track: PublishedTrack) -> None:
        stat = track.path.stat()
        self.store.outputs.record(
            OutputRecord(
                path=track.path,
                job_id=self.job.id,
                language=track.language.code,
                kind=track.kind,
                size_bytes=stat.st_size,
                mtime_ns=stat.st_mtime_ns,
                fingerprint=fingerprint(track.path),
            )
        )
        self.store.jobs.add_track(self.job.id, track.language.code, track.path, track.kind)

    def _know_again(self, video: VideoRecord) -> None:
        """A video with a new track in it is the same video, not a new one to dub."""
        stat = video.path.stat()
        self.store.videos.recontent(
            video.id,
            size_bytes=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
            fingerprint=fingerprint(video.path),
        )


def _cues(dub: Dub) -> list[Cue]:
    return [
        Cue(
            done.placed_s,
            max(done.placed_s + done.fit.duration_s, min(part.line.end_s, part.slot.end_s)),
            done.take.text,
        )
        for part, done in zip(dub.parts, dub.fitted, strict=True)
        if done.take is not None and done.path is not None
    ]


def _to_check(dub: Dub) -> str:
    outcomes = [done.outcome for done in dub.fitted]
    told = [
        f"{count} {'line' if count == 1 else 'lines'} {what}"
        for outcome, what in ((Outcome.TRIMMED, "cut short"), (Outcome.SILENT, "left silent"))
        if (count := outcomes.count(outcome))
    ]
    return f"To check: {', '.join(told)}." if told else ""
