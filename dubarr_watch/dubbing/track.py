"""One language of a job: from lines to a finished mix."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import partial

import structlog

from dubarr_watch.dubbing.casting import Speaker, cast_voices, find_speakers
from dubarr_watch.dubbing.dub import Dub, Understood
from dubarr_watch.dubbing.durations import DurationBook, Law
from dubarr_watch.dubbing.fitting import Outcome, make_slots
from dubarr_watch.dubbing.hearing_back import Listener
from dubarr_watch.dubbing.lasting_cast import cast_people
from dubarr_watch.dubbing.mixdown import mix_dub, placed
from dubarr_watch.dubbing.parts import make_parts
from dubarr_watch.dubbing.pins import unmet_pins
from dubarr_watch.dubbing.references import can_be_cloned
from dubarr_watch.dubbing.report import line_reports
from dubarr_watch.dubbing.series_memory import SeriesMemory
from dubarr_watch.dubbing.shares import StageReport, share_before, stage_progress
from dubarr_watch.dubbing.speaking import FittedTake, Part, Studio, speak_lines
from dubarr_watch.dubbing.usage import UsageBook
from dubarr_watch.dubbing.video import Video
from dubarr_watch.dubbing.wording import MAX_SILENT_SHARE, Translating, Wording
from dubarr_watch.dubbing.workspace import JobControl, Workspace, content_key
from dubarr_watch.engines.base import Progress, Span, Synthesizer, Voice
from dubarr_watch.engines.dispatch import Dispatchers
from dubarr_watch.engines.embedded_languages import language_note
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import EngineSpecs, made_by
from dubarr_watch.engines.voice_prints import VoicePrinter
from dubarr_watch.engines.whisper_languages import WHISPER_LANGUAGES
from dubarr_watch.errors import CannotDub, ProofFailed, TranslationIncomplete
from dubarr_watch.languages import Language
from dubarr_watch.settings import Qa, Settings
from dubarr_watch.store.records import JobRecord
from dubarr_watch.store.store import Store

log = structlog.get_logger(__name__)

_NOT_UNDERSTOOD = frozenset({"espeak"})
"""Voices that Whisper base mishears where people understand them: half of its German lines."""


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
        control: Cancel, stall and priority.
        book: What engines cost is noted here.
        dispatchers: Where requests of all jobs are queued; without any, each track has its own.
        memory: What the episodes of a series know of each other.
        store: Which voices people have; without it everybody is cast anew.
    """

    settings: Settings
    host: EngineHost
    specs: EngineSpecs
    job: JobRecord
    video: Video
    work: Workspace
    understood: Understood
    control: JobControl
    book: UsageBook
    dispatchers: Dispatchers | None = None
    memory: SeriesMemory | None = None
    store: Store | None = None

    def make(self, language: Language, report: StageReport) -> Dub:
        """Translate, cast, speak and mix one language.

        Raises:
            CannotDub: No voice speaks the language.
            TranslationIncomplete: Too many lines have no wording.
            DubarrError: A stage failed.
        """
        slots = make_slots(self.understood.lines, self.understood.audio.duration_s)
        translating = Translating(
            self.host, self.specs, self.video, self.work, self.understood, self.control, self.book,
            self.dispatchers, self._turn(language), self.settings.dub_songs,
            self.memory,
        )  # fmt: skip
        durations = DurationBook(self.settings.config_dir / "durations.json")
        wording = translating.wording(
            language, slots, self._laws(language.code, durations),
            lambda: stage_progress("analyse", report),
            lambda: stage_progress("translate", report),
        )  # fmt: skip
        notes = [*_notes(language, self.specs), *self.understood.notes, *wording.notes]
        for note in notes:
            log.warning("language", note=note)
        report("cast", share_before("cast"))
        speaking = stage_progress("synthesize", report)
        parts, fitted = self._speak(language, wording, slots, translating, durations, speaking)
        unmet = unmet_pins(self.understood.recognised.pins, language, parts)
        _refuse_holes(_left_silent(parts, fitted), len(fitted), language)
        _refuse_misspoken(fitted, self.settings.qa_fail_share, language)
        dub = self.finish(language, parts, fitted, [*notes, *unmet], stage_progress("mix", report))
        return replace(dub, cast_problems=len(self.understood.recognised.problems) + len(unmet))

    def finish(
        self,
        language: Language,
        parts: list[Part],
        fitted: list[FittedTake],
        notes: list[str],
        progress: Progress,
    ) -> Dub:
        """Mix fitted takes.

        Raises:
            MediaError: ffmpeg failed.
            JobCancelled: Somebody asked for it.
        """
        self._keep_lines(language, parts, fitted)
        mixed = mix_dub(
            language, parts, fitted, known=self.understood, video=self.video, job=self.job,
            settings=self.settings, work=self.work, control=self.control, progress=progress,
        )  # fmt: skip
        return Dub(
            language=language,
            audio=mixed.audio,
            takes=placed(fitted),
            parts=parts,
            fitted=fitted,
            loudness=mixed.loudness,
            depth_lu=mixed.depth_lu,
            mix_notes=mixed.notes,
            cut_short=sum(done.outcome is Outcome.TRIMMED for done in fitted),
            left_silent=_left_silent(parts, fitted),
            notes=notes,
            misspoken=sum(done.outcome is Outcome.MISSPOKEN for done in fitted),
        )

    def _speak(
        self,
        language: Language,
        wording: Wording,
        slots: Sequence[Span],
        translating: Translating,
        durations: DurationBook,
        progress: Progress,
    ) -> tuple[list[Part], list[FittedTake]]:
        code, known = language.code, self.understood
        with (
            self.host.engine("synthesizer", self.specs.synthesizer, **self.control.watch) as engine,
            self.book.speaking(code, engine) as synthesizer,
            translating.translator(code) as translator,
        ):
            voices = self._voices(synthesizer, language)
            cast = self._cast(code, voices)
            parts = make_parts(known, self._speakers(), cast, voices, wording.lines, slots)
            studio = Studio(
                language=code,
                folder=self.work.folder / "takes" / code,
                voices=voices,
                synthesizer=synthesizer,
                translator=translator,
                keeper=self.work.takes(code, made_by(self.specs.synthesizer)),
                max_speedup=self.settings.max_speedup,
                cancelled=self.control.cancelled,
                progress=progress,
                film=wording.film,
                side_by_side=self.specs.side_by_side,
                dispatchers=self.dispatchers,
                job=self.job.id,
                turn=self._turn(language),
                listener=self.listener(language, voices),
                printer=self.printer(),
                durations=durations,
            )
            key = content_key(
                parts, wording.film, made_by(self.specs.synthesizer), self.settings.max_speedup,
                studio.listener and studio.listener.made_by,
                studio.printer and self.specs.printer and made_by(self.specs.printer),
            )  # fmt: skip
            fitted = self.work.stage(
                "synthesize", code, key, list[FittedTake], lambda: speak_lines(parts, studio)
            )
        return parts, fitted

    def _cast(
        self, language: str, voices: Sequence[Voice], *, keep: bool = True
    ) -> dict[int, Voice]:
        speakers, known = self._speakers(), self.understood
        cloneable = can_be_cloned(known.references)
        if self.store is None:
            return cast_voices(speakers, voices, cloneable)
        return cast_people(
            self.store, language, speakers, voices,
            cloneable=cloneable, recognised=known.recognised, keep=keep,
        )  # fmt: skip

    def _laws(self, code: str, book: DurationBook) -> dict[int, Law]:
        """Return how long texts take each speaker's voice, as far as that was ever learned.

        As this job first found it: a later run asks the translator the same.
        """
        name = f"laws.{code}"
        laws = self.work.kept(name, dict[int, Law])
        if laws is None:
            voices = book.voices(code)
            found = self._cast(code, voices, keep=False) if voices else {}
            cast = {n: voice.id for n, voice in found.items()}
            speakers = {line.speaker for line in self.understood.lines}
            laws = {n: book.law(code, cast.get(n, "")) for n in sorted(speakers)}
            self.work.keep(name, dict[int, Law], laws)
        return laws

    def listener(self, language: Language, voices: Sequence[Voice]) -> Listener | None:
        """Return who listens to takes, where that is wished and would tell something."""
        spec, code = self.specs.prover, language.code
        if self.settings.qa is Qa.OFF or spec is None or code not in WHISPER_LANGUAGES:
            return None
        if all(voice.engine in _NOT_UNDERSTOOD for voice in voices):
            return None
        return Listener(
            partial(self.host.engine, "transcriber", spec, **self.control.watch),
            code,
            content_key(made_by(spec)),
            self.work.folder / f"heard.{code}.json",
        )

    def printer(self) -> Callable[[], AbstractContextManager[VoicePrinter]] | None:
        """Return who says how like the original cloned voices are, where any are cloned."""
        spec = self.specs.printer
        if self.settings.qa is Qa.OFF or spec is None:
            return None
        return lambda: self.host.engine("printer", spec, **self.control.watch)

    def _voices(self, synthesizer: Synthesizer, language: Language) -> list[Voice]:
        voices = synthesizer.voices(language.code)
        if not voices:
            raise CannotDub(
                f"No voice speaks {language.name}.",
                hint="`dubarr-watch languages` lists those that can be spoken.",
            )
        return voices

    def _speakers(self) -> list[Speaker]:
        known, pins = self.understood, self.understood.recognised.pins
        found = self.work.stage(
            "cast",
            "",
            content_key(known.key, known.lines, pins),
            list[Speaker],
            lambda: find_speakers(known.heard, known.lines),
        )
        asked = {pin.speaker: pin.gender for pin in pins}
        return [replace(speaker, register=asked.get(speaker.number)) for speaker in found]

    def _turn(self, language: Language) -> int:
        """Return the place of a language in the job: what is asked for first is made first."""
        codes = self.job.languages
        return codes.index(language.code) if language.code in codes else 0

    def _keep_lines(
        self, language: Language, parts: Sequence[Part], fitted: Sequence[FittedTake]
    ) -> None:
        """Write down what was done to each line, for whoever looks into the work folder."""
        lines = [asdict(line) for line in line_reports(parts, fitted)]
        text = json.dumps(lines, ensure_ascii=False, indent=1)
        path = self.work.folder / f"lines.{language.code}.json"
        path.write_text(text, encoding="utf-8", errors="backslashreplace")


def _left_silent(parts: Sequence[Part], fitted: Sequence[FittedTake]) -> int:
    return sum(
        done.outcome is Outcome.SILENT and not part.joined
        for part, done in zip(parts, fitted, strict=True)
    )


def _refuse_holes(left_silent: int, lines: int, language: Language) -> None:
    if left_silent > MAX_SILENT_SHARE * lines:
        raise TranslationIncomplete(
            f"{left_silent} of {lines} lines could not be spoken in {language.name}.",
            hint="Nothing was published. `dubarr-watch doctor` checks the speech process.",
        )


def _refuse_misspoken(fitted: Sequence[FittedTake], share: float, language: Language) -> None:
    proven = [done for done in fitted if done.proof is not None]
    wrong = sum(done.proof.wrong for done in proven if done.proof)
    if wrong > share * len(proven):
        raise ProofFailed(
            f"{wrong} of {len(proven)} lines were not heard as written in {language.name}.",
            hint="Nothing was published. QA_FAIL_SHARE=1 publishes such tracks too, QA=off takes "
            "them as they come.",
        )


def _notes(language: Language, specs: EngineSpecs) -> list[str]:
    note = language_note(language.code) if specs.embedded else ""
    return [f"{language.name}: {note}; the full profile does better."] if note else []
