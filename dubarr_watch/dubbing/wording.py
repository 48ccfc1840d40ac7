"""The words of one language: the film understood as a whole, then every line translated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby

from dubarr_watch.dubbing.asking import Asking
from dubarr_watch.dubbing.dub import Understood
from dubarr_watch.dubbing.durations import Law
from dubarr_watch.dubbing.names import names_alike
from dubarr_watch.dubbing.series_memory import SeriesMemory, carried
from dubarr_watch.dubbing.songs import sung_lines
from dubarr_watch.dubbing.subtitle_timing import in_time
from dubarr_watch.dubbing.subtitles import FoundSubtitles, find_subtitles
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.dubbing.translation import Origin, TranslatedLine, needs_model, translate_lines
from dubarr_watch.dubbing.usage import UsageBook
from dubarr_watch.dubbing.video import Video
from dubarr_watch.dubbing.workspace import JobControl, Workspace, content_key
from dubarr_watch.engines.base import (
    EMPTY_FILM,
    AnalysisRequest,
    FilmContext,
    Progress,
    Span,
    SpokenText,
    Translator,
)
from dubarr_watch.engines.dispatch import Dispatchers
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import EngineSpecs, made_by
from dubarr_watch.errors import TranslationIncomplete
from dubarr_watch.languages import Language

MAX_SILENT_SHARE = 0.2
"""A track with more than this share of its lines missing is a failure, not a dub."""

_WIDE = Asking(before=6, after=3, batch=16, wordings=3)
"""Context for a model that can hold it, in batches that its slots answer side by side."""


@dataclass(frozen=True, slots=True)
class Wording:
    """What a language says.

    Attributes:
        lines: The wording of each line.
        film: What is known of the film; a shorter wording needs it too.
        notes: What a listener should know of it.
    """

    lines: list[TranslatedLine]
    film: FilmContext
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Translating:
    """Finds the words of each language of a job.

    Attributes:
        host: Runs the translator.
        specs: Which.
        video: The video.
        work: The job's work folder.
        understood: What is said in it.
        control: Cancel, stall and priority.
        book: What it costs is noted here.
        dispatchers: Where requests of all jobs are queued.
        turn: Place of the language in the job.
        dub_songs: DUB_SONGS.
        memory: What earlier episodes decided; nothing when None.
    """

    host: EngineHost
    specs: EngineSpecs
    video: Video
    work: Workspace
    understood: Understood
    control: JobControl
    book: UsageBook
    dispatchers: Dispatchers | None
    turn: int = 0
    dub_songs: bool = False
    memory: SeriesMemory | None = None

    def wording(
        self,
        language: Language,
        slots: Sequence[Span],
        laws: Mapping[int, Law],
        analysing: Callable[[], Progress],
        translating: Callable[[], Progress],
    ) -> Wording:
        """Return the words of one language.

        Args:
            language: Which.
            slots: For each line the time it may fill.
            laws: How long texts take to say, by speaker.
            analysing: Announces the analysis, if there is one, and returns its progress.
            translating: The same of the translation.

        Raises:
            TranslationIncomplete: Too many lines have none.
            EngineError: The translator failed.
        """
        code, known = language.code, self.understood
        subtitles = self._subtitles(language)
        cues = subtitles.cues
        songs = self._songs(subtitles)
        spoken = [line for line in known.lines if line.index not in songs]
        key = content_key(known.key, made_by(self.specs.translator), known.lines, cues,
                          sorted(songs))  # fmt: skip
        earlier = self._earlier(code)
        film = FilmContext(glossary=earlier.glossary)
        with self.translator(code) as translator:
            if self.specs.understands and needs_model(spoken, cues):
                told, asked = analysing(), self._question(code, spoken, earlier)
                film = self.work.stage(
                    "analyse", code, content_key(key, "analyse", earlier), FilmContext,
                    lambda: self._asking(EMPTY_FILM).first(
                        lambda: translator().analyse(asked, progress=told)
                    ),
                )  # fmt: skip
                film = carried(film, earlier)
            told = translating()
            lines = self.work.stage(
                "translate", code, content_key(key, film, laws), list[TranslatedLine],
                lambda: translate_lines(
                    known.lines,
                    translator,
                    source=known.language,
                    target=code,
                    slots_s=[slot.duration_s for slot in slots],
                    laws=laws,
                    cues=cues,
                    songs=songs,
                    asking=self._asking(film),
                    progress=told,
                ),
            )  # fmt: skip
        _refuse_holes(lines, language)
        if not self.specs.understands:
            names = {term.source for term in earlier.glossary}
            lines, new = names_alike(known.lines, lines, known.language, names)
            film = FilmContext(glossary=(*earlier.glossary, *new))
        if self.memory is not None:
            self.memory.remember(code, film)
        return Wording(lines, film, [*subtitles.notes, *_notes_on_songs(len(songs))])

    @contextmanager
    def translator(self, code: str) -> Iterator[Callable[[], Translator]]:
        """Give, within a `with` block, the engine; it is only started when it is asked for."""
        with ExitStack() as engines:
            started: list[Translator] = []

            def start() -> Translator:
                if not started:
                    engine = engines.enter_context(
                        self.host.engine("translator", self.specs.translator, **self.control.watch)
                    )
                    started.append(engines.enter_context(self.book.translating(code, engine)))
                return started[0]

            yield start

    def _songs(self, subtitles: FoundSubtitles) -> frozenset[int]:
        if self.dub_songs:
            return frozenset()
        return frozenset(self.understood.songs) | sung_lines(self.understood.lines, subtitles.songs)

    def _subtitles(self, language: Language) -> FoundSubtitles:
        found = find_subtitles(
            self.video.found,
            language,
            self.work.folder,
            cancelled=self.control.cancelled,
            stall_s=self.control.stall_s,
            opened=self.video.opened,
        )
        return in_time(found, self.understood.voice, self.understood.audio.duration_s)

    def _asking(self, film: FilmContext) -> Asking:
        wide = _WIDE if self.specs.understands else Asking()
        queue = self.dispatchers.translator if self.dispatchers else None
        return replace(
            wide, film=film, dispatcher=queue, job=self.control.job or 0, turn=self.turn,
            cancelled=self.control.cancelled,
        )  # fmt: skip

    def _earlier(self, code: str) -> FilmContext:
        """Return what was decided before this job: a later run of it asks the same.

        Unless a person has decided otherwise in between.
        """
        if self.memory is None:
            return EMPTY_FILM
        earlier = self.work.kept(f"earlier.{code}", FilmContext)
        if earlier is not None:
            return self.memory.corrected(code, earlier)
        earlier = self.memory.earlier(code)
        self.work.keep(f"earlier.{code}", FilmContext, earlier)
        return earlier

    def _question(self, code: str, lines: Sequence[Line], earlier: FilmContext) -> AnalysisRequest:
        known = self.understood
        texts = tuple(_sentences(lines))
        return AnalysisRequest(known.language, code, texts, self.video.record.path.stem, earlier)


def _sentences(lines: Sequence[Line]) -> Iterator[SpokenText]:
    for _, group in groupby(lines, key=lambda line: line.sentence):
        parts = list(group)
        yield SpokenText(parts[0].index, " ".join(p.text for p in parts), parts[0].speaker)


def _notes_on_songs(lines: int) -> list[str]:
    if not lines:
        return []
    told = "1 line is sung and stays" if lines == 1 else f"{lines} lines are sung and stay"
    return [f"{told} as in the original; DUB_SONGS=true dubs songs too."]


def _refuse_holes(lines: Sequence[TranslatedLine], language: Language) -> None:
    missing = sum(line.origin is Origin.MISSING for line in lines)
    if missing > MAX_SILENT_SHARE * len(lines):
        raise TranslationIncomplete(
            f"{missing} of {len(lines)} lines have no usable {language.name} translation.",
            hint="Put a subtitle file in that language beside the video, or use a larger "
            "translation model.",
        )
