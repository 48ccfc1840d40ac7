"""The order in which lines are spoken: first takes, shorter wordings, second takes.

Where it is known how fast a voice speaks, a wording that will not fit gets a shorter one before
anything of it is spoken: one that came with the translation, else one that is asked for.

One thread keeps the books of a language and is the only one that remembers takes; what takes time
runs in the threads of dispatchers. What a line ends as depends on its own takes and wordings alone,
never on which of them was there first.
"""

from __future__ import annotations

import heapq
import queue
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from dubarr_watch.dubbing.attempts import speak
from dubarr_watch.dubbing.fit_planner import SILENT_SPEEDUP
from dubarr_watch.dubbing.fitting import Take, best_first, fitting_chars, overlong
from dubarr_watch.dubbing.foresight import Foresight
from dubarr_watch.dubbing.studio import Part, Studio
from dubarr_watch.dubbing.wording_checks import looks_wrong
from dubarr_watch.engines.base import ShortenRequest
from dubarr_watch.engines.dispatch import Dispatchers, Step
from dubarr_watch.errors import JobCancelled

_POLL_S = 0.25
_ROOM_S = 0.05
"""Other jobs may hold all room in the queue: results are looked after this often then."""

_AHEAD = 2
"""Lines in the dispatcher for each slot: one that runs and one that is ready to."""


def record_lines(parts: Sequence[Part], studio: Studio) -> dict[int, Take]:
    """Return the take that is kept for each line that has one, by index.

    Raises:
        JobCancelled: As `studio.cancelled` says, or the job's requests were dropped.
        DubarrError: An engine failed; what is finished by then is remembered.
    """
    if studio.dispatchers is None:
        with Dispatchers() as own:
            return record_lines(parts, replace(studio, dispatchers=own))
    studio.dispatchers.synthesizer.resize(studio.synthesizer.slots)
    return _Recording(parts, studio, studio.dispatchers).run()


@dataclass(frozen=True, slots=True, order=True)
class _Second:
    """A second take that is to be made."""

    index: int
    part: Part = field(compare=False)
    text: str = field(compare=False)


