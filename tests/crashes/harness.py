"""Kills the program and all it starts with SIGKILL, again and again, and looks for damage."""

from __future__ import annotations

import json
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from dubarr_watch.library.naming import fingerprint
from dubarr_watch.store.reading import open_for_reading
from dubarr_watch.store.records import JobState
from tests.composing import living_below, make_talk, names
from tests.crashes.onlooker import wrong_with
from tests.engines.llm.llama_program import write_program
from tests.programs import MAX_STOP_S, ROOT, Program, drop_another
from tests.tiny.gguf import build_gguf
from tests.waiting import eventually

STEPS = ("created", "written", "verified", "synced", "asked", "named", "done")
PUBLICATIONS = ("track", "subtitles", "mux")
NAMED = [f"{what} {step}" for what in PUBLICATIONS for step in STEPS]
TARGETS = {
    "engine": "dubarr_watch.engines.worker",
    "speech process": "tts_sidecar",
    "language model": "llama-server",
    "ffmpeg": "ffmpeg",
}
DAEMON = ("program", "program while it starts")
KILLS_A_VIDEO = 4
VIDEO_S = 8.0
_DEADLINE_S = 120.0
_ORPHANS_S = 10.0
_TAKE = re.compile(r'"path": ?"([^"]+\.wav)"')
_LONGEST_WAIT_S = 1.5
_GOOD = (JobState.DONE, JobState.DONE_WITH_WARNINGS)


@dataclass
class Damage:
    """What was found to be wrong: every number should be zero."""

    jobs_lost: list[str] = field(default_factory=list)
    jobs_doubled: list[str] = field(default_factory=list)
    half_files: list[str] = field(default_factory=list)
    requests_lost: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    temporary_files: list[str] = field(default_factory=list)
    lines_spoken_twice: list[str] = field(default_factory=list)
    database_damaged: list[str] = field(default_factory=list)

    @property
    def found(self) -> dict[str, list[str]]:
        """What is not as it should be."""
        return {name: seen for name, seen in vars(self).items() if seen}


