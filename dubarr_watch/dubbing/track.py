"""One language of a job: from lines to a finished mix."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from dubarr_watch.dubbing.casting import Speaker, cast_voices, find_speakers
from dubarr_watch.dubbing.dub import Dub, Understood
from dubarr_watch.dubbing.fitting import Outcome, make_slots
from dubarr_watch.dubbing.levels import Loudness, matching_gain_db
from dubarr_watch.dubbing.mixing import MixControl, mix
from dubarr_watch.dubbing.report import line_reports
from dubarr_watch.dubbing.speaking import FittedTake, Part, Studio, speak_lines
from dubarr_watch.dubbing.subtitles import find_cues
from dubarr_watch.dubbing.timeline import PlacedTake, write_speech
from dubarr_watch.dubbing.translation import Origin, TranslatedLine, translate_lines
from dubarr_watch.dubbing.video import Video
from dubarr_watch.dubbing.workspace import Workspace, content_key
from dubarr_watch.engines.base import Progress, Span, Synthesizer, Voice
from dubarr_watch.engines.embedded_languages import language_note
from dubarr_watch.engines.host import EngineHost, Watch
from dubarr_watch.engines.registry import EngineSpecs
from dubarr_watch.errors import CannotDub, TranslationIncomplete
from dubarr_watch.languages import Language
from dubarr_watch.settings import Settings
from dubarr_watch.store.records import JobRecord

log = structlog.get_logger(__name__)

MAX_SILENT_SHARE = 0.2
"""A track with more than this share of its lines missing is a failure, not a dub."""

DEFAULT_CHARS_PER_S = 15.0
"""Characters a second of ordinary speech, for a language not listed below."""

CHARS_PER_S = {"de": 17.0, "en": 17.0, "es": 16.5, "fr": 19.0, "it": 15.5, "pl": 15.0, "pt": 16.5}
"""Measured on sentences of 20 to 90 characters, Kokoro's voices (de, pl: espeak-ng's)."""

STAGE_SHARES = {"translate": 0.35, "cast": 0.01, "synthesize": 0.54, "mix": 0.04, "publish": 0.02,
                "report": 0.04}  # fmt: skip
"""Share of a language's time that each stage takes; for progress only."""

