"""Files that get their final name only when they are whole."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from dubarr_watch.dubbing.leftovers import remove_leftovers
from dubarr_watch.dubbing.publishing import (
    Place,
    publish,
    publish_file,
)
from dubarr_watch.errors import DiskFull, NotWritable, PublishError, VideoChanged
from dubarr_watch.library.naming import temporary_name, writing_job
from dubarr_watch.media import probe
from tests.dubbing.samples import make_dub, make_video

STEPS = ("created", "written", "verified", "synced", "asked", "named", "done")


def there() -> None:
    """Say that the video is still the same."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.srt"
    path.write_text("1\n00:00:01,000 --> 00:00:02,000\nHola\n")
    return path


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    return folder


def put(source: Path, library: Path, **more: object) -> Path:
    options: dict[str, object] = {"job": 1, "still_there": there, **more}
    return publish_file(source, target=library / "Film.Dubarr.es.srt", **options)  # type: ignore[arg-type]


def test_copy_is_published(source: Path, library: Path) -> None:
    """The target has the source's bytes, the source stays, and nothing else appears."""
    target = put(source, library)
    assert target.read_bytes() == source.read_bytes()
    assert os.listdir(library) == [target.name]


def test_steps_come_in_order(source: Path, library: Path) -> None:
    """The file is verified and synced before the video is asked for, and named after that."""
    seen: list[str] = []
    put(source, library, on_step=seen.append)
    assert tuple(seen) == STEPS


def test_target_is_never_seen_half(source: Path, library: Path) -> None:
    """Until it is named, the target is not there; what is there has no media extension."""
    seen: dict[str, list[str]] = {}
    put(source, library, on_step=lambda step: seen.update({step: os.listdir(library)}))
    for step in STEPS[:5]:
        (name,) = seen[step]
        assert name.startswith(".")
        assert name.endswith(".dubarr-1.tmp")
        assert writing_job(name) is not None
    assert seen["named"] == ["Film.Dubarr.es.srt"] or len(seen["named"]) == 2
    assert seen["done"] == ["Film.Dubarr.es.srt"]