@dataclass
class Harness:
    """One library, one program, many deaths.

    Args:
        folder: An empty one.
        seed: What is killed, and when.
        named: Which steps of publishing the program is to die at, each once.

    Attributes:
        kills: How often each target was killed; a program that killed itself counts by step.
        damage: What was found.
        videos: How many there were.
        published: Files that were looked at in the moment in which they got their final name.
    """

    folder: Path
    seed: int
    named: list[str]
    kills: Counter[str] = field(default_factory=Counter)
    damage: Damage = field(default_factory=Damage)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)
        home = self.folder / "home"
        (home / "tmp").mkdir(parents=True)
        self._module = f"tests.crashes.killable {self.folder}"
        write_program(self.folder)
        build_gguf(self.folder / "tiny.gguf")
        self._talk = make_talk(self.folder / "talk.mkv", VIDEO_S)
        self._program = Program(
            self.folder, OUTPUT_MODE="both", MAX_ATTEMPTS="20", STALL_SECONDS="60",
            HOME=str(home), TMPDIR=str(home / "tmp"), NOTIFY_URLS="json://127.0.0.1:9",
        )  # fmt: skip
        self._spoken: dict[Path, int] = {}
        self.videos = 0
        self._left = 0
        self.published = 0

    def run(self, kills: int) -> None:
        """Kill so often, let all jobs end, stop, and look at everything."""
        rest = kills - len(self.named)
        plan = [*self.named, *(self._dice.choice([*DAEMON, *TARGETS]) for _ in range(rest))]
        self._dice.shuffle(plan)
        with self._program, self._onlooker():
            for target in plan:
                self._running()
                if target in self.named:
                    self._let_die_at(target)
                elif target in DAEMON:
                    self._feed()
                    self._wait_up_to(_LONGEST_WAIT_S)
                    if target == "program while it starts":
                        self._program.end(signal.SIGTERM)
                        self._program.start(module=self._module, wait=False)
                        self._wait_up_to(_LONGEST_WAIT_S)
                    self._kill_daemon()
                else:
                    self._kill_part(target)
                    self._note_spoken_lines()
                self.kills[target] += 1
            self._running()
            self._all_ended()
            self._program.end(signal.SIGTERM, MAX_STOP_S)
        self._look_at_the_end()

    def _running(self) -> None:
        daemon = self._program.daemon
        if daemon is None or daemon.poll() is not None:
            self._program.start(module=self._module)

    @contextmanager
    def _onlooker(self) -> Iterator[None]:
        """Have another process look at every published file as it appears."""
        reports = self._program.config / "reports"
        reports.mkdir(exist_ok=True)
        with subprocess.Popen(
            [sys.executable, "-m", "tests.crashes.onlooker", str(VIDEO_S),
             str(self._program.videos), str(reports)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as onlooker:  # fmt: skip
            assert onlooker.stdout is not None
            assert onlooker.stdout.readline() == "looking\n"
            seen: list[str] = []
            reader = threading.Thread(target=lambda: seen.extend(onlooker.stdout or ()))
            reader.start()
            try:
                yield
            finally:
                assert onlooker.stdin is not None
                onlooker.stdin.close()
                reader.join()
        assert onlooker.returncode == 0
        told = [json.loads(line) for line in seen]
        self.published = len(told)
        self.damage.half_files += [f"{name}: {wrong}" for name, wrong in told if wrong]

    def _feed(self, *, new: bool = False) -> None:
        """Have a job that has not ended; a new video comes when the last one had its share."""
        if new or self._left == 0 or self._is_over():
            self._all_ended()
            self.videos += 1
            self._left = KILLS_A_VIDEO
            name = f"Film {self.videos}.mkv"
            if self.videos % 2:
                (self._program.videos / f"{name}.dub").write_text("de\n")
            drop_another(self._talk, self._program.videos, name)
        self._left -= 1

    def _is_over(self) -> bool:
        """Tell whether every video has been dubbed, and every marker answered."""
        ended = [job for job in self._program.jobs() if job.state.ended]
        asked = [name for name in names(self._program.videos) if name.endswith(".dub")]
        return len(ended) >= self.videos and not asked

    def _all_ended(self) -> None:
        eventually(self._is_over, f"all jobs ended: {self._program.log}", _DEADLINE_S)

    def _let_die_at(self, step: str) -> None:
        self._feed(new=True)
        (self.folder / f"die at {step}").touch()
        daemon = self._program.daemon
        assert daemon is not None
        eventually(lambda: daemon.poll() is not None, f"died: {step}", _DEADLINE_S)
        self._look_after_a_death()

    def _wait_up_to(self, longest_s: float) -> None:
        until = time.monotonic() + self._dice.uniform(0, longest_s)
        eventually(lambda: time.monotonic() > until)

    def _kill_daemon(self) -> None:
        daemon = self._program.daemon
        assert daemon is not None
        assert daemon.poll() is None, self._program.log
        daemon.kill()
        daemon.wait(_DEADLINE_S)
        self._look_after_a_death()

    def _kill_part(self, target: str) -> None:
        """Kill a process of a kind, a moment after there is one."""
        while True:
            self._feed()
            found = eventually(lambda: self._parts(target) or self._is_over(), target, _DEADLINE_S)
            if found is not True:
                self._wait_up_to(0.3)
                with suppress(psutil.NoSuchProcess):
                    found[0].kill()
                    return

    def _parts(self, target: str) -> list[psutil.Process]:
        assert self._program.daemon is not None
        return [
            process
            for process in living_below(psutil.Process(self._program.daemon.pid))
            if TARGETS[target] in _command(process)
        ]

    def _look_after_a_death(self) -> None:
        """Look for what must never be seen, not even while nothing has been put right yet."""
        until = time.monotonic() + _ORPHANS_S
        while (left := self._processes()) and time.monotonic() < until:
            time.sleep(0.02)
        self.damage.orphans += [_command(process) for process in left]
        self.damage.half_files += self._half_files()
        if not self._program.is_sound():
            self.damage.database_damaged.append(str(sum(self.kills.values())))
        self._note_spoken_lines()

    def _processes(self) -> list[psutil.Process]:
        """Return what runs in this harness's environment."""
        ours, home = psutil.Process(), self._program.environment["HOME"]
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                living = process.status() != psutil.STATUS_ZOMBIE and process != ours
                if living and process.environ().get("HOME") == home:
                    found.append(process)
        return found

    def _half_files(self) -> list[str]:
        """Return published files that are not whole."""
        seen = {
            path.name: wrong_with(path, path.suffix, VIDEO_S)
            for path in self._program.videos.iterdir()
            if path.suffix in (".mka", ".mkv", ".srt") and not path.name.startswith(".")
        }
        return [f"{name}: {wrong}" for name, wrong in seen.items() if wrong]

    def _note_spoken_lines(self) -> None:
        """Remember when the takes of finished lines were made."""
        store = open_for_reading(self._program.config / "dubarr.db")
        assert store is not None
        with store:
            for job in self._program.jobs():
                for language in job.languages:
                    for line in store.checkpoints.lines(job.id, language).values():
                        for path in map(Path, _TAKE.findall(line.data)):
                            if path.exists():
                                self._spoken.setdefault(path, path.stat().st_mtime_ns)

    def _look_at_the_end(self) -> None:
        program, damage = self._program, self.damage
        self._look_after_a_death()
        jobs = {job.video.path.name: job for job in program.jobs()}
        films = [f"Film {number + 1}.mkv" for number in range(self.videos)]
        for film in films:
            job = jobs.get(film)
            if job is None or job.state not in _GOOD:
                damage.jobs_lost.append(f"{film}: {job and (job.state, job.reason)}")
        damage.jobs_doubled += [
            f"{name}: {count} jobs"
            for name, count in Counter(job.video.path.name for job in program.jobs()).items()
            if count > 1
        ]
        damage.jobs_doubled += [f"job {job} ended {n} times" for job, n in self._ends() if n > 1]
        damage.jobs_doubled += [f"job {job}: {n} messages" for job, n in self._told() if n != 1]
        found = set(names(program.videos))
        for number, film in enumerate(films, 1):
            stem, code = film.removesuffix(".mkv"), "de" if number % 2 else "es"
            made = {film, f"{stem}.Dubarr.{code}.mka", f"{stem}.Dubarr.{code}.srt"}
            answered = {f"{film}.dub.done"} if number % 2 else set()
            damage.requests_lost += sorted((made | answered) - found)
            found -= made | answered
        damage.temporary_files += sorted(found)
        damage.temporary_files += [
            str(path.relative_to(self.folder))
            for folder in (program.config, self.folder / "home")
            for path in folder.rglob("*")
            if path.name.endswith(".tmp") or path.parent.name == "tmp"
        ]
        damage.half_files += self._other_than_recorded()
        damage.lines_spoken_twice += [
            path.name
            for path, made_ns in self._spoken.items()
            if path.exists() and path.stat().st_mtime_ns != made_ns
        ]

    def _other_than_recorded(self) -> list[str]:
        store = open_for_reading(self._program.config / "dubarr.db")
        assert store is not None
        wrong = []
        with store:
            for path in self._program.videos.iterdir():
                if path.suffix in (".mka", ".srt", ".mkv"):
                    known = store.outputs.by_path(path)
                    if known is None or known.fingerprint != fingerprint(path):
                        wrong.append(f"{path.name} is not what is on record")
        return wrong

    def _ends(self) -> list[tuple[int, int]]:
        told = (json.loads(line) for line in self._program.log.read_text().splitlines()
                if line.startswith("{"))  # fmt: skip
        return [*Counter(one["job"] for one in told if one["event"] == "job ended").items()]

    def _told(self) -> list[tuple[int, int]]:
        with closing(sqlite3.connect(self._program.config / "dubarr.db")) as database:
            return database.execute(
                "SELECT jobs.id, COUNT(notifications.id) FROM jobs LEFT JOIN notifications "
                "ON job_id = jobs.id GROUP BY jobs.id"
            ).fetchall()


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
