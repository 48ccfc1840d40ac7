"""A llama.cpp server of ours: real processes, on a model of random weights and on a program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from dubarr_watch.engines.base import Place, Translator
from dubarr_watch.engines.context import Admission, EngineContext
from dubarr_watch.engines.llm.local import LocalLlmTranslator
from dubarr_watch.engines.process import EngineUsage
from dubarr_watch.engines.seat import MemoryLeft, Seat
from dubarr_watch.errors import EngineCrashed, EngineError, JobCancelled, ModelMissing, OutOfMemory
from tests.engines.contracts import TranslatorContract
from tests.engines.llm.llama_program import write_program
from tests.engines.llm.samples import LINES, request
from tests.services.openai_server import backwards
from tests.tiny.gguf import build_gguf
from tests.waiting import eventually

Open = Callable[..., LocalLlmTranslator]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_gguf(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture
def usage() -> list[EngineUsage]:
    return []


@pytest.fixture
def opened(tiny: Path, usage: list[EngineUsage]) -> Iterator[Open]:
    with ExitStack() as stack:

        def make(**options: Any) -> LocalLlmTranslator:
            context = EngineContext(
                kind="translator",
                stall_s=60,
                cancelled=options.pop("cancelled", lambda: False),
                record=usage.append,
                seat=options.pop("seat", Seat()),
            )
            options = {"model": tiny, "slots": 2, "tokens": 4096, "threads": 1, **options}
            return stack.enter_context(LocalLlmTranslator(context=context, **options))

        yield make


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return write_program(tmp_path)


def starts(program: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (program.parent / "started").read_text().splitlines()]


class TestLibrary:
    """The server that comes with the package, on a tiny model."""

    def test_it_serves_as_it_says(self, opened: Open, usage: list[EngineUsage]) -> None:
        """Slots are what the server reports; answers come, and their tokens are counted."""
        with opened(slots=3, tokens=6144) as translator:
            assert set(translator.translate(request(*LINES[:2]))) <= {10, 11}
            assert translator.slots == 3
            assert translator.usage().requests > 0
            assert translator.usage().tokens_in > 100
            assert translator.usage().tokens_out > 0
        assert [one.kind for one in usage] == ["translator"]
        assert usage[0].load_s > 0
        assert usage[0].peak_rss_mib > 10

    def test_it_asks_for_its_key(self, opened: Open) -> None:
        """Nobody else on the machine can use it, nor read the key from its command line."""
        translator = opened()
        translator.server.begin()
        address, pid = translator.server.address, translator.server.pid
        assert address is not None
        assert address.startswith("http://127.0.0.1:")
        assert httpx.get(f"{address}/props").status_code == 401
        assert pid is not None
        key = translator.server.client().api_key
        assert key not in " ".join(psutil.Process(pid).cmdline())
        found = httpx.get(f"{address}/props", headers={"Authorization": f"Bearer {key}"})
        assert found.status_code == 200

    def test_a_killed_server_is_replaced(self, opened: Open, usage: list[EngineUsage]) -> None:
        """The next call reaches a new process."""
        translator = opened()
        translator.server.begin()
        first = translator.server.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        translator.translate(request(LINES[0]))
        assert translator.usage().requests > 0
        assert translator.server.pid not in (None, first)
        assert len(usage) == 1

    def test_nothing_is_left_behind(self, opened: Open) -> None:
        """The process has ended when the block has."""
        with opened() as translator:
            translator.server.begin()
            pid = translator.server.pid
        assert pid is not None
        assert not psutil.pid_exists(pid)

    def test_a_file_that_is_no_model_says_so(self, opened: Open, tmp_path: Path) -> None:
        """Before any process is started."""
        with pytest.raises(ModelMissing, match="models pull"):
            opened(model=tmp_path / "none.gguf")
        (tmp_path / "bad.gguf").write_bytes(b"nothing")
        with pytest.raises(EngineError, match="no GGUF file"):
            opened(model=tmp_path / "bad.gguf")

    def test_a_model_that_does_not_load_ends_the_call(
        self, opened: Open, tiny: Path, tmp_path: Path
    ) -> None:
        """A file that is cut off fails with the server's last words."""
        cut = tmp_path / "cut.gguf"
        cut.write_bytes(tiny.read_bytes()[:300_000])
        with pytest.raises(EngineCrashed, match="server ended with exit code"):
            opened(model=cut).translate(request(LINES[0]))


