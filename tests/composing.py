"""The composed program on fakes: short talking videos, a spying engine host, jobs run for real."""

from __future__ import annotations

import atexit
import functools
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from dubarr_watch.dubbing.pipeline import Pipeline
from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import EngineSpecs, specs_for
from dubarr_watch.engines.worker import build
from dubarr_watch.library.naming import fingerprint
from dubarr_watch.media import ffmpeg_path
from dubarr_watch.runner import Ended, JobRunner
from dubarr_watch.settings import Profile, Settings, load_settings
from dubarr_watch.store.owners import Owner
from dubarr_watch.store.records import JobOptions, JobRecord, JobState, VideoRecord, VideoState
from dubarr_watch.store.store import Store

TONE_HZ = 440.0
"""What the videos of these tests sound of; the fakes take it for speech."""


def ffmpeg(*arguments: str | Path) -> bytes:
    """Run ffmpeg and return its standard output."""
    command = [ffmpeg_path(), "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


@functools.cache
def _cache() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="dubarr-watch-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def _made(seconds: float, ending: str, sound: str, language: str) -> Path:
    path = _cache() / f"{seconds}.{hashlib.sha256(f'{sound}{language}'.encode()).hexdigest()[:8]}"
    path = path.with_name(path.name + ending)
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x48:r=5:d={seconds}",
           "-f", "lavfi", "-i", sound.format(seconds=seconds),
           "-c:v", "mpeg4", "-c:a", "aac", "-metadata:s:a:0", f"language={language}",
           "-disposition:a:0", "default", f"file:{path}")  # fmt: skip
    return path


def make_talk(path: Path, seconds: float = 8.0, *, language: str = "eng") -> Path:
    """Make a video that talks all the time: one line in 3.2 s, to the fakes."""
    tone = f"sine=frequency={TONE_HZ}:sample_rate=48000:duration={{seconds}}"
    shutil.copyfile(_made(seconds, path.suffix, tone, language), path)
    return path


def make_silence(path: Path, seconds: float = 4.0) -> Path:
    """Make a video whose audio is digital silence."""
    silence = "anullsrc=channel_layout=stereo:sample_rate=48000:duration={seconds}"
    shutil.copyfile(_made(seconds, path.suffix, silence, "eng"), path)
    return path


def make_mute(path: Path, seconds: float = 4.0) -> Path:
    """Make a video without any audio."""
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x48:r=5:d={seconds}", "-c:v", "mpeg4",
           f"file:{path}")  # fmt: skip
    return path


def sha256(path: Path) -> str:
    """Return the hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sound_of(path: Path, stream: int = 0) -> NDArray[np.float32]:
    """Decode an audio stream to mono at 16 kHz."""
    raw = ffmpeg("-i", f"file:{path}", "-map", f"0:a:{stream}", "-ac", "1", "-ar", "16000",
                 "-f", "f32le", "-")  # fmt: skip
    return np.frombuffer(raw, dtype=np.float32)


def share_of(samples: NDArray[np.float32], pitch_hz: float, rate: int = 16_000) -> float:
    """Return the share of a sound's power that lies within 5 Hz of a pitch."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    pitches = np.fft.rfftfreq(len(samples), 1 / rate)
    return float(power[np.abs(pitches - pitch_hz) < 5].sum() / power.sum())


def names(folder: Path) -> list[str]:
    """Return the names of everything in a folder, hidden files too."""
    return sorted(entry.name for entry in folder.iterdir())


def living_below(process: psutil.Process) -> list[psutil.Process]:
    """Return the children of a process, and theirs, that have not ended."""
    found = []
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # ended since it was listed
            if child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
    return found


def running_below(process: psutil.Process, program: str) -> list[psutil.Process]:
    """Return those of `living_below` whose program has this in its name."""
    found = []
    for child in living_below(process):
        with suppress(psutil.NoSuchProcess):  # ended since it was listed
            if program in child.name():
                found.append(child)
    return found


@dataclass(frozen=True)
class Call:
    """One call of an engine's method, with its keyword arguments and the others."""

    kind: str
    method: str
    arguments: dict[str, Any]
    values: tuple[Any, ...] = ()


