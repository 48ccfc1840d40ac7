"""Languages of one job at a time: overlapping where engines have room, else one after another."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.dubbing.together import SharedProgress, make_each
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.errors import DiskFull, EngineCrashed, JobCancelled, SynthesisFailed
from dubarr_watch.languages import Language, parse_language
from dubarr_watch.runner import Ended
from dubarr_watch.settings import Profile
from dubarr_watch.store.records import JobState
from tests.composing import Call, Shop, make_talk, names, open_shop, sound_of, states
from tests.waiting import DEADLINE_S

SPANISH, FRENCH, GERMAN = map(parse_language, ("es", "fr", "de"))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop of the full profile with room for translator and voice side by side."""
    with open_shop(tmp_path) as opened:
        opened.specs = replace(specs_for(Profile.FULL, opened.settings), side_by_side=True)
        yield opened


@pytest.fixture
def film(shop: Shop) -> Path:
    return make_talk(shop.videos / "Film.mkv")


def target_of(call: Call) -> str:
    """Return the language that a call is for; empty where it is for none."""
    if call.method in ("translate", "analyse"):
        return str(call.values[0].target)
    return str(call.arguments.get("language", ""))


class Gate:
    """Holds calls until others were made."""

    def __init__(self, shop: Shop) -> None:
        self.seen: list[tuple[str, str]] = []
        self._changed = threading.Condition()
        self._holding: dict[tuple[str, str], tuple[str, str]] = {}
        self._raising: dict[tuple[str, str], BaseException] = {}
        shop.spy.before = self._before

    def hold(self, method: str, language: str, *, until: tuple[str, str]) -> None:
        """Let calls wait until another one was made."""
        self._holding[method, language] = until

    def fail(self, method: str, language: str, error: BaseException) -> None:
        """Let calls raise."""
        self._raising[method, language] = error

    def _before(self, call: Call) -> None:
        what = (call.method, target_of(call))
        with self._changed:
            self.seen.append(what)
            self._changed.notify_all()
            if (until := self._holding.get(what)) is not None:
                came = self._changed.wait_for(lambda: until in self.seen, DEADLINE_S)
                assert came, f"{until} never came while {what} waited"
        if what in self._raising:
            raise self._raising[what]


def lines_of(shop: Shop, ended: Ended, code: str) -> Any:
    path = shop.settings.reports_dir / f"{ended.job.id}.{code}.json"
    return json.loads(path.read_text(encoding="utf-8"))["lines"]


class TestTheirOrder:
    def test_one_is_translated_while_another_is_spoken(self, shop: Shop, film: Path) -> None:
        """The voice does not wait for the words of a language that is not its own."""
        gate = Gate(shop)
        gate.hold("synthesize", "es", until=("translate", "fr"))
        ended = shop.dub(film, "es", "fr")
        assert states(ended) == {"es": JobState.DONE, "fr": JobState.DONE}

    @pytest.mark.parametrize("why", ["in turns", "embedded"])
    def test_in_turns_one_is_done_before_the_next_begins(
        self, shop: Shop, film: Path, why: str
    ) -> None:
        """A card or a processor for one engine at a time would only change hands more often."""
        embedded = why == "embedded"
        shop.specs = replace(shop.specs, side_by_side=embedded, embedded=embedded)
        gate = Gate(shop)
        shop.dub(film, "es", "fr")
        order = [language for _, language in gate.seen if language in ("es", "fr")]
        assert order == sorted(order)

    def test_no_more_than_two_are_under_way(self, shop: Shop, film: Path) -> None:
        under_way: list[set[str]] = [set()]
        lock = threading.Lock()

        def before(call: Call) -> None:
            code = target_of(call)
            with lock:
                if call.method == "analyse":
                    ended = {path.name.split(".")[2] for path in film.parent.glob("*.mka")}
                    under_way.append((under_way[-1] | {code}) - ended)

        shop.spy.before = before
        ended = shop.dub(film, "es", "fr", "it", "pt")
        assert set(states(ended).values()) == {JobState.DONE}
        assert max(map(len, under_way)) == 2


class TestTheirResults:
    def test_they_are_those_of_one_after_another(self, tmp_path: Path) -> None:
        """Who was there first decides nothing."""
        codes = ("es", "fr", "de")
        found = []
        for side_by_side in (True, False):
            home = tmp_path / str(side_by_side)
            home.mkdir()
            with open_shop(home) as shop:
                specs = specs_for(Profile.FULL, shop.settings)
                shop.specs = replace(specs, side_by_side=side_by_side)
                ended = shop.dub(make_talk(shop.videos / "Film.mkv", 24.0), *codes)
                assert list(states(ended)) == list(codes)
                found.append(
                    [(lines_of(shop, ended, code), sound_of(shop.track(ended.job, code)).tobytes())
                     for code in codes]
                )  # fmt: skip
        assert found[0] == found[1]

    def test_progress_only_grows_and_names_the_stage_of_the_earliest(
        self, shop: Shop, film: Path
    ) -> None:
        gate = Gate(shop)
        gate.hold("synthesize", "es", until=("translate", "fr"))
        seen: list[tuple[str, float]] = []
        job = shop.enqueue(film, "es", "fr")
        shop.run(job, on_progress=lambda stage, share, eta_s: seen.append((stage, share)))
        shares = [share for _, share in seen]
        assert shares == sorted(shares)
        assert 0 <= shares[0] <= shares[-1] <= 1
        stages = [stage for stage, _ in seen]
        # Not back and forth between two languages: the second's stages come after the first's.
        changes = [stages[0], *(b for a, b in itertools.pairwise(stages) if a != b)]
        assert changes.count("synthesize") <= 2
        assert changes.count("translate") <= 2


