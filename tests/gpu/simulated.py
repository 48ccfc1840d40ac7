"""A machine without clock, threads or processes: cards, daemons, and engines that want memory.

Time goes in steps of a second. Each daemon has a `LeaseQueue` of its own and reads what a driver
would tell: what loads is not in its figures yet, and what has ended still is for a while.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

from dubarr_watch.gpu.entries import HOLDING, Entry, Figures, LeaseState, Peer, Request
from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.gpu.queue import TURN_S, LeaseQueue

MARGIN = 500


def a_gpu(index: int, total_mib: int) -> Gpu:
    return Gpu(index, f"GPU-{index}", f"Card {index}", f"00:0{index}", total_mib, 0, total_mib)


@dataclass
class Engine:
    """What one engine will do; a script for the machine.

    Attributes:
        arrives: Step in which it asks for the first time.
        daemon: Which daemon it asks.
        share: MiB it asks for as a share of what its first device can give.
        cards: Devices that would do.
        loads: Steps that loading takes.
        calls: Steps of each call and of the pause after it.
        holds: Share of its lease that it takes by loading, and in its last call.
        warm: Steps that it stays loaded after its last call, if nobody wants its memory.
        lingers: Steps that its memory takes to come back.
        dies: Step in which it is killed, if it lives then.
    """

    arrives: int
    daemon: int
    share: float
    cards: tuple[int, ...]
    priority: int = 0
    loads: int = 2
    calls: tuple[tuple[int, int], ...] = ((3, 1),)
    holds: tuple[float, float] = (0.5, 1.0)
    warm: int = 0
    lingers: int = 1
    dies: int | None = None
    alone: bool = False


@dataclass
class Process:
    """An engine as it goes."""

    engine: Engine
    entry: Entry | None = None
    step: str = "away"
    left: int = 0
    call: int = 0
    held: int = 0
    done: bool = False


@dataclass
class Machine:
    """Cards, daemons and engines, and what happened to them."""

    totals: list[int]
    foreign: list[int]
    engines: list[Engine]
    daemons: int = 1
    exact: bool = True
    now: int = 1000
    granted: list[tuple[int, Process]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gpus = {g.uuid: g for g in (a_gpu(i, t) for i, t in enumerate(self.totals))}
        self.queues = [LeaseQueue(self.gpus, MARGIN) for _ in range(self.daemons)]
        self.processes = [Process(engine) for engine in self.engines]
        self.lingering: list[tuple[str, int, int, Entry, LeaseQueue]] = []
        self.start = self.now

    def run(self) -> None:
        """Go on until every engine is done.

        Raises:
            AssertionError: A rule was broken, or it never ends.
        """
        deadline = self.now + self._long_enough()
        while not all(process.done or self._is_warm(process) for process in self.processes):
            self.step()
            assert self.now < deadline, "somebody waits for ever"
        for process in self.processes:
            if not process.done:
                self._die(process)
        for _ in range(10):
            self.step()
        assert all(not queue.entries for queue in self.queues), "a lease was not taken back"

    def step(self) -> None:
        self.now += 1
        for process in self.processes:
            if not process.done:
                self._act(process)
        self._reclaim()
        self._check()
        for queue in self.queues:
            self._decide(queue)
            self._check()

    def _is_warm(self, process: Process) -> bool:
        return process.step == "rests" and process.call == len(process.engine.calls)

    def queue_of(self, process: Process) -> LeaseQueue:
        return self.queues[process.engine.daemon]

    def held(self, uuid: str, *, told: bool) -> int:
        """Return what is taken of a card: truly, or as the driver tells."""
        holding = sum(
            process.held
            for process in self.processes
            if process.entry is not None
            and process.entry.device == uuid
            and process.entry.state in HOLDING
            and not (told and process.step == "loads")
        )
        return holding + sum(mib for device, mib, *_ in self.lingering if device == uuid)

    def _act(self, process: Process) -> None:
        engine, queue = process.engine, self.queue_of(process)
        if engine.dies is not None and self.now - self.start >= engine.dies:
            self._die(process)
            return
        match process.step:
            case "away":
                if self.now - self.start >= engine.arrives:
                    self._ask(process)
            case "waits":
                assert process.entry is not None
                if process.entry.state is LeaseState.LOADING:
                    process.step, process.left = "loads", engine.loads
            case "loads":
                assert process.entry is not None
                process.held = int(process.entry.mib * engine.holds[0])
                process.left -= 1
                if process.left <= 0:
                    queue.loaded(process.entry, self.now)
                    self._begin_call(process)
            case "calls":
                assert process.entry is not None
                last = process.call == len(engine.calls) - 1
                process.held = int(process.entry.mib * engine.holds[last])
                process.left -= 1
                if process.left <= 0:
                    queue.idle(process.entry, self.now)
                    pause = engine.warm if last else engine.calls[process.call][1]
                    process.step, process.left = "rests", pause
                    process.call += 1
            case "rests":
                self._rest(process)
        if process.entry is not None and self.exact:
            process.entry.held_mib = process.held

    def _ask(self, process: Process) -> None:
        engine = process.engine
        mib = {}
        for card in engine.cards:
            gpu = self.gpus[f"GPU-{card}"]
            most = gpu.total_mib - MARGIN - self.foreign[card]
            mib[gpu.uuid] = max(1, int(most * engine.share))
        request = Request("stage", float(self.now), mib, engine.priority, alone=engine.alone)
        process.entry = self.queue_of(process).ask(request)
        process.step = "waits"

    def _begin_call(self, process: Process) -> None:
        assert process.entry is not None
        assert self.queue_of(process).busy(process.entry, self.now)
        process.entry.may_leave = True
        process.step, process.left = "calls", process.engine.calls[process.call][0]

    def _rest(self, process: Process) -> None:
        assert process.entry is not None
        process.left -= 1
        last = process.call == len(process.engine.calls)
        if process.entry.state is LeaseState.LEAVING or (last and process.left <= 0):
            self._end(process)
            process.done = last
            process.step = "away"
        elif process.left <= 0:
            self._begin_call(process)

    def _die(self, process: Process) -> None:
        if process.entry is not None:
            self._end(process)
        process.done = True

    def _end(self, process: Process) -> None:
        entry, queue = process.entry, self.queue_of(process)
        assert entry is not None
        waited = entry.state is LeaseState.WAITING
        queue.gone(entry, self.now)
        if waited:
            assert entry.state is LeaseState.ENDED
        else:
            assert entry.state is LeaseState.RECLAIMING, "free before anybody saw it"
            gone = self.now + process.engine.lingers
            self.lingering.append((entry.device, process.held, gone, entry, queue))
        process.entry, process.held = None, 0

    def _reclaim(self) -> None:
        for row in list(self.lingering):
            _, _, gone, entry, queue = row
            if self.now >= gone:
                self.lingering.remove(row)
                queue.end(entry, self.now)

    def _decide(self, queue: LeaseQueue) -> None:
        figures = {
            uuid: Figures(
                self.now + 0.5,
                gpu.total_mib - self.foreign[gpu.index] - self.held(uuid, told=True),
                tuple(self._peer(other, uuid) for other in self.queues if other is not queue),
            )
            for uuid, gpu in self.gpus.items()
        }
        before = [entry for other in self.queues for entry in other.waiting()]
        decision = queue.decide(figures, self.now + 0.5)
        for entry in decision.granted:
            process = next(p for p in self.processes if p.entry is entry)
            self.granted.append((self.now, process))
            self._check_order(queue, entry, before)

    def _check_order(self, queue: LeaseQueue, granted: Entry, before: list[Entry]) -> None:
        """Nobody who came before in line, and waits for the same card, was overtaken."""
        for entry in before:
            if entry.state is not LeaseState.WAITING or entry.request.rank >= granted.request.rank:
                continue
            # Another daemon's newest request is not known here before that daemon has told.
            mine = entry.number in queue.entries and queue.entries[entry.number] is entry
            only_this = mine and set(entry.request.mib) == {granted.device}
            assert entry.device != granted.device, "overtaken"
            assert not only_this, "overtaken"

    def _check(self) -> None:
        for uuid, gpu in self.gpus.items():
            entries = [entry for queue in self.queues for entry in queue.holding(uuid)]
            leased = sum(entry.mib for entry in entries)
            assert leased <= gpu.total_mib - MARGIN, "more is leased than there is"
            taken = self.held(uuid, told=False) + self.foreign[gpu.index]
            assert taken <= gpu.total_mib, "out of memory"
            loading = [entry for entry in entries if entry.state is LeaseState.LOADING]
            assert len(loading) <= 1, "two load at a time"

    def _peer(self, queue: LeaseQueue, uuid: str) -> Peer:
        first = queue.first_in_line(uuid)
        return Peer(
            queue.leased_mib(uuid),
            queue.unclaimed_mib(uuid),
            queue.loading(uuid),
            None if first is None else first.request.rank,
            0 if first is None else queue.needed_mib(first, uuid),
        )

    def _long_enough(self) -> int:
        """Return how long it takes if everybody waits for everybody else, each call anew."""
        total = 200
        for engine in self.engines:
            for busy, rest in engine.calls:
                total += engine.loads + busy + rest + engine.lingers + int(TURN_S) + 10
            total += engine.arrives
        return total


def engines(cards: int, daemons: int) -> st.SearchStrategy[Engine]:
    short = st.integers(1, 6)
    return st.builds(
        Engine,
        arrives=st.integers(0, 60),
        daemon=st.integers(0, daemons - 1),
        share=st.floats(0.05, 1.0),
        cards=st.lists(st.integers(0, cards - 1), min_size=1, unique=True).map(tuple),
        priority=st.integers(-1, 1),
        loads=short,
        calls=st.lists(
            st.tuples(st.integers(1, 90), st.integers(0, 20)), min_size=1, max_size=4
        ).map(tuple),
        holds=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)),
        warm=st.integers(0, 20) | st.just(100_000),
        lingers=st.integers(0, 5),
        dies=st.none() | st.integers(0, 200),
        alone=st.booleans() | st.just(False),
    )


@st.composite
def machines(draw: st.DrawFn, *, daemons: int | None = None) -> Machine:
    """Any machine with any work."""
    many = daemons or draw(st.integers(1, 3))
    totals = draw(st.lists(st.integers(2000, 24000), min_size=1, max_size=3))
    foreign = [draw(st.integers(0, total // 2)) for total in totals]
    work = draw(st.lists(engines(len(totals), many), min_size=1, max_size=8))
    return Machine(totals, foreign, work, many)
