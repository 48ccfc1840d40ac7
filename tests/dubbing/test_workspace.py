"""Checkpoints, kept takes and the memory meter."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from dubarr_watch.dubbing.fitting import Fit, Outcome, Take
from dubarr_watch.dubbing.speaking import FittedTake
from dubarr_watch.dubbing.workspace import JobControl, MemoryMeter, Workspace, content_key
from dubarr_watch.engines.base import EngineSpec, Span
from dubarr_watch.errors import JobCancelled
from dubarr_watch.languages import parse_language
from dubarr_watch.store import Store
from tests.store.conftest import a_job


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "config" / "dubarr.db") as opened:
        yield opened


@pytest.fixture
def work(store: Store, tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work" / "1", a_job(store, "es", "fr").id, store.checkpoints)


class Maker:
    """Makes a result and counts how often."""

    def __init__(self, *spans: Span) -> None:
        self.spans = list(spans) or [Span(1, 2)]
        self.made = 0

    def __call__(self) -> list[Span]:
        self.made += 1
        return self.spans


@dataclass(frozen=True)
class Named:
    file: Path


class TestSharedStages:
    def test_what_all_languages_share_is_made_once(self, work: Workspace) -> None:
        """A second language that comes meanwhile waits for the first; its own stages do not."""
        inside, asked = threading.Event(), threading.Event()
        make = Maker()

        def slowly() -> list[Span]:
            inside.set()
            assert asked.wait(20)
            again.wait(0.3)
            return make()

        again = threading.Event()

        def second() -> list[Span]:
            def too_late() -> list[Span]:
                again.set()
                return make()

            asked.set()
            return work.stage("cast", "", "key", list[Span], too_late)

        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(work.stage, "cast", "", "key", list[Span], slowly)
            assert inside.wait(20)
            assert work.stage("lines", "es", "key", list[Span], Maker()) == [Span(1, 2)]
            assert pool.submit(second).result(20) == first.result(20)
        assert make.made == 1


class TestStages:
    def test_a_finished_stage_is_not_made_again(self, work: Workspace) -> None:
        """The second call reads what the first one wrote."""
        make = Maker()
        first = work.stage("lines", "", "key", list[Span], make)
        assert work.stage("lines", "", "key", list[Span], make) == first
        assert make.made == 1

    @pytest.mark.parametrize(("stage", "language"), [("other", ""), ("lines", "es")])
    def test_stages_and_languages_are_apart(
        self, stage: str, language: str, work: Workspace
    ) -> None:
        """Neither another stage nor another language uses the same result."""
        make = Maker()
        work.stage("lines", "", "key", list[Span], make)
        work.stage(stage, language, "key", list[Span], make)
        assert make.made == 2

    def test_another_input_is_another_result(self, work: Workspace) -> None:
        """A key that changed makes the stage again, and the new result is the one kept."""
        first, second = Maker(Span(1, 2)), Maker(Span(3, 4))
        work.stage("lines", "", "key", list[Span], first)
        assert work.stage("lines", "", "new", list[Span], second) == [Span(3, 4)]
        assert work.stage("lines", "", "new", list[Span], first) == [Span(3, 4)]

    @pytest.mark.parametrize("damage", ["remove", "empty", "cut"])
    def test_a_damaged_checkpoint_is_made_again(self, damage: str, work: Workspace) -> None:
        """A lost, empty or half file costs time, not the job."""
        make = Maker()
        work.stage("lines", "", "key", list[Span], make)
        (artifact,) = work.folder.glob("lines.json")
        artifact.write_bytes(artifact.read_bytes()[:9] if damage == "cut" else b"")
        if damage == "remove":
            artifact.unlink()
        assert work.stage("lines", "", "key", list[Span], make) == make.spans
        assert make.made == 2

    def test_a_result_whose_files_are_gone_is_made_again(self, work: Workspace) -> None:
        """A checkpoint that names files is worth as much as they are."""
        file = work.folder / "bed.flac"
        made = []

        def make() -> list[Named]:
            file.write_bytes(b"sound")
            made.append(file)
            return [Named(file)]

        for _ in range(2):
            work.stage("extract", "", "key", list[Named], make)
        assert len(made) == 1
        file.unlink()
        work.stage("extract", "", "key", list[Named], make)
        assert len(made) == 2

    def test_a_stage_that_fails_leaves_no_checkpoint(self, work: Workspace) -> None:
        """Only finished work counts."""

        def fail() -> list[Span]:
            raise JobCancelled("Cancelled.")

        with pytest.raises(JobCancelled):
            work.stage("lines", "", "key", list[Span], fail)
        make = Maker()
        work.stage("lines", "", "key", list[Span], make)
        assert make.made == 1

    def test_takes_come_back_as_they_were(self, work: Workspace) -> None:
        """Paths, enums and nested values survive."""
        path = work.folder / "0.wav"
        path.write_bytes(bytes(99))
        take = Take(0, path, "Sí", "ana", 1.5, 2, Outcome.RETRIED)
        fitted = [
            FittedTake(take, path, 0.5, Fit(1.1, 1.4, trimmed=True), Outcome.TRIMMED),
            FittedTake(None, None, 2.0, Fit(1.0, 0.0, trimmed=False), Outcome.SILENT),
        ]
        work.stage("synthesize", "es", "key", list[FittedTake], lambda: fitted)
        assert work.stage("synthesize", "es", "key", list[FittedTake], list) == fitted

    def test_times_are_those_of_the_language_and_the_shared_stages(self, work: Workspace) -> None:
        """What another language took is not counted."""
        for stage, language in (("extract", ""), ("mix", "es"), ("mix", "fr"), ("cast", "fr")):
            work.stage(stage, language, "key", list[Span], Maker())
        assert set(work.stage_seconds("es")) == {"extract", "mix"}

    def test_clearing_forgets_everything(self, work: Workspace) -> None:
        """The folder and the checkpoints go together."""
        work.stage("lines", "", "key", list[Span], Maker())
        work.clear()
        assert not work.folder.exists()
        assert work.stage_seconds("") == {}
        work.clear()


class TestKeys:
    def test_equal_content_has_equal_keys(self) -> None:
        """What is equal has the same key, what differs another."""
        spec = EngineSpec("a:B", {"model": Path("/m"), "threads": 2})
        same = EngineSpec("a:B", {"threads": 2, "model": Path("/m")})
        spanish = parse_language("es")
        assert content_key("x", spec, spanish) == content_key("x", same, parse_language("spa"))
        assert content_key("x", spec) != content_key("x", EngineSpec("a:C", spec.options))
        assert content_key("a", "b") != content_key("ab")
        assert content_key([Span(0, 1)]) != content_key([Span(0, 2)])

    def test_a_key_is_the_same_in_every_process(self) -> None:
        """A set of names has no order of its own; the key has."""
        code = (
            "from dubarr_watch.dubbing.workspace import content_key;"
            "print(content_key(frozenset({'default', 'dub', 'comment', 'forced'})))"
        )
        keys = {
            subprocess.run(
                [sys.executable, "-c", code], check=True, capture_output=True,
                env={"PYTHONHASHSEED": seed}, text=True,
            ).stdout
            for seed in ("1", "2")
        }  # fmt: skip
        assert len(keys) == 1

    def test_what_has_no_content_has_no_key(self) -> None:
        """An object that would be known by its address alone is refused, not half-trusted."""
        with pytest.raises(TypeError, match="object has no content"):
            content_key(object())

    def test_bytes_that_are_no_text_have_a_key(self) -> None:
        """A path with odd bytes is a path."""
        assert content_key(Path("\udcff.mkv")) != content_key(Path("\udcfe.mkv"))


class TestKeptTakes:
    @pytest.fixture
    def take(self, work: Workspace) -> Take:
        path = work.folder / "00003-1.wav"
        path.write_bytes(bytes(500))
        return Take(3, path, "Sí", "ana", 1.5, 1, Outcome.OK)

    @pytest.mark.parametrize("settled", [True, False])
    def test_a_take_outlives_the_process(self, work: Workspace, take: Take, settled: bool) -> None:
        """What was saved is loaded by the next run, for its own line, key and language."""
        work.takes("es").save("key", take, settled=settled)
        assert work.takes("es").load(3, "key") == (take, settled)
        assert work.takes("es").load(3, "other") is None
        assert work.takes("es").load(2, "key") is None
        assert work.takes("fr").load(3, "key") is None

    @pytest.mark.parametrize("left", [None, 0, 44])
    def test_a_take_without_its_sound_is_lost(
        self, work: Workspace, take: Take, left: int | None
    ) -> None:
        """A file that is gone, empty or a bare header is synthesized again."""
        work.takes("es").save("key", take, settled=True)
        take.path.unlink()
        if left is not None:
            take.path.write_bytes(bytes(left))
        assert work.takes("es").load(3, "key") is None

    @pytest.mark.parametrize("data", ["", "{}", '{"take": {"index": "x"}, "settled": true}'])
    def test_a_record_of_another_form_is_lost(
        self, work: Workspace, store: Store, data: str
    ) -> None:
        """What an older version kept is made again, not failed on."""
        store.checkpoints.save_line(1, "es", 3, "key", data)
        assert work.takes("es").load(3, "key") is None


class TestControl:
    def test_nobody_cancels_by_default(self) -> None:
        """A control without a wish stops nothing."""
        JobControl().stop_if_cancelled()
        with pytest.raises(JobCancelled):
            JobControl(cancelled=lambda: True).stop_if_cancelled()


class TestMemory:
    def test_children_are_counted(self) -> None:
        """What a child process holds is part of the peak, after it has ended too."""
        code = "x = bytearray(200_000_000); print(flush=True); input()"
        with MemoryMeter().watching() as meter:
            before = meter.peak_mib
            child = subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert child.stdout is not None
            child.stdout.readline()
            deadline = time.monotonic() + 20
            while meter.peak_mib < before + 180 and time.monotonic() < deadline:
                time.sleep(0.05)
            child.communicate(b"\n")
        assert meter.peak_mib >= before + 180

    def test_a_child_that_is_not_its_program_yet_is_not_counted(self) -> None:
        """Between fork and exec it has its parent's memory, which would be there twice."""
        code = (
            "import os, psutil\n"
            "from dubarr_watch.dubbing.workspace import _tree_rss\n"
            "x = bytearray(b'1') * 200_000_000\n"
            "come, go = os.pipe()\n"
            "child = os.fork()\n"
            "if not child:\n"
            "    os.close(go); os.read(come, 1); os._exit(0)\n"
            "me = psutil.Process()\n"
            "assert me.children()\n"
            "print((_tree_rss(me) - me.memory_info().rss) // 2**20)\n"
            "os.close(go); os.waitpid(child, 0)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
        )
        assert int(done.stdout) < 10