@pytest.mark.parametrize("step", STEPS[:5])
def test_failure_leaves_the_old_file(source: Path, library: Path, step: str) -> None:
    """Whatever fails before the naming, the earlier publication stays and nothing lies about."""
    target = library / "Film.Dubarr.es.srt"
    target.write_text("earlier")

    def fail(seen: str) -> None:
        if seen == step:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(PublishError, match="Input/output error"):
        put(source, library, may_replace=True, on_step=fail)
    assert target.read_text() == "earlier"
    assert os.listdir(library) == [target.name]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EROFS, NotWritable),
        (errno.EACCES, NotWritable),
        (errno.EPERM, NotWritable),
        (errno.ENAMETOOLONG, PublishError),
        (errno.EIO, PublishError),
    ],
)
def test_errors_are_plain(
    source: Path, library: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]
) -> None:
    """What the operating system says at the last step becomes what the user can do."""

    def refuse(*names: object, **more: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(kind) as caught:
        put(source, library, may_replace=True)
    assert type(caught.value) is kind
    assert getattr(caught.value, "hint", "")
    assert os.listdir(library) == []


def test_file_system_without_links(
    source: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no links can be made (FAT, some network mounts), a rename does it."""

    def refuse(*names: object, **more: object) -> NoReturn:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    assert put(source, library).read_bytes() == source.read_bytes()
    with pytest.raises(PublishError, match="not one of mine"):
        put(source, library)


def test_folder_gone(source: Path, library: Path) -> None:
    """A folder that was deleted is told as such, not as a puzzle."""
    library.rmdir()
    with pytest.raises(VideoChanged, match="folder is not there"):
        put(source, library)


def test_attributes_that_cannot_be_kept(
    source: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An owner that cannot be given is no reason not to publish."""
    video = library / "Film.mkv"
    video.write_bytes(b"")

    def refuse(*names: object, **more: object) -> NoReturn:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chown", refuse)
    if os.geteuid() == 0:
        subprocess.run(["chown", "1234", str(video)], check=True)
    assert put(source, library, like=video).exists()


def test_folder_that_cannot_be_synced(
    source: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network mount that cannot sync folders still gets the file."""
    real = os.fsync

    def sync(handle: int) -> None:
        if Path(f"/proc/self/fd/{handle}").is_dir():
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(handle)

    monkeypatch.setattr(os, "fsync", sync)
    assert put(source, library).exists()


def test_check_that_fails(library: Path) -> None:
    """A file that does not pass its check is not published."""

    def refuse(path: Path) -> NoReturn:
        raise PublishError("wrong", path=path)

    place = Place(target=library / "a", job=1, still_there=there)
    with pytest.raises(PublishError, match="wrong"):
        publish(place, lambda path: None, refuse, needs_bytes=0)
    assert os.listdir(library) == []


class TestTemporaryNames:
    @pytest.mark.parametrize("length", [1, 100, 240, 241, 255])
    @pytest.mark.parametrize("letter", ["n", "ż", "🎬", "\udce9"])
    def test_fits(self, letter: str, length: int) -> None:
        """A temporary name is never longer than a name may be, nor cut inside a character."""
        name = (letter * length)[: 255 // len(os.fsencode(letter))]
        made = temporary_name(name, 123)
        assert len(os.fsencode(made)) <= 255
        assert writing_job(made) == 123
        if letter != "\udce9":
            made.encode("utf-8")

    def test_long_names_stay_apart(self) -> None:
        """Two long names that differ at their end do not share a temporary name."""
        assert temporary_name("n" * 250 + "1", 1) != temporary_name("n" * 250 + "2", 1)

    def test_example(self) -> None:
        """The name tells the target and the job."""
        assert temporary_name("Film.Dubarr.es.mka", 7) == ".Film.Dubarr.es.mka.dubarr-7.tmp"


class TestLeftovers:
    def test_only_ours_go(self, library: Path) -> None:
        """Temporary files of ours go; everything else stays, whatever its name."""
        ours = [library / temporary_name(name, 4) for name in ("a.mka", "b\n.mkv", "caf\udce9.srt")]
        foreign = ["a.mka", ".a.tmp", "a.dubarr-4.tmp", ".a.dubarr-x.tmp", ".a.dubarr-4.tmp.mkv"]
        others = [library / name for name in foreign]
        for path in [*ours, *others]:
            path.write_bytes(b"x")
        (library / ".folder.dubarr-4.tmp").mkdir()
        assert set(remove_leftovers(library)) == set(ours)
        assert all(path.exists() for path in others)
        assert (library / ".folder.dubarr-4.tmp").is_dir()

    def test_only_of_one_job(self, library: Path) -> None:
        """A job's own leftovers go without touching what another job is writing."""
        mine, other = (library / temporary_name("a.mka", job) for job in (4, 44))
        mine.touch()
        other.touch()
        assert remove_leftovers(library, 4) == [mine]
        assert other.exists()

    def test_folder_gone(self, library: Path) -> None:
        """A folder that is gone has no leftovers."""
        library.rmdir()
        assert remove_leftovers(library) == []


def _in_namespace(script: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run Python in a mount namespace of its own, after mounting `library`."""
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path / "library"), sys.executable],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )


needs_namespaces = pytest.mark.skipif(
    not shutil.which("unshare")
    or subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode != 0,
    reason="this machine allows no mount namespaces",
)

_PUBLISH = """
import sys
from pathlib import Path
from dubarr_watch.dubbing.track_file import publish_sidecar
from dubarr_watch.languages import parse_language
library, dub, seconds = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
import dubarr_watch.dubbing.publishing as publishing
publishing.SPARE_BYTES = int(sys.argv[4])
try:
    publish_sidecar(dub, target=library / "F.mka", language=parse_language("es"),
                    duration_s=seconds, still_there=lambda: None, job=1)
except Exception as error:
    print(type(error).__name__, error)
print(sorted(path.name for path in library.iterdir()))
"""


@needs_namespaces
class TestRealMounts:
    def test_read_only_folder(self, library: Path, tmp_path: Path) -> None:
        """On a read-only mount the user hears that it must be mounted writable."""
        dub = make_dub(tmp_path / "dub.mka")
        (tmp_path / "p.py").write_text(_PUBLISH)
        done = _in_namespace(
            f'mount -t tmpfs -o ro none "$1" && PYTHONPATH=. "$2" {tmp_path}/p.py "$1" {dub} 2 0',
            tmp_path,
        )
        assert "NotWritable" in done.stdout, done.stderr
        assert "Mount the folder writable" in done.stdout
        assert done.stdout.endswith("[]\n")

    @pytest.mark.parametrize(
        ("taken", "spare", "words"),
        [
            (900, 0, "DiskFull There is not enough space"),
            (900, -(10**9), "DiskFull The disk or the quota ran full"),
            (0, 10**6, "PublishError This disk is too small"),
        ],
    )
    def test_full_disk(
        self, library: Path, tmp_path: Path, taken: int, spare: int, words: str
    ) -> None:
        """A full disk is told before the work, or when it fills up; one too small for ever too."""
        dub = make_dub(tmp_path / "dub.mka", seconds=30)
        (tmp_path / "p.py").write_text(_PUBLISH)
        done = _in_namespace(
            'mount -t tmpfs -o size=1000k none "$1" && '
            f'head -c {taken}k /dev/zero > "$1/other" && PYTHONPATH=. '
            f'"$2" {tmp_path}/p.py "$1" {dub} 30 {spare}',
            tmp_path,
        )
        assert words in done.stdout, done.stderr
        assert done.stdout.endswith("['other']\n")


class TestCrash:
    @pytest.mark.parametrize("step", STEPS)
    @pytest.mark.parametrize("how", ["sidecar", "mux"])
    def test_killed(self, library: Path, tmp_path: Path, how: str, step: str) -> None:
        """A process killed at any step leaves the old file or the new one, each whole."""
        work = tmp_path / "work"
        work.mkdir()
        dub = make_dub(tmp_path / "dub.mka")
        target = library / ("Film.mkv" if how == "mux" else "Film.Dubarr.es.mka")
        if how == "mux":
            shutil.copy(make_video(tmp_path / "Film.mkv"), target)
        old = target.read_bytes() if target.exists() else None
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.dubbing.publish_once",
             how, step, str(dub), str(target), str(work)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert process.stdout is not None
        with process.stdout:
            assert process.stdout.readline().decode().strip() == step
            process.kill()
        process.wait()
        if step in {"named", "done"}:
            assert len(probe(target).of_kind("audio")) == (3 if how == "mux" else 1)
        else:
            assert (target.read_bytes() if target.exists() else None) == old
        remove_leftovers(library, 3)
        assert os.listdir(library) == ([target.name] if target.exists() else [])