class TestProgram(TranslatorContract):
    """A llama-server program, here one that answers by a script."""

    @pytest.fixture
    def translator(self, opened: Open, program: Path) -> Translator:
        return opened(program=program)

    def test_it_is_started_as_asked(self, opened: Open, program: Path, tiny: Path) -> None:
        """Its options are those of every build; the key is not among them."""
        opened(program=program, slots=4, tokens=8192).translate(request(*LINES))
        (start,) = starts(program)
        port = start["options"].pop("port")
        assert port > 0
        assert start["options"] == {
            "model": str(tiny), "host": "127.0.0.1", "ctx_size": 8192, "parallel": 4,
            "n_gpu_layers": 0, "threads": 1,
        }  # fmt: skip
        assert len(start["env"]["LLAMA_API_KEY"]) > 20

    def test_a_server_that_dies_in_a_call_costs_no_line(
        self, opened: Open, program: Path, usage: list[EngineUsage]
    ) -> None:
        """It is started again and asked again."""
        translator = opened(program=program)
        (program.parent / "die").touch()
        found = translator.translate(request(*LINES))
        assert found == {10 + n: backwards(line) for n, line in enumerate(LINES)}
        assert len(starts(program)) == 2
        assert len(usage) == 1

    def test_one_that_never_starts_is_given_up(self, opened: Open, program: Path) -> None:
        """Three starts in a call, then its last words."""
        (program.parent / "crash").touch()
        with pytest.raises(EngineCrashed, match="unable to load the model"):
            opened(program=program).translate(request(LINES[0]))
        assert len(starts(program)) == 3

    def test_cancelling_ends_a_start(self, opened: Open, program: Path) -> None:
        """A job that is cancelled starts nothing."""
        translator = opened(program=program, cancelled=lambda: True)
        with pytest.raises(JobCancelled):
            translator.translate(request(LINES[0]))
        assert translator.server.pid is None

    def test_it_goes_with_a_daemon_that_is_killed(
        self, program: Path, tiny: Path, tmp_path: Path
    ) -> None:
        """However the daemon dies, no server stays behind with its memory."""
        code = (
            "import sys, time\n"
            "from pathlib import Path\n"
            "from dubarr_watch.engines.context import EngineContext\n"
            "from dubarr_watch.engines.llm.running import Shape\n"
            "from dubarr_watch.engines.llm.server import LocalServer\n"
            "server = LocalServer(context=EngineContext(), model=Path(sys.argv[1]),"
            " shape=Shape(1, 2048), threads=1, program=Path(sys.argv[2]))\n"
            "server.begin()\n"
            "print('ready', flush=True)\n"
            "time.sleep(600)\n"
        )
        command = [sys.executable, "-c", code, str(tiny), str(program)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
            try:
                assert daemon.stdout is not None
                assert "ready\n" in iter(daemon.stdout.readline, "")
                (start,) = starts(program)
                family = {start["pid"], *(c.pid for c in psutil.Process(start["pid"]).children())}
                assert len(family) == 2
            finally:
                daemon.kill()
        eventually(lambda: not any(map(psutil.pid_exists, family)))


class Lease(Admission):
    """A place on a GPU, as far as an engine can tell."""

    def __init__(self, *, frugal: bool, told: list[str]) -> None:
        place = Place("cuda", "GPU-1", 5000, frugal)
        super().__init__(place, {**os.environ, "CUDA_VISIBLE_DEVICES": "GPU-1"})
        self._told = told
        self.leave: Callable[[], None] = lambda: None

    def started(self, pid: int) -> None:
        self._told.append("started")

    def loaded(self) -> None:
        self._told.append("loaded")

    def on_leave(self, callback: Callable[[], None]) -> None:
        self.leave = callback

    def release(self) -> MemoryLeft:
        self._told.append("released")
        return MemoryLeft(4321, 7)


class GpuSeat(Seat):
    """A seat at a GPU that grants at once."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.leases: list[Lease] = []

    def admit(self, environment: object, *, alone: bool = False) -> Admission:
        self.told.append("alone" if alone else "admitted")
        self.leases.append(Lease(frugal=alone, told=self.told))
        return self.leases[-1]


class TestLease:
    def test_no_process_without_a_lease(
        self, opened: Open, program: Path, usage: list[EngineUsage]
    ) -> None:
        """It is asked for first and given back last; the process sees its device alone."""
        seat = GpuSeat()
        with opened(program=program, seat=seat) as translator:
            translator.translate(request(LINES[0]))
            assert seat.told == ["admitted", "started", "loaded"]
        assert seat.told[3:] == ["released"]
        (start,) = starts(program)
        assert start["options"]["n_gpu_layers"] == 999
        assert start["env"]["CUDA_VISIBLE_DEVICES"] == "GPU-1"
        assert (usage[0].peak_gpu_mib, usage[0].left_gpu_mib) == (4321, 7)

    def test_asked_to_leave_it_goes_and_comes_back(self, opened: Open, program: Path) -> None:
        """An idle server makes room; the next call starts another one."""
        seat = GpuSeat()
        translator = opened(program=program, seat=seat)
        translator.translate(request(LINES[0]))
        pid = translator.server.pid
        seat.leases[0].leave()
        assert translator.server.pid is None
        assert pid is not None
        assert not psutil.pid_exists(pid)
        assert len(translator.translate(request(*LINES))) == 4
        assert seat.told == [
            "admitted", "started", "loaded", "released", "admitted", "started", "loaded",
        ]  # fmt: skip

    def test_out_of_memory_is_tried_alone_with_one_slot(self, opened: Open, program: Path) -> None:
        """A smaller shape, on a device of its own."""
        (program.parent / "memory").touch()
        seat = GpuSeat()
        translator = opened(program=program, seat=seat, slots=4, tokens=8192)
        assert len(translator.translate(request(*LINES))) == 4
        assert translator.slots == 1
        assert [one for one in seat.told if one in ("admitted", "alone")] == ["admitted", "alone"]
        sizes = [(s["options"]["parallel"], s["options"]["ctx_size"]) for s in starts(program)]
        assert sizes == [(4, 8192), (1, 2048)]

    def test_out_of_memory_even_alone_is_said_with_figures(
        self, opened: Open, program: Path
    ) -> None:
        """What there was, and what was asked of it."""
        source = program.read_text().replace("main()", "sys.exit('CUDA error: out of memory')")
        program.write_text(source)
        seat = GpuSeat()
        with pytest.raises(OutOfMemory, match=r"5000 MiB.*1 slots of 2048 tokens") as raised:
            opened(program=program, seat=seat).translate(request(LINES[0]))
        assert "LLM_CONTEXT" in raised.value.hint
        assert seat.told.count("released") == 2