StageReport = Callable[[str, float], None]
"""Called with (stage, share of the language done)."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """What mixing makes: both files are there, or it has to be done again."""

    audio: Path
    speech: Path
    loudness: Loudness


@dataclass(frozen=True, slots=True)
class TrackMaker:
    """Makes the mixes of one job, a language at a time.

    Attributes:
        settings: All settings.
        host: Runs engines.
        specs: Which engines.
        job: The job.
        video: Its video.
        work: Its work folder.
        understood: What all languages share.
        cancelled: Whether to stop.
    """

    settings: Settings
    host: EngineHost
    specs: EngineSpecs
    job: JobRecord
    video: Video
    work: Workspace
    understood: Understood
    cancelled: Callable[[], bool]

    def make(self, language: Language, report: StageReport) -> Dub:
        """Translate, cast, speak and mix one language.

        Raises:
            CannotDub: No voice speaks the language.
            TranslationIncomplete: Too many lines have no wording.
            DubarrError: A stage failed.
        """
        notes = _notes(language, self.specs)
        for note in notes:
            log.warning("language", note=note)
        slots = make_slots(self.understood.lines, self.understood.audio.duration_s)
        wording = self._translate(language, slots, stage_progress("translate", report))
        report("cast", STAGE_SHARES["translate"])
        parts, fitted = self._speak(language, wording, slots, stage_progress("synthesize", report))
        left_silent = _left_silent(wording, fitted)
        _refuse_holes(left_silent, len(fitted), language)
        self._keep_lines(language, parts, fitted)
        mixed = self._mix(language, parts, fitted, stage_progress("mix", report))
        return Dub(
            language=language,
            audio=mixed.audio,
            speech=mixed.speech,
            parts=parts,
            fitted=fitted,
            loudness=mixed.loudness,
            cut_short=sum(done.outcome is Outcome.TRIMMED for done in fitted),
            left_silent=left_silent,
            notes=notes,
        )

    def _translate(
        self, language: Language, slots: Sequence[Span], progress: Progress
    ) -> list[TranslatedLine]:
        code, known = language.code, self.understood
        chars_per_s = CHARS_PER_S.get(code, DEFAULT_CHARS_PER_S)
        cues = find_cues(
            self.video.found,
            language,
            self.work.folder,
            cancelled=self.cancelled,
            stall_s=self.settings.stall_seconds,
        )
        key = content_key(known.key, self.specs.translator, known.lines, cues, chars_per_s)

        def make() -> list[TranslatedLine]:
            with ExitStack() as engines:
                return translate_lines(
                    known.lines,
                    lambda: engines.enter_context(
                        self.host.engine("translator", self.specs.translator, **self._watch)
                    ),
                    source=known.language,
                    target=code,
                    slots_s=[slot.duration_s for slot in slots],
                    chars_per_s=chars_per_s,
                    cues=cues,
                    progress=progress,
                )

        wording = self.work.stage("translate", code, key, list[TranslatedLine], make)
        missing = sum(line.origin is Origin.MISSING for line in wording)
        if missing > MAX_SILENT_SHARE * len(wording):
            raise TranslationIncomplete(
                f"{missing} of {len(wording)} lines have no usable {language.name} translation.",
                hint="Put a subtitle file in that language beside the video, or use a larger "
                "translation model.",
            )
        return wording

    def _speak(
        self,
        language: Language,
        wording: Sequence[TranslatedLine],
        slots: Sequence[Span],
        progress: Progress,
    ) -> tuple[list[Part], list[FittedTake]]:
        code = language.code
        with ExitStack() as engines:
            synthesizer = engines.enter_context(
                self.host.engine("synthesizer", self.specs.synthesizer, **self._watch)
            )
            voices = self._voices(synthesizer, language)
            cast = cast_voices(self._speakers(), voices)
            parts = [
                Part(line, said.text, slot, cast[line.speaker])
                for line, said, slot in zip(self.understood.lines, wording, slots, strict=True)
            ]
            studio = Studio(
                language=code,
                folder=self.work.folder / "takes" / code,
                voices=voices,
                synthesizer=synthesizer,
                translator=lambda: engines.enter_context(
                    self.host.engine("translator", self.specs.translator, **self._watch)
                ),
                keeper=self.work.takes(code),
                max_speedup=self.settings.max_speedup,
                cancelled=self.cancelled,
                progress=progress,
            )
            key = content_key([part.key for part in parts], self.settings.max_speedup)
            fitted = self.work.stage(
                "synthesize", code, key, list[FittedTake], lambda: speak_lines(parts, studio)
            )
        return parts, fitted

    def _voices(self, synthesizer: Synthesizer, language: Language) -> list[Voice]:
        voices = synthesizer.voices(language.code)
        if not voices:
            raise CannotDub(
                f"No voice speaks {language.name}.",
                hint="`dubarr-watch languages` lists those that can be spoken.",
            )
        return voices

    def _speakers(self) -> list[Speaker]:
        known = self.understood
        return self.work.stage(
            "cast",
            "",
            content_key(known.key, known.lines),
            list[Speaker],
            lambda: find_speakers(known.audio.models, known.lines),
        )

    def _mix(
        self,
        language: Language,
        parts: Sequence[Part],
        fitted: Sequence[FittedTake],
        progress: Progress,
    ) -> Mixed:
        known = self.understood
        speech = self.work.folder / f"speech.{language.code}.wav"
        audio = self.work.folder / f"dub.{language.code}.mka"
        takes = [
            PlacedTake(done.path, done.placed_s, done.fit.duration_s, done.fit.trimmed)
            for done in fitted
            if done.path is not None
        ]
        ducked = [
            Span(part.line.start_s, max(part.line.end_s, done.placed_s + done.fit.duration_s))
            for part, done in zip(parts, fitted, strict=True)
            if done.path is not None
        ]
        style = self.job.options.style or "dub"
        control = MixControl(progress, self.cancelled, self.settings.stall_seconds)

        def make() -> Mixed:
            write_speech(takes, known.audio.duration_s, speech)
            gain_db = matching_gain_db(known.audio.models, ducked, takes)
            loudness = mix(
                known.audio.bed, speech, ducked, audio,
                style=style, speech_gain_db=gain_db, control=control,
            )  # fmt: skip
            return Mixed(audio, speech, loudness)

        key = content_key(known.key, fitted, style)
        return self.work.stage("mix", language.code, key, Mixed, make)

    def _keep_lines(
        self, language: Language, parts: Sequence[Part], fitted: Sequence[FittedTake]
    ) -> None:
        """Write down what was done to each line, for whoever looks into the work folder."""
        lines = [asdict(line) for line in line_reports(parts, fitted)]
        text = json.dumps(lines, ensure_ascii=False, indent=1)
        path = self.work.folder / f"lines.{language.code}.json"
        path.write_text(text, encoding="utf-8", errors="backslashreplace")

    @property
    def _watch(self) -> Watch:
        return {"cancelled": self.cancelled, "stall_s": self.settings.stall_seconds}


def stage_progress(stage: str, report: StageReport) -> Progress:
    """Return a callback that turns a stage's progress into a language's."""
    names = list(STAGE_SHARES)
    before = sum(STAGE_SHARES[name] for name in names[: names.index(stage)])

    def progress(done: float, total: float) -> None:
        report(stage, before + STAGE_SHARES[stage] * (done / total if total > 0 else 0.0))

    progress(0, 1)
    return progress


def _left_silent(wording: Sequence[TranslatedLine], fitted: Sequence[FittedTake]) -> int:
    return sum(
        done.outcome is Outcome.SILENT and said.origin is not Origin.JOINED
        for said, done in zip(wording, fitted, strict=True)
    )


def _refuse_holes(left_silent: int, lines: int, language: Language) -> None:
    if left_silent > MAX_SILENT_SHARE * lines:
        raise TranslationIncomplete(
            f"{left_silent} of {lines} lines could not be spoken in {language.name}.",
            hint="Nothing was published. `dubarr-watch doctor` checks the speech process.",
        )


def _notes(language: Language, specs: EngineSpecs) -> list[str]:
    note = language_note(language.code) if specs.embedded else ""
    return [f"{language.name}: {note}; the full profile does better."] if note else []