@dataclass
class SpyHost(EngineHost):
    """Runs engines in this process, and remembers every call.

    `before` is told each call ahead of it; what it raises the engine is taken to have raised.
    """

    calls: list[Call] = field(default_factory=list)
    before: Callable[[Call], None] = lambda call: None

    def __post_init__(self) -> None:
        self.usage = []

    @contextmanager
    def engine(self, kind: str, spec: EngineSpec, **watch: Any) -> Iterator[Any]:
        yield _Spied(kind, build(spec), self)

    def end_job(self, job: int) -> None:
        """No engine outlives its block here."""

    def count(self, method: str) -> int:
        """Return how often a method of an engine was called."""
        return sum(call.method == method for call in self.calls)

    def spoken(self, first: int = 0) -> list[tuple[str, int]]:
        """Return (language, line) of each synthesis from a certain call on."""
        return [
            (call.arguments["language"], int(call.arguments["target"].name.split("-")[0]))
            for call in self.calls[first:]
            if call.method == "synthesize"
        ]


class _Spied:
    def __init__(self, kind: str, engine: Any, host: SpyHost) -> None:
        self._kind, self._engine, self._host = kind, engine, host

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._engine, method)
        if not callable(found):
            return found

        def call(*values: Any, **arguments: Any) -> Any:
            made = Call(self._kind, method, arguments, values)
            self._host.calls.append(made)
            self._host.before(made)
            return found(*values, **arguments)

        return call


@dataclass
class Shop:
    """A store, a library folder and a runner; jobs run when told to."""

    settings: Settings
    store: Store
    owner: Owner
    host: EngineHost
    specs: EngineSpecs

    @property
    def spy(self) -> SpyHost:
        """The host, where it spies."""
        assert isinstance(self.host, SpyHost)
        return self.host

    @property
    def videos(self) -> Path:
        """The library."""
        return self.settings.videos_dir

    def set(self, **values: Any) -> None:
        """Change settings."""
        self.settings = self.settings.model_copy(update=values)

    def use(self, **options: dict[str, Any]) -> None:
        """Give the fakes options: `use(synthesizer={"delay_s": 0.1})`."""
        changed = {
            kind: replace(getattr(self.specs, kind), options=given)
            for kind, given in options.items()
        }
        self.specs = replace(self.specs, **changed)

    def record(self, path: Path) -> VideoRecord:
        """Record a video as the library does when it sees it."""
        seen = path.stat()
        return self.store.videos.record(
            path, seen.st_size, seen.st_mtime_ns, fingerprint(path), VideoState.ARRIVED
        )

    def enqueue(self, path: Path, *languages: str, **options: Any) -> JobRecord:
        """Queue a job."""
        video = self.record(path)
        return self.store.jobs.enqueue(video.id, languages or ("es",), JobOptions(**options))

    def runner(self, *, park: bool = False) -> JobRunner:
        """Return a runner with the settings of now."""
        pipeline = Pipeline(self.settings, self.store, self.host, self.specs)
        return JobRunner(self.settings, self.store, pipeline, park)

    def run(self, job: JobRecord, **watch: Any) -> Ended:
        """Run a job once, whatever comes of it."""
        claimed = self.store.jobs.claim_job(job.id, self.owner.id)
        return self.runner().run(claimed, **watch)

    def dub(self, path: Path, *languages: str, **options: Any) -> Ended:
        """Queue a job and run it once."""
        return self.run(self.enqueue(path, *languages, **options))

    def work(self, job: JobRecord) -> Path:
        """Return a job's work folder."""
        return self.settings.work_dir / str(job.id)

    def track(self, job: JobRecord, language: str = "es", kind: str = "sidecar") -> Path:
        """Return the track that a job made."""
        tracks = self.store.jobs.tracks(job.id)
        return next(t.path for t in tracks if (t.language, t.kind) == (language, kind))


@contextmanager
def open_shop(folder: Path, *, real_processes: bool = False, **settings: Any) -> Iterator[Shop]:
    """Open a shop in an empty folder."""
    for name in ("videos", "config"):
        (folder / name).mkdir(exist_ok=True)
    loaded = load_settings(
        **{
            "videos_dir": folder / "videos",
            "config_dir": folder / "config",
            "mock_mode": True,
            "threads": 1,
            **settings,
        }
    )
    for made in (loaded.work_dir, loaded.reports_dir):
        made.mkdir(exist_ok=True)
    host = EngineHost(loaded) if real_processes else SpyHost()
    specs = specs_for(Profile.EMBEDDED, loaded)
    with Store.open(loaded.database_path) as store, Owner.acquire(loaded.config_dir) as owner:
        yield Shop(loaded, store, owner, host, specs)


def states(ended: Ended) -> dict[str, JobState]:
    """Return how each language of a job ended."""
    assert ended.result is not None, ended
    return {result.language.code: result.state for result in ended.result.languages}