class _Recording:
    def __init__(self, parts: Sequence[Part], studio: Studio, dispatchers: Dispatchers) -> None:
        self._studio = studio
        self._speech = dispatchers.synthesizer
        self._wordings = dispatchers.translator
        self._takes: dict[int, Take] = {}
        self._first = deque(parts)
        self._too_long: list[Part] = []
        self._second: list[_Second] = []
        self._spare: dict[int, list[str]] = {}
        self._said_first: dict[int, str] = {}
        self._foresight = Foresight(studio)
        self._foreseeing = False
        self._under_way: dict[Future[Any], tuple[Step | None, Callable[[Any], None]]] = {}
        self._asking = False
        self._ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._done_s = 0.0
        self._total_s = sum(part.line.duration_s for part in parts)

    def run(self) -> dict[int, Take]:
        try:
            self._foresee()
            while self._first or self._too_long or self._second or self._under_way:
                self._studio.stop_if_cancelled()
                self._ask_for_wordings()
                began = self._may_speak() and (self._begin_second() or self._begin_first())
                self._take_results(0 if began else _POLL_S)
        except BaseException:
            self._leave()
            raise
        if self._studio.durations:
            self._studio.durations.learn(
                self._studio.language, self._takes.values(), self._studio.voices
            )
        return self._takes

    def _foresee(self) -> None:
        """Put off what is predicted not to fit, until there are shorter wordings of it."""
        fresh = [part for part in self._first if not self._is_kept(part)]
        for part in self._foresight.too_long(fresh):
            if ready := self._at_hand(part):
                self._spare[part.line.index] = ready[1:]
                self._said_first[part.line.index] = ready[0]
            else:
                self._too_long.append(part)
        put_off = {part.line.index for part in self._too_long}
        self._first = deque(part for part in self._first if part.line.index not in put_off)
        self._foreseeing = bool(self._too_long)

    def _is_kept(self, part: Part) -> bool:
        return self._studio.keeper.load(part.line.index, part.key) is not None

    def _may_speak(self) -> bool:
        """Tell whether the voice may have its turn: not while the translator has it."""
        return self._studio.side_by_side or not self._foreseeing

    def _begin_first(self) -> bool:
        """Begin the next first take; tell whether there was something to do."""
        if not self._first or self._count(Step.DRAFT) >= _AHEAD * self._speech.slots:
            return False
        part = self._first[0]
        index = part.line.index
        if kept := self._studio.keeper.load(index, part.key):
            self._takes[index] = kept[0]
            self._judge(part, kept[0], settled=kept[1])
        elif not part.text or part.slot.duration_s <= 0:
            self._finish(part)
        else:
            text = self._said_first.get(index, part.text)
            if not self._begin(Step.DRAFT, part, text, 1, partial(self._spoken, part)):
                return True
        self._first.popleft()
        return True

    def _begin_second(self) -> bool:
        if not self._second or self._count(Step.REFINE) >= _AHEAD * self._speech.slots:
            return False
        part, text = self._second[0].part, self._second[0].text
        attempt = self._takes[part.line.index].attempts + 1
        if self._begin(Step.REFINE, part, text, attempt, partial(self._spoken_again, part)):
            heapq.heappop(self._second)
        return True

    def _begin(
        self, step: Step, part: Part, text: str, attempt: int, then: Callable[[Take | None], None]
    ) -> bool:
        priority = self._studio.priority(step, part.line.index)
        work = partial(speak, part, text, attempt, self._studio)
        try:
            future = self._speech.submit(work, priority=priority, timeout_s=_ROOM_S)
        except queue.Full:
            return False
        self._await(future, step, then)
        return True

    def _spoken(self, part: Part, take: Take | None) -> None:
        if take is None:
            self._finish(part)
            return
        self._takes[part.line.index] = take
        self._studio.keeper.save(part.key, take, settled=False)
        self._judge(part, take, settled=False)

    def _judge(self, part: Part, take: Take, *, settled: bool) -> None:
        index, slot_s = part.line.index, part.slot.duration_s
        if settled or not overlong(take.duration_s, slot_s):
            self._finish(part)
        elif index not in self._said_first:
            self._spare[index] = self._at_hand(part)
            if self._spare[index]:
                self._next_wording(part)
            else:
                self._too_long.append(part)
        elif take.duration_s <= slot_s * SILENT_SPEEDUP or take.text == part.text:
            self._settle(part, take)  # it is a shorter wording, or there is none
        elif self._spare[index]:
            self._next_wording(part)
        else:
            self._too_long.append(part)

    def _ask_for_wordings(self) -> None:
        """Ask for shorter wordings of all that is too long by now, one request at a time."""
        if self._asking or not self._too_long:
            return
        spoken = not (self._first or self._count(Step.DRAFT))
        if not (self._studio.side_by_side or self._foreseeing or spoken):
            return
        studio, batch = self._studio, sorted(self._too_long, key=lambda part: part.line.index)
        requests = [_request(part, *self._said(part)) for part in batch]

        def ask() -> Mapping[int, Sequence[str]]:
            return studio.translator().shorten(studio.language, requests, film=studio.film)

        priority = studio.priority(Step.REFINE, batch[0].line.index)
        try:
            future = self._wordings.submit(ask, priority=priority, timeout_s=_ROOM_S)
        except queue.Full:
            return
        self._too_long, self._asking = [], True
        self._await(future, None, partial(self._reworded, batch))

    def _reworded(self, batch: Sequence[Part], shorter: Mapping[int, Sequence[str]]) -> None:
        self._asking = self._foreseeing = False
        for part in batch:
            index = part.line.index
            self._spare[index] = self._best_first(part, shorter.get(index, ()))
            if index in self._takes:
                self._next_wording(part)
                continue
            self._said_first[index] = self._spare[index].pop(0) if self._spare[index] else part.text
            self._first.append(part)
        self._first = deque(sorted(self._first, key=lambda part: part.line.index))

    def _at_hand(self, part: Part) -> list[str]:
        """Return the wordings that came with a line's own, best first, if one of them fits."""
        said, said_s = self._said(part)
        found = self._best_first(part, part.others)
        fits = found and not overlong(said_s * len(found[0]) / len(said), part.slot.duration_s)
        return found if fits else []

    def _best_first(self, part: Part, wordings: Sequence[str]) -> list[str]:
        texts = [" ".join(text.split()) for text in wordings]
        usable = [text for text in texts if not looks_wrong(part.line.text, text, len(part.text))]
        slot_s, max_speedup = part.slot.duration_s, self._studio.max_speedup
        return best_first(usable, *self._said(part), slot_s, max_speedup)

    def _said(self, part: Part) -> tuple[str, float]:
        """Return a line's wording so far and its length, measured or predicted."""
        take = self._takes.get(part.line.index)
        return (take.text, take.duration_s) if take else (part.text, self._foresight.seconds(part))

    def _next_wording(self, part: Part) -> None:
        """Have the next wording of a line spoken, or end with what there is."""
        index = part.line.index
        if self._spare.get(index):
            text = self._spare[index].pop(0)
            heapq.heappush(self._second, _Second(index, part, text))
        else:
            self._settle(part, self._takes[index])

    def _spoken_again(self, part: Part, attempt: Take | None) -> None:
        """Keep a further take only where it is shorter than the last and sounds no worse."""
        kept = self._takes[part.line.index]
        attempts = attempt.attempts if attempt else kept.attempts + 1
        better = (
            attempt is not None
            and attempt.duration_s < kept.duration_s
            and (kept.suspect or not attempt.suspect)
        )
        now = attempt if attempt and better else replace(kept, attempts=attempts)
        self._takes[part.line.index] = now
        if now.duration_s <= part.slot.duration_s * SILENT_SPEEDUP:
            self._spare.pop(part.line.index, None)
        self._next_wording(part)

    def _settle(self, part: Part, take: Take) -> None:
        self._takes[part.line.index] = take
        self._studio.keeper.save(part.key, take, settled=True)
        self._finish(part)

    def _finish(self, part: Part) -> None:
        self._done_s += part.line.duration_s
        self._studio.progress(self._done_s, self._total_s)

    def _await(self, future: Future[Any], step: Step | None, then: Callable[[Any], None]) -> None:
        self._under_way[future] = (step, then)
        future.add_done_callback(self._ended.put)

    def _count(self, step: Step) -> int:
        return sum(one is step for one, _ in self._under_way.values())

    def _take_results(self, wait_s: float) -> None:
        """Go on with every line whose result is there; wait for the first one."""
        while self._under_way:
            try:
                future = self._ended.get(timeout=wait_s) if wait_s else self._ended.get_nowait()
            except queue.Empty:
                return
            wait_s = 0
            _, then = self._under_way.pop(future)
            try:
                then(future.result())
            except CancelledError as error:
                raise JobCancelled("Cancelled.") from error

    def _leave(self) -> None:
        """Drop what has not begun, wait for the rest, and remember what was finished by then."""
        for future in self._under_way:
            future.cancel()
        wait(self._under_way)
        for future, (_, then) in self._under_way.items():
            if not future.cancelled() and future.exception() is None:
                then(future.result())


def _request(part: Part, said: str, said_s: float) -> ShortenRequest:
    return ShortenRequest(
        id=part.line.index,
        source_text=part.line.text,
        text=said,
        max_chars=fitting_chars(said, said_s, part.slot.duration_s),
        speaker=part.line.speaker,
    )
