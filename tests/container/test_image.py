"""The Dockerfile, built for real, and the image's own entrypoint on a dropped video.

`make container-test` runs this, as root: buildah builds the target `cpu` on a Debian that
debootstrap makes. Debian's Python 3.11 stands in for 3.12 and 3.10 (the build arguments PYTHON_APP
and PYTHON_TTS), because fetching an interpreter needs a host that not every machine reaches. What
this machine's pip is set up with (certificates) goes into that base image alone.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml  # type: ignore[import-untyped]

from dubarr_watch.demo.clip import speak_clip
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.settings import Profile, load_settings
from tests.composing import sha256
from tests.programs import MAX_STOP_S, ROOT
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(1800)

LARGEST_BYTES = 2_000_000_000
PUID, PGID = 1234, 4321
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
MODELS = Path(os.environ.get("MODELS_DIR", Path.home() / ".cache/dubarr-watch/models"))
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


def run(*command: str | Path, limit_s: float = 900) -> str:
    """Run a command to its end; its output is shown where it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


class Builder:
    """buildah with a store of its own, so that all of it can be taken away again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._policy = folder / "policy.json"
        self._policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def __call__(self, command: str, *arguments: str | Path) -> str:
        """Run a command of buildah."""
        store = ("--root", self.folder / "store", "--runroot", self.folder / "run")
        # vfs copies the whole of every layer: 14 GB for this image.
        return run("buildah", *store, "--storage-driver", "overlay", command, *arguments)

    def build(self, name: str, context: Path, *arguments: str) -> float:
        """Build an image and return how many seconds it took."""
        started = time.monotonic()
        self("build", "--isolation", "chroot", "--format", "docker", "--layers",
             "--signature-policy", self._policy, *arguments, "--tag", name, context)  # fmt: skip
        return time.monotonic() - started

    def config(self, image: str) -> Any:
        """Return the configuration of an image."""
        return json.loads(self("inspect", "--type", "image", image))["Docker"]["config"]

    def size(self, image: str) -> int:
        """Return the bytes of an image."""
        [found] = json.loads(self("images", "--json", image))
        number, unit = found["size"].split()
        return int(float(number) * {"MB": 1e6, "GB": 1e9}[unit])


@dataclass(frozen=True)
class Image:
    """The built image: its files, its configuration and what building it took."""

    root: Path
    config: Any
    size: int
    again_s: float


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The target `cpu`."""
    folder = tmp_path_factory.mktemp("image")
    builder = Builder(folder)
    try:
        _make_base(folder, builder)
        context = folder / "repository"
        shutil.copytree(ROOT, context, ignore=shutil.ignore_patterns(
            ".venv", ".git", ".tools", ".*_cache", "__pycache__", ".hypothesis"))  # fmt: skip
        arguments = ["--target", "cpu", "--build-arg", "VERSION=7.8.9"]
        for name in ("BASE_IMAGE", "RUNTIME_IMAGE"):
            arguments += ["--build-arg", f"{name}=localhost/base"]
        for name in ("PYTHON_APP", "PYTHON_TTS"):
            arguments += ["--build-arg", f"{name}=/usr/bin/python3"]
        builder.build("localhost/dubarr", context, *arguments)
        with (context / "dubarr_watch" / "daemon.py").open("a") as module:
            module.write("# changed\n")
        again_s = builder.build("localhost/dubarr", context, *arguments)
        container = builder("from", "--pull-never", "localhost/dubarr").strip()
        root = Path(builder("mount", container).strip())
        print(f"\nimage: {builder.size('localhost/dubarr') / 1e9:.2f} GB, again {again_s:.0f} s")  # noqa: T201
        yield Image(root, builder.config("localhost/dubarr"), builder.size("localhost/dubarr"),
                    again_s)  # fmt: skip
    finally:
        subprocess.run(["buildah", "--root", folder / "store", "--runroot", folder / "run",
                        "--storage-driver", "overlay", "umount", "--all"],
                       check=False, capture_output=True)  # fmt: skip
        for mount in psutil.disk_partitions(all=True):
            if mount.mountpoint.startswith(f"{folder}/"):
                subprocess.run(["umount", "--lazy", mount.mountpoint], check=False)
        shutil.rmtree(folder)


