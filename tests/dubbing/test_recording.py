"""The order in which lines are spoken and reworded, many at a time or one."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.dubbing.fitting import Outcome, Take
from dubarr_watch.dubbing.speaking import FittedTake, Part, Studio, speak_lines
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import (
    EMPTY_FILM,
    FilmContext,
    Progress,
    ShortenRequest,
    Span,
    Speech,
    Translator,
    no_progress,
)
from dubarr_watch.engines.dispatch import Dispatchers, Priority, Step
from dubarr_watch.engines.fakes import FakeSynthesizer, FakeTranslator
from dubarr_watch.errors import EngineCrashed, JobCancelled

DEADLINE_S = 20
VOICES = FakeSynthesizer().voices("es")
SOURCE = "This is what the original says here."
LONG = "cuarenta letras de texto en una linea ya"  # 2.4 s from the fake synthesizer
SHORT = "solo veinte letras ya"


class Stage:
    """A synthesizer and a translator that write down what they are asked, in one list.

    `before` is told each call ahead of it, as ("say", line's file) or ("shorten", ids).
    """

    def __init__(self, slots: int = 1) -> None:
        self.events: list[tuple[str, object]] = []
        self.before: Callable[[str, object], None] = lambda what, which: None
        self.speaking = 0
        self.most_speaking = 0
        self.lock = threading.Lock()
        self.synthesizer = _Speaker(self, slots)
        self.translator = _Shortener(self)

    def note(self, what: str, which: object) -> None:
        with self.lock:
            self.events.append((what, which))
        self.before(what, which)

    @property
    def said(self) -> list[object]:
        return [which for what, which in self.events if what == "say"]

    @property
    def asked(self) -> list[list[int]]:
        return [which for what, which in self.events if what == "shorten"]  # type: ignore[misc]


class _Speaker(FakeSynthesizer):
    def __init__(self, stage: Stage, slots: int) -> None:
        super().__init__()
        self._stage, self._slots = stage, slots

    @property
    def slots(self) -> int:
        return self._slots

    def synthesize(
        self,
        text: str,
        *,
        language: str,
        voice: str,
        speed: float,
        target: Path,
        references: Sequence[Path] = (),
    ) -> Speech:
        stage = self._stage
        with stage.lock:
            stage.speaking += 1
            stage.most_speaking = max(stage.most_speaking, stage.speaking)
        try:
            stage.note("say", target.stem.lstrip("0") if target.stem[0] == "0" else target.stem)
            return super().synthesize(
                text, language=language, voice=voice, speed=speed, target=target
            )
        finally:
            with stage.lock:
                stage.speaking -= 1


class _Shortener(FakeTranslator):
    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    def shorten(
        self,
        target: str,
        texts: Sequence[ShortenRequest],
        *,
        film: FilmContext = EMPTY_FILM,
        progress: Progress = no_progress,
    ) -> Mapping[int, tuple[str, ...]]:
        self._stage.note("shorten", [text.id for text in texts])
        return super().shorten(target, texts)


class Kept:
    """A keeper in memory that knows which thread wrote."""

    def __init__(self) -> None:
        self.takes: dict[int, tuple[str, Take, bool]] = {}
        self.threads: set[int] = set()

    def load(self, index: int, key: str) -> tuple[Take, bool] | None:
        kept = self.takes.get(index)
        return (kept[1], kept[2]) if kept and kept[0] == key else None

    def save(self, key: str, take: Take, *, settled: bool) -> None:
        self.threads.add(threading.get_ident())
        self.takes[take.index] = (key, take, settled)


def part(index: int, text: str = SHORT, slot_s: float = 3) -> Part:
    start_s = index * 10.0
    line = Line(index, start_s, start_s + 2, 0, SOURCE, index)
    return Part(line, text, Span(start_s, start_s + slot_s), VOICES[0])


def too_long(index: int) -> Part:
    return part(index, LONG, 1.5)


def speak(folder: Path, stage: Stage, parts: Sequence[Part], **changes: object) -> list[FittedTake]:
    given: dict[str, object] = {"keeper": Kept(), "max_speedup": 1.25, **changes}
    studio = Studio(
        "es",
        folder,
        VOICES,
        stage.synthesizer,
        lambda: stage.translator,
        **given,  # type: ignore[arg-type]
    )
    return speak_lines(parts, studio)


@pytest.fixture
def dispatchers() -> Iterator[Dispatchers]:
    with Dispatchers(bound=4) as made:
        yield made


class TestInTurns:
    def test_no_wording_is_asked_for_before_the_last_first_take(self, tmp_path: Path) -> None:
        """Every line is spoken once, then one request asks for all wordings, then the seconds."""
        stage = Stage()
        speak(tmp_path, stage, [too_long(1), part(2), too_long(3), part(4)])
        assert stage.events == [
            *(("say", name) for name in ("1-1", "2-1", "3-1", "4-1")),
            ("shorten", [1, 3]),
            *(("say", name) for name in ("1-2", "3-2")),
        ]

    def test_wordings_are_asked_for_in_the_order_of_the_lines(self, tmp_path: Path) -> None:
        """Lines that finish in another order make no other request."""
        stage = Stage(slots=4)
        together = threading.Barrier(4)
        order = {"1-1": 0.03, "2-1": 0.02, "3-1": 0.01, "4-1": 0.0}

        def before(what: str, which: object) -> None:
            if str(which) in order:
                together.wait(DEADLINE_S)
                time.sleep(order[str(which)])

        stage.before = before
        speak(tmp_path, stage, [too_long(n) for n in range(1, 5)])
        assert stage.asked == [[1, 2, 3, 4]]


class TestSideBySide:
    def test_a_wording_is_asked_for_while_later_lines_are_still_spoken(
        self, tmp_path: Path
    ) -> None:
        """The last line is not spoken before the first one's wording was asked for."""
        stage = Stage()
        asked = threading.Event()

        def before(what: str, which: object) -> None:
            if what == "shorten":
                asked.set()
            elif which == "6-1":
                assert asked.wait(DEADLINE_S)

        stage.before = before
        got = speak(
            tmp_path, stage, [too_long(1), *(part(n) for n in range(2, 7))], side_by_side=True
        )
        assert [done.outcome for done in got] == [Outcome.RETRIED] + 5 * [Outcome.OK]

    def test_what_is_too_long_meanwhile_goes_into_one_request(self, tmp_path: Path) -> None:
        """While the first request is under way the others are gathered, and asked for together."""
        stage = Stage()
        all_said = threading.Event()

        def before(what: str, which: object) -> None:
            if which == "5-1":
                all_said.set()
            elif which == [1]:
                assert all_said.wait(DEADLINE_S)

        stage.before = before
        speak(tmp_path, stage, [too_long(n) for n in range(1, 6)], side_by_side=True)
        assert stage.asked[0] == [1]
        assert list(chain(*stage.asked)) == [1, 2, 3, 4, 5]
        assert len(stage.asked) <= 3

    def test_a_second_take_comes_before_first_ones(self, tmp_path: Path) -> None:
        """Once its wording is there, a line is finished before further lines are begun."""
        stage = Stage()
        reworded = threading.Event()
        lines = [too_long(1), *(part(n) for n in range(2, 30))]

        def before(what: str, which: object) -> None:
            if which == "1-2":
                reworded.set()
            elif which == "29-1":
                assert reworded.is_set()
            elif what == "say":
                time.sleep(0.005)

        stage.before = before
        speak(tmp_path, stage, lines, side_by_side=True)
        assert stage.said.index("1-2") < 12


@pytest.mark.parametrize("doubtful_first", [True, False])
def test_a_doubtful_second_take_is_no_better(tmp_path: Path, doubtful_first: bool) -> None:
    """Shorter and doubtful, it replaces only a first take that is doubtful as well."""
    stage = Stage()
    plain = stage.synthesizer.synthesize

    def doubtful(text: str, **arguments: Any) -> Speech:
        speech = plain(text, **arguments)
        return replace(speech, suspect=doubtful_first or text != LONG)

    stage.synthesizer.synthesize = doubtful  # type: ignore[method-assign]
    (got,) = speak(tmp_path, stage, [too_long(1)])
    assert got.take is not None
    assert (got.take.text != LONG) == doubtful_first
    # Each doubtful take was tried once more, by another voice.
    assert got.take.attempts == (4 if doubtful_first else 3)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_does_not_depend_on_timing(tmp_path: Path, seed: int) -> None:
    """One slot or eight, in turns or side by side, slow or quick: the same takes."""
    rng = random.Random(seed)
    words = LONG.split()
    parts = [
        part(n, " ".join(rng.choices(words, k=rng.randint(1, 9))), rng.choice((0.8, 1.2, 1.7, 3)))
        for n in range(20)
    ]
    results = []
    for slots, side_by_side in ((1, False), (8, False), (8, True), (1, True)):
        stage = Stage(slots)
        stage.before = lambda what, which: time.sleep(rng.random() * 0.004)
        results.append(speak(tmp_path, stage, parts, side_by_side=side_by_side))
        assert stage.most_speaking <= slots
    assert results[1:] == results[:1] * 3
    assert {done.outcome for done in results[0]} >= {Outcome.OK, Outcome.RETRIED}


def test_all_slots_are_used(tmp_path: Path) -> None:
    """Three lines are spoken at the same time where the engine has three slots."""
    stage = Stage(slots=3)
    together = threading.Barrier(3)

    def before(what: str, which: object) -> None:
        together.wait(DEADLINE_S)

    stage.before = before
    speak(tmp_path, stage, [part(n) for n in range(6)])
    assert stage.most_speaking == 3


def test_one_thread_alone_remembers_takes(tmp_path: Path) -> None:
    """Whoever keeps takes need not be safe against threads."""
    keeper = Kept()
    speak(tmp_path, Stage(slots=4), [part(n) for n in range(12)], keeper=keeper)
    assert keeper.threads == {threading.get_ident()}
    assert len(keeper.takes) == 12


def test_progress_counts_lines_that_are_finished(tmp_path: Path) -> None:
    """A line that is to be reworded counts when its second take is there."""
    stage = Stage()
    seen: list[float] = []
    second: list[int] = []

    def before(what: str, which: object) -> None:
        if what == "shorten":
            second.append(len(seen))

    stage.before = before
    speak(
        tmp_path, stage, [too_long(1), part(2), part(3)],
        progress=lambda done, total: seen.append(done / total),
    )  # fmt: skip
    assert second == [2]
    assert seen == pytest.approx([1 / 3, 2 / 3, 1])


class TestInterrupted:
    def test_a_crash_on_one_line_keeps_what_the_others_made(
        self, tmp_path: Path, dispatchers: Dispatchers
    ) -> None:
        """The error is told once the other slots have ended, and their takes are remembered."""
        stage, keeper = Stage(slots=4), Kept()
        together = threading.Barrier(4)

        def before(what: str, which: object) -> None:
            if which in ("1-1", "2-1", "3-1", "4-1"):
                together.wait(DEADLINE_S)
            if which == "2-1":
                raise EngineCrashed("Gone.")
            end = time.monotonic() + DEADLINE_S
            while dispatchers.synthesizer._queue:  # until the crash has emptied it
                assert time.monotonic() < end
                time.sleep(0.002)

        stage.before = before
        with pytest.raises(EngineCrashed):
            speak(
                tmp_path, stage, [part(n) for n in range(1, 20)],
                keeper=keeper, dispatchers=dispatchers,
            )  # fmt: skip
        assert stage.speaking == 0
        assert {1, 3, 4} <= set(keeper.takes)
        assert len(stage.said) <= 6, "queued lines were spoken after the crash"

        again = Stage(slots=4)
        speak(tmp_path, again, [part(n) for n in range(1, 20)], keeper=keeper)
        assert len(again.said) == 19 - (len(stage.said) - 1)

    def test_cancelled_nothing_goes_on_behind(self, tmp_path: Path) -> None:
        """After JobCancelled no line is being spoken, and none is begun."""
        stage, keeper = Stage(slots=3), Kept()
        stage.before = lambda what, which: time.sleep(0.01)
        with pytest.raises(JobCancelled):
            speak(
                tmp_path, stage, [part(n) for n in range(50)],
                keeper=keeper, cancelled=lambda: len(stage.events) >= 10,
            )  # fmt: skip
        assert stage.speaking == 0
        assert len(stage.said) < 16
        assert len(keeper.takes) == len(stage.said)

    def test_a_failing_translator_is_told(self, tmp_path: Path) -> None:
        """Its error is that of the stage; the first takes are remembered, not yet settled."""
        keeper = Kept()

        def broken() -> Translator:
            raise EngineCrashed("No model.")

        studio = Studio("es", tmp_path, VOICES, Stage().synthesizer, broken, keeper, 1.25)
        with pytest.raises(EngineCrashed, match="No model"):
            speak_lines([too_long(1), part(2)], studio)
        assert {index: kept[2] for index, kept in keeper.takes.items()} == {1: False, 2: False}


class TestShared:
    def test_two_languages_share_the_slots_of_one_engine(
        self, tmp_path: Path, dispatchers: Dispatchers
    ) -> None:
        """Both finish, and together they never use more slots than there are."""
        stage = Stage(slots=2)
        stage.before = lambda what, which: time.sleep(0.002)
        with ThreadPoolExecutor() as pool:
            both = [
                pool.submit(
                    speak, tmp_path / str(job), stage,
                    [too_long(1), *(part(n) for n in range(2, 15))],
                    dispatchers=dispatchers, job=job, side_by_side=job == 1,
                )
                for job in (1, 2)
            ]  # fmt: skip
            for made in both:
                outcomes = [done.outcome for done in made.result(DEADLINE_S)]
                assert outcomes == [Outcome.RETRIED] + 13 * [Outcome.OK]
        assert stage.most_speaking == 2

    def test_an_older_job_comes_first(self, tmp_path: Path, dispatchers: Dispatchers) -> None:
        """Lines of job 1 that come later are spoken before those of job 2 that wait."""
        stage = Stage()
        begun, release = threading.Event(), threading.Event()

        def before(what: str, which: object) -> None:
            if which == "100-1":
                begun.set()
                assert release.wait(DEADLINE_S)

        stage.before = before
        with ThreadPoolExecutor() as pool:
            younger = pool.submit(
                speak, tmp_path / "2", stage, [part(n) for n in range(100, 110)],
                dispatchers=dispatchers, job=2,
            )  # fmt: skip
            assert begun.wait(DEADLINE_S)
            older = pool.submit(
                speak, tmp_path / "1", stage, [part(n) for n in range(1, 4)],
                dispatchers=dispatchers, job=1,
            )  # fmt: skip
            queued = dispatchers.synthesizer._queue
            end = time.monotonic() + DEADLINE_S
            while sum(one.priority.job == 1 for one in list(queued)) < 2:
                assert time.monotonic() < end
                time.sleep(0.002)
            release.set()
            older.result(DEADLINE_S)
            younger.result(DEADLINE_S)
        assert stage.said[:3] == ["100-1", "1-1", "2-1"]

    def test_it_waits_for_room_that_others_hold(
        self, tmp_path: Path, dispatchers: Dispatchers
    ) -> None:
        """A queue full of another job's lines delays it, no more."""
        release = threading.Event()
        others = [
            dispatchers.synthesizer.submit(
                lambda: release.wait(DEADLINE_S), priority=Priority(Step.DRAFT, job=9)
            )
            for _ in range(5)
        ]
        stage = Stage()
        with ThreadPoolExecutor() as pool:
            made = pool.submit(
                speak, tmp_path, stage, [part(1), part(2)], dispatchers=dispatchers, job=1
            )
            assert stage.said == []
            release.set()
            assert len(made.result(DEADLINE_S)) == 2
        assert all(other.result(DEADLINE_S) for other in others)

    def test_dropping_a_job_cancels_it(self, tmp_path: Path, dispatchers: Dispatchers) -> None:
        """What the daemon drops from the queue ends the stage as if it had been cancelled."""
        stage = Stage()

        def before(what: str, which: object) -> None:
            if which == "1-1":
                end = time.monotonic() + DEADLINE_S
                while not dispatchers.cancel(4):
                    assert time.monotonic() < end
                    time.sleep(0.002)

        stage.before = before
        with pytest.raises(JobCancelled):
            speak(tmp_path, stage, [part(n) for n in range(1, 9)], dispatchers=dispatchers, job=4)
        assert stage.speaking == 0