class TestOneEnds:
    def test_one_that_fails_leaves_the_others(self, shop: Shop, film: Path) -> None:
        shop.set(max_attempts=1)
        gate = Gate(shop)
        gate.fail("translate", "es", SynthesisFailed("No."))
        gate.hold("synthesize", "fr", until=("translate", "es"))
        ended = shop.dub(film, "es", "fr")
        assert states(ended) == {"es": JobState.FAILED, "fr": JobState.DONE}
        assert ended.job.reason.startswith("Spanish: No.")

    def test_bad_luck_of_one_is_tried_again_once_the_others_are_done(
        self, shop: Shop, film: Path
    ) -> None:
        gate = Gate(shop)
        gate.fail("synthesize", "es", EngineCrashed("It died."))
        job = shop.enqueue(film, "es", "fr")
        assert shop.run(job).job.state is JobState.QUEUED
        assert (film.parent / "Film.Dubarr.fr.mka").exists()
        shop.spy.before = lambda call: None
        assert states(shop.run(job)) == {"es": JobState.DONE, "fr": JobState.DONE}

    def test_a_full_disk_ends_all(self, shop: Shop, film: Path) -> None:
        """The other language is spoken at that moment, and stops."""
        gate = Gate(shop)
        gate.hold("synthesize", "es", until=("translate", "fr"))
        gate.fail("translate", "fr", DiskFull("The disk is full."))
        ended = shop.dub(film, "es", "fr", "de")
        assert ended.job.state is JobState.QUEUED
        assert "The disk is full." in ended.job.reason
        assert names(shop.videos) == ["Film.mkv"]
        assert ("translate", "de") not in gate.seen

    def test_cancelling_ends_both(self, shop: Shop, film: Path) -> None:
        gate = Gate(shop)
        gate.hold("synthesize", "es", until=("translate", "fr"))
        job = shop.enqueue(film, "es", "fr")
        both = {("synthesize", "es"), ("translate", "fr")}
        ended = shop.run(job, should_stop=lambda: both <= set(gate.seen))
        assert ended.job.state is JobState.QUEUED
        assert names(shop.videos) == ["Film.mkv"]
        assert [t.name for t in threading.enumerate() if t.name.startswith("language")] == []


class TestMakeEach:
    def test_one_at_a_time_stays_in_this_thread(self) -> None:
        def make(language: Language) -> str:
            return f"{language.code} {threading.current_thread().name}"

        here = threading.current_thread().name
        made = make_each([SPANISH, FRENCH], make, at_a_time=1, stop=never_called)
        assert made == [f"es {here}", f"fr {here}"]

    def test_the_first_failure_is_the_one_that_is_raised(self) -> None:
        """What others say when they are stopped is no reason."""
        stopped = threading.Event()

        def make(language: Language) -> None:
            if language is FRENCH:
                raise DiskFull("It is full.")
            assert stopped.wait(DEADLINE_S)
            raise JobCancelled("Stopped.")

        with pytest.raises(DiskFull):
            make_each([SPANISH, FRENCH, GERMAN], make, at_a_time=2, stop=stopped.set)

    def test_nothing_is_begun_after_a_failure(self) -> None:
        begun: list[str] = []

        def make(language: Language) -> None:
            begun.append(language.code)
            raise DiskFull("It is full.")

        with pytest.raises(DiskFull):
            make_each([SPANISH, FRENCH, GERMAN] * 4, make, at_a_time=2, stop=lambda: None)
        assert len(begun) <= 2


class TestSharedProgress:
    def test_it_adds_up_and_never_falls(self) -> None:
        told: list[tuple[str, float]] = []
        progress = SharedProgress(lambda *what: told.append(what), [SPANISH, FRENCH])
        spanish, french = progress.of(SPANISH), progress.of(FRENCH)
        spanish("translate", 0.5)
        french("translate", 0.25)
        spanish("synthesize", 0.25)
        progress.done(SPANISH)
        french("synthesize", 0.5)
        assert told == [
            ("translate", 0.5), ("translate", 0.75), ("synthesize", 0.75), ("translate", 1.25),
            ("synthesize", 1.5),
        ]  # fmt: skip


def never_called() -> None:
    pytest.fail("nothing failed")
