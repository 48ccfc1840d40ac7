"""Finished mixes to where people find them: published tracks, subtitles and the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dubarr_watch.dubbing.codecs import most_bytes
from dubarr_watch.dubbing.dub import Dub, Understood
from dubarr_watch.dubbing.dub_voice import DubVoice, find_voice
from dubarr_watch.dubbing.muxing import publish_muxed
from dubarr_watch.dubbing.passes import Watch
from dubarr_watch.dubbing.places import names_for
from dubarr_watch.dubbing.publishing import check_place, publish_file
from dubarr_watch.dubbing.report import Costs, Report, line_reports, report_path, summarize
from dubarr_watch.dubbing.results import LanguageResult, PublishedTrack
from dubarr_watch.dubbing.speaker_report import speakers_heard
from dubarr_watch.dubbing.subtitle_text import Cue
from dubarr_watch.dubbing.subtitle_writing import write_srt
from dubarr_watch.dubbing.track_file import publish_sidecar
from dubarr_watch.dubbing.usage import UsageBook
from dubarr_watch.dubbing.video import Video, still_there
from dubarr_watch.dubbing.workspace import JobControl, MemoryMeter, Workspace, content_key
from dubarr_watch.engines.base import EngineSpec, Span
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import EngineSpecs, made_by
from dubarr_watch.errors import printable
from dubarr_watch.languages import Language, parse_language
from dubarr_watch.library.confines import Confines
from dubarr_watch.library.naming import fingerprint, sidecar_path, temporary_name
from dubarr_watch.settings import OutputMode, Settings
from dubarr_watch.store.records import JobRecord, JobState, OutputRecord, VideoRecord
from dubarr_watch.store.store import Store


def check_delivery(settings: Settings, job: JobRecord, video: Video) -> None:
    """Find out, before anything is listened to, whether the job's tracks could be published.

    Raises:
        NotWritable: The video's folder is read-only.
        DiskFull: There is too little space in it.
        PublishError: A track's name would be too long.
    """
    each_bytes = most_bytes(video.found, stereo=settings.stereo)
    tracks_bytes = each_bytes * len(job.languages)
    mode = _mode(settings, job)
    if mode is not OutputMode.SIDECAR:
        needed = video.found.size_bytes + tracks_bytes
        check_place(video.record.path, job=job.id, needs_bytes=needed, opened=video.opened)
    if mode is not OutputMode.MUX:
        for code in job.languages:
            target = sidecar_path(video.record.path, code)
            check_place(target, job=job.id, needs_bytes=tracks_bytes, opened=video.opened)


def _mode(settings: Settings, job: JobRecord) -> OutputMode:
    return OutputMode(job.options.mode or settings.output_mode)


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
        control: Cancel, stall and priority.
        book: What engines have cost.
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
    book: UsageBook

    @property
    def mode(self) -> OutputMode:
        """Where tracks go: what the job asks for, else OUTPUT_MODE."""
        return _mode(self.settings, self.job)

    def beside(self, dub: Dub) -> list[PublishedTrack]:
        """Publish a dub beside the video, as far as the mode asks for it, and its subtitles.

        Raises:
            VideoChanged: The video is gone or another one.
            PublishError: A file that is not ours has the name.
        """
        where = self._check().path  # a video that was renamed since has no track beside it yet
        mixed = fingerprint(dub.audio)
        key = content_key(dub.fitted, mixed, self.mode, self.settings.subtitles, where)
        return self.work.stage(
            "publish", dub.language.code, key, list[PublishedTrack], lambda: self._publish(dub)
        )

    def _publish(self, dub: Dub) -> list[PublishedTrack]:
        tracks: list[PublishedTrack] = []
        names = names_for(self._check(), dub.language, self.store)
        if self.mode is not OutputMode.MUX:
            track = PublishedTrack(dub.language, names.track.path, "sidecar")
            publish_sidecar(
                dub.audio,
                target=names.track.path,
                language=dub.language,
                duration_s=self.understood.audio.duration_s,
                still_there=self._still_there,
                job=self.job.id,
                token=self.job.token,
                naming=partial(self._naming, [track]),
                may_replace=names.track.ours,
                like=self._check().path,
                opened=self.video.opened,
            )
            tracks.append(track)
        if self.settings.subtitles:
            written = self.work.folder / f"lines.{dub.language.code}.srt"
            write_srt(_cues(dub), written)
            track = PublishedTrack(dub.language, names.subtitles.path, "subtitles")
            publish_file(
                written,
                target=names.subtitles.path,
                job=self.job.id,
                still_there=self._still_there,
                token=self.job.token,
                naming=partial(self._naming, [track]),
                may_replace=names.subtitles.ours,
                like=self._check().path,
                opened=self.video.opened,
            )
            tracks.append(track)
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
        tracks = [PublishedTrack(dub.language, video.path, "mux") for dub in dubs]
        publish_muxed(
            video.path,
            [(dub.language, dub.audio) for dub in dubs],
            work=self.work.folder,
            still_there=self._still_there,
            job=self.job.id,
            token=self.job.token,
            naming=partial(self._naming, tracks, within=video),
            earlier=self._put_in_before(video),
            opened=self.video.opened,
            watch=Watch(
                cancelled=self.control.cancelled,
                stall_s=self.control.stall_s,
                on_step=lambda step: self._announce(step, video.path),
            ),
        )
        return tracks

    def report(self, dub: Dub, tracks: Sequence[PublishedTrack]) -> LanguageResult:
        """Listen to the result, write its report, and say how the language ended."""
        code = dub.language.code
        heard = self.listen(dub)
        lines = line_reports(dub.parts, dub.fitted)
        seconds = self.work.stage_seconds(code)
        summary = summarize(
            lines,
            original=self.understood.voice,
            dub=heard,
            loudness=dub.loudness,
            costs=Costs(
                seconds,
                self.understood.audio.duration_s,
                self.meter.peak_mib,
                self.book.of(code),
            ),
            notes=[*dub.notes, *dub.mix_notes],
            depth_lu=dub.depth_lu,
            speakers=speakers_heard(dub.parts, self.understood),
        )
        self.work.keep("understood", Understood, self.understood)
        self.work.keep(f"dub.{code}", Dub, dub)
        to_check = _to_check(dub)
        state = JobState.DONE_WITH_WARNINGS if to_check else JobState.DONE
        video = printable(self.store.videos.get(self.video.record.id).path)
        report = Report(self.job.id, video, code, state.value, lines, summary)
        path = report_path(self.settings.reports_dir, self.job.id, code)
        report.write(path)
        return LanguageResult(dub.language, state, to_check, tuple(tracks), report, path)

    def listen(self, dub: Dub) -> list[Span]:
        """Return where the dub has voice; looked into once."""
        spec = self.specs.listener or self.specs.transcriber
        key = content_key(dub.fitted, self.understood.audio.duration_s, made_by(spec))
        return self.work.stage(
            "report", dub.language.code, key, list[Span], lambda: self._listen(dub, spec)
        )

    def _listen(self, dub: Dub, spec: EngineSpec) -> list[Span]:
        """Return where the dub has voice; it is written out alone for as long as that takes."""
        name = f"voice.{dub.language.code}"
        speech = self.work.folder / f"speech.{dub.language.code}.wav"
        with self.host.engine("transcriber", spec, **self.control.watch) as transcriber:
            found = find_voice(
                dub.takes, self.understood.audio.duration_s, content_key(made_by(spec)),
                transcriber.voice_activity, speech, self.work.kept(name, DubVoice),
            )  # fmt: skip
        if not self.settings.debug_mode:
            speech.unlink(missing_ok=True)
        self.work.keep(name, DubVoice, found)
        return found.spans

    @contextmanager
    def _naming(
        self, tracks: Sequence[PublishedTrack], within: VideoRecord | None = None
    ) -> Iterator[None]:
        """Let a file get its final name, and write that down, if this worker still has the job.

        One transaction holds all of it: whoever takes the job over waits, and then knows the file.
        """
        with self.store.transaction(alone=False):
            yield
            for track in tracks:
                self._remember(track)
            if within is not None:
                self._know_again(within)

    def _still_there(self) -> None:
        self._check()

    def _announce(self, step: str, video: Path) -> None:
        """Write down what the video is about to become, so that it is known after a crash."""
        if step == "asked":
            target = video.resolve()
            copy = target.with_name(temporary_name(target.name, self.job.id, self.job.token))
            self._record(copy, video, self.job.languages[0], "mux")

    def _put_in_before(self, video: VideoRecord) -> list[Language]:
        jobs = self.store.jobs.for_video(video.id)
        tracks = [track for job in jobs for track in self.store.jobs.tracks(job.id)]
        return [parse_language(track.language) for track in tracks if track.kind == "mux"]

    def _check(self) -> VideoRecord:
        return still_there(self.video.record, self.store, Confines.of(self.settings))

    def _remember(self, track: PublishedTrack) -> None:
        self._record(track.path, track.path, track.language.code, track.kind)
        self.store.jobs.add_track(self.job.id, track.language.code, track.path, track.kind)

    def _record(self, file: Path, path: Path, language: str, kind: str) -> None:
        stat = file.stat()
        self.store.outputs.record(
            OutputRecord(
                path=path,
                job_id=self.job.id,
                language=language,
                kind=kind,
                size_bytes=stat.st_size,
                mtime_ns=stat.st_mtime_ns,
                fingerprint=fingerprint(file),
            )
        )

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
    told = [
        f"{count} {'line' if count == 1 else 'lines'} {what}"
        for count, what in (
            (dub.cut_short, "cut short"),
            (dub.left_silent, "left silent"),
            (dub.misspoken, "not heard as written"),
            (dub.cast_problems, "of cast.toml not followed"),
        )
        if count
    ]
    return f"To check: {', '.join(told)}." if told else ""
