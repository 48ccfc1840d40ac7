"""A full disk where no job writes: copies of the database, uploads, markers, models; a quota."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dubarr_watch.engines import catalog
from dubarr_watch.engines.catalog.hub import Hub
from dubarr_watch.errors import DiskFull
from dubarr_watch.library.marker_files import mark_done, mark_failed
from dubarr_watch.store import Store
from dubarr_watch.store.backups import backup_folder, copies
from dubarr_watch.web.desk import uploads
from tests.composing import names
from tests.disks import tmpfs
from tests.engines.hubserver import HubServer
from tests.engines.test_catalog import CONFIG, WEIGHTS, all_ok, from_hub, one_model
from tests.store.conftest import a_video
from tests.web.sites import open_site


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MB."""
    with tmpfs(tmp_path / "disk", "32m") as mounted:
        yield mounted


def fill(disk: Path, *, leave_bytes: int = 0) -> Path:
    """Take what a file system has left, but for some bytes."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        for size in (65536, 4096):
            with suppress(OSError):
                while True:
                    os.write(file.fileno(), bytes(size))
        file.truncate(file.tell() - leave_bytes)
    return filler


def test_a_copy_of_the_database_leaves_no_half_and_is_made_when_there_is_space(disk: Path) -> None:
    with Store.open(disk / "dubarr.db") as store:
        for number in range(300):
            a_video(store, f"{number}.mkv")
        store.backups.make("2026-01-30")
        filler = fill(disk, leave_bytes=8192)
        with pytest.raises(DiskFull):
            store.backups.make("2026-01-31")
        assert names(backup_folder(disk / "dubarr.db")) == ["dubarr-2026-01-30.db"]
        filler.unlink()
        store.backups.make("2026-01-31")
        assert len(copies(disk / "dubarr.db")) == 2


def test_an_upload_that_no_longer_fits_is_refused_whole(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even when the disk took a part of what came last: nothing is missing in the middle."""
    monkeypatch.setattr(uploads, "_SPARE_BYTES", 0)
    with open_site(tmp_path) as site:
        site.shop.set(videos_dir=disk)
        desk = uploads.UploadDesk(site.shop.settings, site.desk.uploads._works)
        filler = fill(disk, leave_bytes=512 * 1024)
        upload = desk.begin("Film.mkv", "", None)
        with pytest.raises(DiskFull):
            upload.add(bytes(1024 * 1024))
        upload.abandon()
        assert names(disk) == ["filler"]
        filler.unlink()
        upload = desk.begin("Film.mkv", "", None)
        upload.add(bytes(1024 * 1024))
        assert upload.finish().size_bytes == (disk / "Film.mkv").stat().st_size == 1024 * 1024


def test_a_marker_is_answered_by_its_name_where_there_is_no_room_for_the_reason(
    disk: Path,
) -> None:
    for name in ("One.dub", "Two.dub"):
        (disk / name).write_text("de")
    fill(disk)
    assert mark_done(disk / "One.dub") == disk / "One.dub.done"
    assert mark_failed(disk / "Two.dub", "It failed." * 1000) == disk / "Two.dub.failed"
    assert names(disk) == ["One.dub.done", "Two.dub.failed", "filler"]
    assert (disk / "Two.dub.failed").read_text() == "de"


def test_a_model_that_does_not_fit_is_not_taken_for_one(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the figures said that it would: what came stays, and a later pull goes on."""
    roomy = os.statvfs("/")
    monkeypatch.setattr(
        "shutil.disk_usage", lambda _: type("Usage", (), {"free": roomy.f_bavail * roomy.f_frsize})
    )
    content = {"/model.bin": WEIGHTS, "/config.json": CONFIG}
    with HubServer(content) as server, Hub() as hub:
        models = one_model(from_hub(server))
        filler = fill(disk, leave_bytes=65536)
        with pytest.raises(DiskFull, match="models pull"):
            catalog.pull(None, disk, models=models, hub=hub)
        assert [name for name in names(disk) if not name.startswith(".")] == ["filler"]
        filler.unlink()
        catalog.pull(None, disk, models=models, hub=hub)
        assert all_ok(disk, models)


QUOTA = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>
#define OVER (access(getenv("QUOTA_FLAG"), F_OK) == 0)
char *getenv(const char *);
static int mine(int fd) {
    char link[64], path[4096];
    int snprintf(char *, size_t, const char *, ...);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    char *strstr(const char *, const char *);
    return strstr(path, getenv("QUOTA_UNDER")) != 0;
}
#define REFUSE(fd) if (OVER && mine(fd)) { errno = EDQUOT; return -1; }
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
ssize_t write(int fd, const void *b, size_t n) { REFUSE(fd) return REAL(write)(fd, b, n); }
ssize_t pwrite(int fd, const void *b, size_t n, off_t o) {
    REFUSE(fd) return REAL(pwrite)(fd, b, n, o);
}
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) {
    REFUSE(fd) return REAL(pwrite64)(fd, b, n, o);
}
"""

OVER_QUOTA = """
import sys
from pathlib import Path
import numpy, soundfile
from dubarr_watch.errors import DiskFull
from dubarr_watch.storage import lack_of_space, write_atomically
from dubarr_watch.store import Store
folder, flag = Path(sys.argv[1]), Path(sys.argv[2])
with Store.open(folder / "dubarr.db") as store:
    flag.touch()
    for what in (lambda: store.meta.set("a", "b"), lambda: write_atomically(folder / "f", b"x")):
        try:
            what()
        except DiskFull:
            print("full")
    try:
        soundfile.write(folder / "take.wav", numpy.zeros(100_000, "int16"), 24_000)
    except Exception as error:
        print(type(lack_of_space(error, folder)).__name__)
    flag.unlink()
    store.meta.set("a", "b")
    print(store.meta.get("a"))
"""


def test_a_quota_is_a_full_disk_to_database_files_and_sound(tmp_path: Path) -> None:
    """The system calls refuse as they do over a quota; SQLite and libsndfile say it their way."""
    source, library, folder = tmp_path / "quota.c", tmp_path / "quota.so", tmp_path / "config"
    source.write_text(QUOTA)
    folder.mkdir()
    compiler = ["gcc", "-w", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(compiler, check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-c", OVER_QUOTA, str(folder), str(tmp_path / "over")],
        env={**os.environ, "LD_PRELOAD": str(library), "QUOTA_FLAG": str(tmp_path / "over"),
             "QUOTA_UNDER": str(folder)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["full", "full", "DiskFull", "b"], done.stderr