def _make_base(folder: Path, builder: Builder) -> None:
    base = folder / "base"
    run("debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates",
        "bookworm", base)  # fmt: skip
    shutil.rmtree(base / "var/cache/apt/archives")
    shutil.copy(CERTIFICATES, base / CERTIFICATES.relative_to("/"))
    (base / "etc/pip.conf").write_text(f"[global]\ncert = {CERTIFICATES}\n")
    (base / "etc/uv").mkdir()
    (base / "etc/uv/uv.toml").write_text("native-tls = true\n")
    run("tar", "-C", base, "--exclude=./dev/*", "-cf", folder / "base.tar", ".")
    shutil.rmtree(base)
    context = folder / "context"
    context.mkdir()
    (folder / "base.tar").rename(context / "base.tar")
    (context / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
    builder.build("localhost/base", context)
    shutil.rmtree(context)


class Container:
    """A container of the image under bubblewrap, as Compose starts it: volumes, capabilities.

    It has a network of its own, so that port 8000 is always free.
    """

    def __init__(self, image: Image, folder: Path, *, read_only: bool = False, user: str = "",
                 **environment: str) -> None:  # fmt: skip
        self.image, self.folder, self.user = image, folder, user
        self.videos, self.config, self.log = folder / "videos", folder / "config", folder / "log"
        for made in (self.videos, self.config):
            made.mkdir(exist_ok=True)
        self._bind = "--ro-bind" if read_only else "--bind"
        self.environment = dict(line.split("=", 1) for line in image.config["Env"]) | environment
        self.pid = 0

    def __enter__(self) -> Container:
        caps = [word for name in COMPOSE["services"]["dubarr"]["cap_add"]
                for word in ("--cap-add", f"CAP_{name}")]  # fmt: skip
        become = []
        if self.user:
            uid, gid = self.user.split(":")
            become = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", "--"]
        reading, writing = os.pipe()
        command = [
            *("bwrap", "--unshare-pid", "--as-pid-1", "--unshare-net", "--unshare-ipc"),
            *("--info-fd", str(writing), "--cap-drop", "ALL", *caps),
            *(self._bind, str(self.image.root), "/", "--proc", "/proc", "--dev", "/dev"),
            *("--bind", str(self.videos), "/app/videos", "--bind", str(self.config), "/app/config"),
            *("--ro-bind", str(MODELS), "/app/models", "--tmpfs", "/app/models/leases"),
            *("--chdir", self.image.config["WorkingDir"], "--clearenv"),
            *(word for pair in self.environment.items() for word in ("--setenv", *pair)),
            *("--", *become, *self.image.config["Entrypoint"], *self.image.config["Cmd"]),
        ]
        with self.log.open("ab") as log:
            self._outer = subprocess.Popen(
                command, pass_fds=[writing], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        os.close(writing)
        with os.fdopen(reading) as told:
            self.pid = int(json.load(told)["child-pid"])
        return self

    def __exit__(self, *error: object) -> None:
        if self._outer.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self._outer.wait(30)

    def exec(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it as `docker exec` does."""
        environment = [f"{name}={value}" for name, value in self.environment.items()]
        return subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-p", "-n", "-r", "-w", "--",
             "/usr/bin/env", "-i", *environment, *command],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def healthy(self) -> bool:
        """Ask as the image's HEALTHCHECK does."""
        test = self.image.config["Healthcheck"]["Test"]
        assert test[0] == "CMD"
        return self.exec(*test[1:]).returncode == 0

    def stop(self) -> None:
        """Send STOPSIGNAL to process 1, and have all of it gone as soon as is promised."""
        os.kill(self.pid, signal.Signals[self.image.config["StopSignal"]])
        eventually(lambda: self._outer.poll() is not None, "its end", MAX_STOP_S)

    def processes(self) -> list[psutil.Process]:
        """Return all processes in it, of which process 1 comes first."""
        first = psutil.Process(self.pid)
        return [first, *first.children(recursive=True)]


@contextmanager
def started(image: Image, folder: Path, **options: Any) -> Iterator[Container]:
    """A container that is healthy."""
    with Container(image, folder, **options) as container:
        eventually(container.healthy, container.log.read_text(errors="replace"), 120)
        yield container


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conversation of 23 seconds."""
    settings = load_settings(models_dir=MODELS, config_dir=tmp_path_factory.mktemp("config"),
                             profile=Profile.EMBEDDED, tts_port=0)  # fmt: skip
    spec = specs_for(Profile.EMBEDDED, settings).synthesizer
    with EngineHost(settings).engine("synthesizer", spec) as synthesizer:
        return speak_clip(synthesizer, tmp_path_factory.mktemp("clip"), "Talk.mkv")


def test_the_image_is_small_and_a_change_of_code_is_built_in_seconds(image: Image) -> None:
    assert image.size < LARGEST_BYTES
    assert image.again_s < 60


def test_it_says_what_it_is(image: Image) -> None:
    """Labels, and the version of the tag, in the program too."""
    labels = image.config["Labels"]
    assert labels["org.opencontainers.image.version"] == "7.8.9"
    assert labels["org.opencontainers.image.licenses"] == "GPL-3.0-or-later"
    assert set(image.config["Volumes"]) == {"/app/videos", "/app/models", "/app/config"}
    assert set(image.config["ExposedPorts"]) == {"8000/tcp"}
    assert image.config["StopSignal"] == "SIGTERM"
    assert "7.8.9" in run("chroot", image.root, "/usr/local/bin/dubarr-watch", "--version")


def test_a_dropped_video_is_dubbed_as_puid_below_a_read_only_root(
    image: Image, clip: Path, tmp_path: Path
) -> None:
    """With the embedded models; everything written is PUID's, with the modes of UMASK."""
    with started(image, tmp_path, read_only=True, PUID=str(PUID), PGID=str(PGID), UMASK="027",
                 TZ="Europe/Warsaw", PROFILE="embedded", TARGET_LANGS="es", SETTLE_SECONDS="0.5",
                 PROCESS_EXISTING="true") as container:  # fmt: skip
        os.chown(container.videos, PUID, PGID)
        before = sha256(clip)
        shutil.copy(clip, container.videos)
        track = container.videos / "Talk.Dubarr.es.mka"
        seen: set[int] = set()

        def dubbed() -> bool:
            seen.update(process.uids().effective for process in container.processes())
            return track.exists()

        eventually(dubbed, "the dub", 900)
        report = container.config / "reports" / "1.es.json"
        eventually(report.exists, "the report, which comes last", 60)
        assert seen == {PUID}
        assert sha256(container.videos / "Talk.mkv") == before
        written = [track, *(path for path in container.config.rglob("*"))]
        assert {(path.lstat().st_uid, path.lstat().st_gid) for path in written} == {(PUID, PGID)}
        assert [
            path for path in written if path.lstat().st_mode & 0o027 and not path.is_symlink()
        ] == []
        assert (container.videos / "Talk.mkv").stat().st_uid == 0  # not ours to give away
        status = container.exec("dubarr-watch", "status", "--json")
        assert json.loads(status.stdout), status.stderr
        assert {path.lstat().st_uid for path in container.config.rglob("*")} == {PUID}
        container.stop()


def test_it_stops_in_time_in_the_middle_of_a_job(image: Image, clip: Path, tmp_path: Path) -> None:
    """And leaves no process behind."""
    with started(image, tmp_path, PUID=str(PUID), PGID=str(PGID), PROFILE="embedded",
                 TARGET_LANGS="es", SETTLE_SECONDS="0.5") as container:  # fmt: skip
        os.chown(container.videos, PUID, PGID)
        shutil.copy(clip, container.videos)
        eventually(lambda: len(container.processes()) > 2, "an engine runs", 120)
        below = container.processes()
        container.stop()
        assert [process for process in below if process.is_running()] == []


def test_it_runs_as_the_user_that_it_is_started_as(image: Image, tmp_path: Path) -> None:
    """`--user`, with PUID set to somebody else, and no /tmp to write to."""
    (tmp_path / "config").mkdir()
    os.chown(tmp_path / "config", 5555, 5555)
    with started(image, tmp_path, read_only=True, user="5555:5555", PUID="77",
                 MOCK_MODE="true") as container:  # fmt: skip
        assert {process.uids().effective for process in container.processes()} == {5555}
        assert {path.lstat().st_uid for path in container.config.rglob("*")} == {5555}
        container.stop()


def test_a_wrong_puid_is_told(image: Image, tmp_path: Path) -> None:
    with Container(image, tmp_path, MOCK_MODE="true", PUID="me") as container:
        eventually(lambda: "PUID and PGID must be numbers" in container.log.read_text(), "told", 30)
