"""One line of a finished dub made anew, mixed and published again, from what is kept of the job."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dubarr_watch.dubbing.attempts import speak
from dubarr_watch.dubbing.delivery import Delivery
from dubarr_watch.dubbing.dub import Dub, Understood
from dubarr_watch.dubbing.fitting import Take
from dubarr_watch.dubbing.hearing_back import Listener
from dubarr_watch.dubbing.keeping import nobody_at, published_again
from dubarr_watch.dubbing.proof import Proof, prove
from dubarr_watch.dubbing.results import LanguageResult
from dubarr_watch.dubbing.retakes import retake
from dubarr_watch.dubbing.similarity import similarities
from dubarr_watch.dubbing.speaking import FittedTake, Part, Studio, fit_again
from dubarr_watch.dubbing.track import TrackMaker
from dubarr_watch.dubbing.usage import UsageBook
from dubarr_watch.dubbing.video import Video, open_video
from dubarr_watch.dubbing.workspace import JobControl, MemoryMeter, Workspace
from dubarr_watch.engines.base import Translator
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import EngineSpecs
from dubarr_watch.errors import IllegalTransition, SynthesisFailed, WrongUsage
from dubarr_watch.languages import Language
from dubarr_watch.library.confines import Confines
from dubarr_watch.settings import Settings
from dubarr_watch.store.records import JobRecord
from dubarr_watch.store.store import Store


@dataclass(frozen=True, slots=True)
class Redo:
    """Makes lines of a finished job anew.

    Attributes:
        settings: All settings.
        store: The database.
        host: Runs engines.
        specs: Which engines.
        job: The job, which has ended.
        control: Progress and cancel.
    """

    settings: Settings
    store: Store
    host: EngineHost
    specs: EngineSpecs
    job: JobRecord
    control: JobControl

    def line(self, language: Language, index: int, text: str | None = None) -> LanguageResult:
        """Speak one line again, and publish the track again with it.

        Args:
            language: Of the track.
            index: The line's, as in the report.
            text: What to say instead; nothing: the same in another way.

        Raises:
            IllegalTransition: Nothing is kept of the job, or somebody is at it just now.
            WrongUsage: There is no such line, or nothing to say in it.
            SynthesisFailed: The voice refuses the text.
            VideoChanged: The video is gone or another one.
        """
        folder = self.settings.work_dir / str(self.job.id)
        with nobody_at(folder, self.job.id):
            self._must_be_over(folder)
            work = Workspace(folder, self.job.id, self.store.checkpoints)
            known = work.kept("understood", Understood)
            dub = work.kept(f"dub.{language.code}", Dub)
            if known is None or dub is None:
                raise _nothing_kept(f"job {self.job.id} in {language.name}")
            place = _place_of(dub, index)
            video = open_video(self.job.video, self.store, Confines.of(self.settings))
            with MemoryMeter().watching() as meter:
                bench = _Bench(self, work, known, video, UsageBook(folder / "usage.json"))
                return bench.publish(bench.again(dub, place, text), meter)

    def _must_be_over(self, folder: Path) -> None:
        # Whoever queues it again holds the same lock meanwhile, so it stays over from here on.
        if not self.store.jobs.get(self.job.id).state.ended:
            raise IllegalTransition(
                f"Job {self.job.id} has not ended.", hint="`dubarr-watch status` shows it."
            )
        if not folder.is_dir():
            raise _nothing_kept(f"job {self.job.id} any more")


@dataclass(frozen=True, slots=True)
class _Bench:
    """What making a line anew needs."""

    redo: Redo
    work: Workspace
    known: Understood
    video: Video
    book: UsageBook

    def again(self, dub: Dub, place: int, text: str | None) -> Dub:
        part, before = dub.parts[place], dub.fitted[place]
        if text is not None:
            part = replace(part, text=" ".join(text.split()), joined=False, song=False, others=())
        if not part.text or part.slot.duration_s <= 0:
            raise WrongUsage(
                "There is nothing to say in this line.", hint='Give it a wording: --text "..."'
            )
        parts = [*dub.parts]
        parts[place] = part
        fitted = self._spoken(dub, parts, place, before.take if text is None else None)
        self.redo.control.report("mix", 0.5)
        told = self.redo.control.report
        done = self._maker().finish(
            dub.language, parts, fitted, dub.notes,
            lambda done, total: told("mix", 0.5 + 0.3 * done / total if total else 0.5),
        )  # fmt: skip
        return replace(done, cast_problems=dub.cast_problems)

    def _spoken(
        self, dub: Dub, parts: list[Part], place: int, before: Take | None
    ) -> list[FittedTake]:
        redo, code = self.redo, dub.language.code
        redo.control.report("synthesize", 0.1)
        folder = _new_folder(self.work.folder / "takes" / code)
        with (
            redo.host.engine("synthesizer", redo.specs.synthesizer, **redo.control.watch) as engine,
            self.book.speaking(code, engine) as synthesizer,
        ):
            voices = synthesizer.voices(code)
            listener = self._maker().listener(dub.language, voices)
            studio = Studio(
                code, folder, voices, synthesizer, _no_translator, _Forgetful(),
                redo.settings.max_speedup, redo.control.cancelled, job=redo.job.id,
                listener=listener, printer=self._maker().printer(),
            )  # fmt: skip
            part = parts[place]
            take = _take(part, before, studio)
            take, proof = _proven(part, take, studio, listener)
        fitted = fit_again(parts, dub.fitted, place, take, studio, proof)
        index = part.line.index
        alike = similarities([part], {index: take}, studio.printer) if studio.printer else {}
        fitted[place] = replace(fitted[place], similarity=alike.get(index))
        return fitted

    def publish(self, dub: Dub, meter: MemoryMeter) -> LanguageResult:
        redo = self.redo
        delivery = Delivery(
            redo.settings, redo.store, redo.host, redo.specs, redo.job, self.video, self.work,
            self.known, meter, redo.control, self.book,
        )  # fmt: skip
        redo.control.report("report", 0.8)
        delivery.listen(dub)
        redo.control.report("publish", 0.9)
        redo.control.stop_if_cancelled()
        with published_again(self.work.folder):
            # What may take long, and can be stopped, comes first: then all follows, or nothing.
            inside = delivery.inside([dub])
            known = replace(self.video, record=redo.store.videos.get(self.video.record.id))
            delivery = replace(delivery, video=known)  # with a new track inside
            return delivery.report(dub, [*delivery.beside(dub), *inside])

    def _maker(self) -> TrackMaker:
        redo = self.redo
        return TrackMaker(
            redo.settings, redo.host, redo.specs, redo.job, self.video, self.work, self.known,
            redo.control, self.book,
        )  # fmt: skip


def _take(part: Part, before: Take | None, studio: Studio) -> Take:
    """Return a take: of a new wording as any first one, of the same in another way than before."""
    if before is None:
        take = speak(part, part.text, 1, studio)
    else:
        said = replace(part, text=before.text)
        take = retake(said, before, before.attempts - 1, studio)
    if take is None:
        raise SynthesisFailed("The voice refuses this text.", hint="Give another one with --text.")
    return take


def _proven(
    part: Part, take: Take, studio: Studio, listener: Listener | None
) -> tuple[Take, Proof | None]:
    if listener is None:
        return take, None
    index = part.line.index
    proven = prove([part], {index: take}, studio, listener)
    return proven.takes[index], proven.proofs.get(index)


class _Forgetful:
    """A keeper for takes that are kept otherwise."""

    def load(self, index: int, key: str) -> tuple[Take, bool] | None:
        """See `TakeKeeper`."""
        return None

    def save(self, key: str, take: Take, *, settled: bool) -> None:
        """See `TakeKeeper`."""


def _no_translator() -> Translator:
    raise AssertionError("a line that is made anew keeps its wording")


def _place_of(dub: Dub, index: int) -> int:
    places = {part.line.index: place for place, part in enumerate(dub.parts)}
    if index not in places:
        raise WrongUsage(
            f"There is no line {index}.",
            hint=f"This track has the lines {min(places)} to {max(places)}; "
            "`dubarr-watch report` lists them.",
        )
    return places[index]


def _new_folder(takes: Path) -> Path:
    number = 1 + sum(1 for _ in takes.glob("redo-*"))
    folder = takes / f"redo-{number}"
    folder.mkdir(parents=True)
    return folder


def _nothing_kept(of: str) -> IllegalTransition:
    return IllegalTransition(
        f"Nothing is kept of {of} that a line could be made anew from.",
        hint="KEEP_WORK_DAYS and KEEP_WORK_GIB say how long it is; "
        "`dubarr-watch dub` makes the whole track anew.",
    )
