"""What all languages of a video share: its sound, who says what in it, and their voices.

extract -> separate -> transcribe -> diarize -> lines -> voices -> correct -> references

`separate`, `voices`, `correct` and `references` are made where the engines ask for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import structlog

from dubarr_watch.dubbing.asking import ALONE, Asking
from dubarr_watch.dubbing.correction import correct_lines
from dubarr_watch.dubbing.dub import Understood
from dubarr_watch.dubbing.extraction import SourceAudio, extract_audio
from dubarr_watch.dubbing.references import Reference, make_references
from dubarr_watch.dubbing.separation import Separated, separate_voices
from dubarr_watch.dubbing.songs import sounding_sung, sung_lines
from dubarr_watch.dubbing.subtitle_text import Cue
from dubarr_watch.dubbing.subtitle_timing import in_time
from dubarr_watch.dubbing.subtitles import FoundSubtitles, find_subtitles
from dubarr_watch.dubbing.transcript import Line, make_lines, untranscribed_voice
from dubarr_watch.dubbing.usage import UsageBook
from dubarr_watch.dubbing.video import Video
from dubarr_watch.dubbing.voices import Voices, know_voices
from dubarr_watch.dubbing.workspace import JobControl, Workspace, content_key
from dubarr_watch.engines.base import EngineSpec, Progress, Span, Transcript, Turn
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.pyannote_model import FALLBACK_NOTE
from dubarr_watch.engines.registry import EngineSpecs, made_by
from dubarr_watch.errors import UnknownLanguage, UserMustProvide
from dubarr_watch.languages import parse_language
from dubarr_watch.settings import Settings

log = structlog.get_logger(__name__)

T = TypeVar("T")

# As measured on a talk with two cores (separation and correction: guessed); for progress only.
_WEIGHTS = {"extract": 4, "separate": 60, "transcribe": 80, "diarize": 15, "lines": 1,
            "voices": 5, "correct": 5, "references": 2}  # fmt: skip

Reporter = Callable[[str, float], None]
"""Called with (stage, share of understanding done)."""


@dataclass(frozen=True, slots=True)
class Diarized:
    """Who speaks when.

    Attributes:
        turns: As from the engine; empty when nobody speaks.
        note: What a listener should know of how they were found.
    """

    turns: list[Turn]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Understanding:
    """Understands the video of one job.

    Attributes:
        settings: All settings.
        host: Runs engines.
        specs: Which engines.
        video: The video.
        source: What the video's original is known by.
        work: The job's work folder.
        control: Cancel, stall and priority.
        book: What it costs is noted here.
        report: Told how far it is.
        asking: In which queue the language model is asked.
    """

    settings: Settings
    host: EngineHost
    specs: EngineSpecs
    video: Video
    source: str
    work: Workspace
    control: JobControl
    book: UsageBook
    report: Reporter
    asking: Asking = ALONE

    def understand(self) -> Understood:
        """Run every stage that is due, each from its checkpoint where that is good.

        Raises:
            CannotDub: The video has no sound.
            EngineError: An engine failed.
            JobCancelled: Somebody asked for it.
        """
        specs = self.specs
        key = content_key(self.source, self.settings.source_lang, self.settings.stereo)
        audio = self._stage("extract", key, SourceAudio, self._extract)
        separated = None
        if specs.separator is not None:
            spec = specs.separator
            key = content_key(key, made_by(spec))
            separated = self._stage(
                "separate", key, Separated, lambda told: self._separate(audio, spec, told)
            )
        heard = separated.models if separated else audio.models
        key = content_key(key, made_by(specs.transcriber))
        transcript = self._stage(
            "transcribe", key, Transcript, lambda told: self._transcribe(heard, told)
        )
        key = content_key(key, made_by(specs.diarizer))
        diarized = self._stage(
            "diarize", key, Diarized, lambda told: self._diarize(heard, transcript, told)
        )
        turns = diarized.turns
        lines = self._stage("lines", key, list[Line], lambda _: make_lines(transcript, turns))
        voices = Voices(lines, [])
        if specs.printer is not None and lines:
            printer = specs.printer
            key = content_key(key, made_by(printer))
            voices = self._stage(
                "voices", content_key(key, self.settings.dub_songs), Voices,
                lambda told: self._listen(heard, printer, lines, told, alone=separated is not None),
            )  # fmt: skip
        subtitles = self._subtitles(transcript.language) if lines else FoundSubtitles()
        subtitles = in_time(subtitles, transcript.voice, transcript.duration_s)
        key, lines = self._corrected(key, voices.lines, subtitles.cues, transcript.language)
        songs = self._songs(lines, subtitles, voices.sung)
        references: list[Reference] = []
        if specs.clones and lines:
            sound = separated.clean if separated else audio.bed
            spoken = [line for line in lines if line.index not in songs]
            references = self._stage(
                "references", content_key(key, spoken), list[Reference],
                lambda _: make_references(sound, spoken, turns, self.work.folder / "references"),
            )  # fmt: skip
        return Understood(
            audio=audio,
            separated=separated,
            language=transcript.language,
            lines=lines,
            voice=list(transcript.voice),
            references=references,
            notes=[diarized.note] if diarized.note else [],
            voices=voices.speakers,
            songs=songs,
            key=key,
            wordless=untranscribed_voice(transcript, lines),
        )

    def _extract(self, progress: Progress) -> SourceAudio:
        return extract_audio(
            self.video.found,
            self.work.folder,
            source=self.settings.source_lang,
            stereo=self.settings.stereo,
            control=self.control,
            progress=progress,
            opened=self.video.opened,
        )

    def _separate(self, audio: SourceAudio, spec: EngineSpec, progress: Progress) -> Separated:
        with self.host.engine("separator", spec, **self.control.watch) as separator:
            return separate_voices(
                audio, separator, self.work.folder, control=self.control, progress=progress
            )

    def _transcribe(self, heard: Path, progress: Progress) -> Transcript:
        spoken = self.settings.source_lang
        with self.host.engine(
            "transcriber", self.specs.transcriber, **self.control.watch
        ) as transcriber:
            code = spoken.code if spoken else None
            return transcriber.transcribe(heard, language=code, progress=progress)

    def _diarize(self, heard: Path, transcript: Transcript, progress: Progress) -> Diarized:
        if not transcript.words:
            return Diarized([])

        def turns(spec: EngineSpec) -> list[Turn]:
            with self.host.engine("diarizer", spec, **self.control.watch) as diarizer:
                return diarizer.diarize(heard, transcript.voice, progress=progress)

        try:
            return Diarized(turns(self.specs.diarizer))
        except UserMustProvide as error:
            if self.specs.diarizer_fallback is None:
                raise
            log.warning("diarization fell back", error=error)
            note = f"{FALLBACK_NOTE} {error.message}"
            return Diarized(turns(self.specs.diarizer_fallback), note)

    def _listen(
        self,
        heard: Path,
        spec: EngineSpec,
        lines: Sequence[Line],
        progress: Progress,
        *,
        alone: bool,
    ) -> Voices:
        with self.host.engine("printer", spec, **self.control.watch) as printer:
            spans = [Span(line.start_s, line.end_s) for line in lines]
            voices = know_voices(lines, printer.voices(heard, spans, progress=_half(progress)))
            if self.settings.dub_songs:
                return voices
            singing = printer.singing(heard, spans, progress=_half(progress, second=True))
            return replace(voices, sung=sorted(sounding_sung(lines, singing, alone=alone)))

    def _songs(
        self, lines: Sequence[Line], subtitles: FoundSubtitles, sung: Sequence[int]
    ) -> list[int]:
        if self.settings.dub_songs:
            return []
        return sorted(sung_lines(lines, subtitles.songs) | set(sung))

    def _corrected(
        self, key: str, lines: list[Line], cues: Sequence[Cue], code: str
    ) -> tuple[str, list[Line]]:
        """Return the lines with what was misheard put right, where there are subtitles."""
        if not cues or not self.specs.understands:
            return key, lines
        key = content_key(key, made_by(self.specs.translator), cues)
        return key, self._stage(
            "correct", key, list[Line], lambda told: self._correct(lines, cues, code, told)
        )

    def _correct(
        self, lines: Sequence[Line], cues: Sequence[Cue], code: str, progress: Progress
    ) -> list[Line]:
        with (
            self.host.engine(
                "translator", self.specs.translator, **self.control.watch
            ) as translator,
            self.book.translating("", translator),
        ):
            return self.asking.first(
                lambda: correct_lines(
                    lines, cues, lambda: translator, source=code, progress=progress
                )
            )

    def _subtitles(self, code: str) -> FoundSubtitles:
        try:
            language = parse_language(code)
        except UnknownLanguage:  # Whisper knows some that have no place in our list
            return FoundSubtitles()
        return find_subtitles(
            self.video.found,
            language,
            self.work.folder,
            cancelled=self.control.cancelled,
            stall_s=self.control.stall_s,
            opened=self.video.opened,
        )

    def _stage(self, stage: str, key: str, kind: type[T], make: Callable[[Progress], T]) -> T:
        self.control.stop_if_cancelled()
        before, after = self._shares(stage)
        self.report(stage, before)

        def progress(done: float, total: float) -> None:
            part = min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
            self.report(stage, min(before + (after - before) * part, after))

        return self.work.stage(stage, "", key, kind, lambda: make(progress))

    def _shares(self, stage: str) -> tuple[float, float]:
        """Return how much is done when a stage begins and when it has ended."""
        left_out = {"separate": self.specs.separator is None, "voices": self.specs.printer is None,
                    "correct": not self.specs.understands,
                    "references": not self.specs.clones}  # fmt: skip
        weights = {name: w for name, w in _WEIGHTS.items() if not left_out.get(name, False)}
        names, total = list(weights), sum(weights.values())
        before = sum(weights[name] for name in names[: names.index(stage)])
        return before / total, (before + weights[stage]) / total


def _half(progress: Progress, *, second: bool = False) -> Progress:
    """Return the progress of the first or the second half of a stage."""
    return lambda done_s, total_s: progress(done_s / 2 + (total_s / 2 if second else 0), total_s)
