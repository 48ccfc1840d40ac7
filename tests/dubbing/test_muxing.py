"""Tracks beside and inside real videos, looked at with ffprobe."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dubarr_watch.dubbing import containers
from dubarr_watch.dubbing.muxing import publish_muxed
from dubarr_watch.dubbing.passes import Watch
from dubarr_watch.dubbing.track_file import publish_sidecar
from dubarr_watch.errors import (
    CannotDub,
    DiskFull,
    JobCancelled,
    MediaError,
    PublishError,
    VideoChanged,
)
from dubarr_watch.languages import parse_language
from dubarr_watch.media import Probe, probe
from tests.dubbing.samples import (
    SECONDS,
    ffmpeg,
    make_dub,
    make_video,
    packets,
    stream_hash,
)

ES = parse_language("es")
PL = parse_language("pl")
DE = parse_language("de")

KINDS = (".mkv", ".mp4", ".mov", ".ts", ".m2ts", ".webm", ".avi")


def there() -> None:
    """Say that the video is still the same."""


def gone() -> None:
    raise VideoChanged("The video was replaced.")


@pytest.fixture(scope="session")
def dub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dub(tmp_path_factory.mktemp("dub") / "dub.mka")


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("videos")

    def make(kind: str) -> Path:
        path = folder / f"film{kind}"
        return path if path.exists() else make_video(path)

    return make


@pytest.fixture
def place(videos: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    (tmp_path / "work").mkdir()
    (tmp_path / "library").mkdir()

    def put(kind: str, name: str = "Film") -> Path:
        return Path(shutil.copy(videos(kind), tmp_path / "library" / f"{name}{kind}"))

    return put


def mux(video: Path, *dubs: tuple[object, Path], **more: object) -> Path:
    options: dict[str, object] = {
        "work": video.parents[1] / "work", "still_there": there, "job": 7, **more
    }  # fmt: skip
    return publish_muxed(video, dubs, **options)  # type: ignore[arg-type]


def sidecar(dub: Path, target: Path, **more: object) -> Path:
    options: dict[str, object] = {
        "language": ES, "duration_s": SECONDS, "still_there": there, "job": 7, **more
    }  # fmt: skip
    return publish_sidecar(dub, target=target, **options)  # type: ignore[arg-type]


def names(folder: Path) -> set[str]:
    return set(os.listdir(folder))


def audio(found: Probe) -> list[tuple[str, str]]:
    return [(stream.language, stream.title) for stream in found.of_kind("audio")]


class TestSidecar:
    def test_says_what_it_is(self, dub: Path, tmp_path: Path) -> None:
        """The track is one audio stream with language and title, marked as dub, not default."""
        target = sidecar(dub, tmp_path / "Film.Dubarr.es.mka")
        (stream,) = probe(target).streams
        assert (stream.codec, stream.language, stream.title) == ("aac", "spa", "Spanish (AI dub)")
        assert stream.dispositions == {"dub"}
        assert names(tmp_path) == {"Film.Dubarr.es.mka"}
        assert stream_hash(target, 0) == stream_hash(dub, 0)

    def test_uses_bibliographic_codes(self, dub: Path, tmp_path: Path) -> None:
        """Matroska wants `ger`, not `deu`."""
        target = sidecar(dub, tmp_path / "Film.Dubarr.de.mka", language=DE)
        assert probe(target).streams[0].language == "ger"

    @pytest.mark.parametrize(
        "name",
        [
            b'it\'s "it" %d $HOME `x`',
            b"two\nlines",
            "film 🎬 żółć".encode(),
            b"caf\xe9",
            b"-y",
            b"a:b",
            b"n" * 240,
            ("ż" * 120).encode(),
        ],
    )
    def test_takes_any_name(self, dub: Path, tmp_path: Path, name: bytes) -> None:
        """No character in a name, and no length that the disk holds, stops a publication."""
        target = tmp_path / os.fsdecode(name + b".Dubarr.es.mka")
        sidecar(dub, target)
        assert [os.fsencode(entry) for entry in names(tmp_path)] == [name + b".Dubarr.es.mka"]

    def test_name_too_long(self, dub: Path, tmp_path: Path) -> None:
        """One byte over the limit of the file system is a plain error, and nothing is left."""
        sidecar(dub, tmp_path / ("n" * 251 + ".mka"))
        with pytest.raises(PublishError, match="too long"):
            sidecar(dub, tmp_path / ("n" * 252 + ".mka"))
        assert len(names(tmp_path)) == 1

    def test_leaves_foreign_files_alone(self, dub: Path, tmp_path: Path) -> None:
        """A file under the final name that is not ours stays; one of ours is replaced."""
        target = tmp_path / "Film.Dubarr.es.mka"
        target.write_bytes(b"mine")
        with pytest.raises(PublishError, match="not one of mine") as caught:
            sidecar(dub, target)
        assert caught.value.hint
        assert target.read_bytes() == b"mine"
        sidecar(dub, target, may_replace=True)
        assert probe(target).duration_s == pytest.approx(SECONDS, abs=0.1)
        assert names(tmp_path) == {target.name}

    def test_foreign_file_that_comes_late(self, dub: Path, tmp_path: Path) -> None:
        """A file that takes the name while the track is written is not replaced either."""
        target = tmp_path / "Film.Dubarr.es.mka"

        def intrude(step: str) -> None:
            if step == "asked":
                target.write_bytes(b"mine")

        with pytest.raises(PublishError, match="not one of mine"):
            sidecar(dub, target, watch=Watch(on_step=intrude))
        assert target.read_bytes() == b"mine"
        assert names(tmp_path) == {target.name}

    def test_video_replaced_meanwhile(self, dub: Path, tmp_path: Path) -> None:
        """Nothing is published for a video that is another one now."""
        with pytest.raises(VideoChanged):
            sidecar(dub, tmp_path / "Film.Dubarr.es.mka", still_there=gone)
        assert names(tmp_path) == set()

    @pytest.mark.parametrize(("off_s", "fits"), [(0.4, True), (0.7, False)])
    def test_wrong_length(self, dub: Path, tmp_path: Path, off_s: float, fits: bool) -> None:
        """A track that is shorter or longer than its video is not published."""
        target = tmp_path / "Film.Dubarr.es.mka"
        for duration_s in (SECONDS + off_s, SECONDS - off_s):
            if fits:
                sidecar(dub, target, duration_s=duration_s, may_replace=True)
            else:
                with pytest.raises(PublishError, match="long instead of"):
                    sidecar(dub, target, duration_s=duration_s)
        assert target.exists() == fits

    def test_broken_track(self, tmp_path: Path) -> None:
        """A track that is no media file is an error of the media, and nothing is left."""
        broken = tmp_path / "broken.mka"
        broken.write_bytes(b"no media")
        with pytest.raises(MediaError):
            sidecar(broken, tmp_path / "Film.Dubarr.es.mka")
        assert names(tmp_path) == {"broken.mka"}

    def test_cancelled(self, dub: Path, tmp_path: Path) -> None:
        """A cancel that comes while ffmpeg runs leaves nothing."""
        long = make_dub(tmp_path / "long.mka", seconds=2)
        fifo = tmp_path / "slow.mka"
        os.mkfifo(fifo)
        feeder = subprocess.Popen(["sh", "-c", f"cat {long} - > {fifo}"], stdin=subprocess.PIPE)
        try:
            with pytest.raises(JobCancelled):
                sidecar(fifo, tmp_path / "F.mka", watch=Watch(cancelled=lambda: True))
        finally:
            feeder.kill()
            feeder.communicate()
        assert names(tmp_path) == {"long.mka", "slow.mka"}

    def test_permissions_follow_the_video(self, dub: Path, tmp_path: Path) -> None:
        """A track is readable for those who read the video, never executable, within the umask."""
        video = tmp_path / "Film.mkv"
        video.write_bytes(b"")
        before = os.umask(0o027)
        try:
            for mode, expected in ((0o777, 0o640), (0o444, 0o640), (0o600, 0o600)):
                video.chmod(mode)
                target = sidecar(dub, tmp_path / "F.mka", like=video, may_replace=True)
                assert stat.S_IMODE(target.stat().st_mode) == expected
        finally:
            os.umask(before)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_owner_follows_the_video(self, dub: Path, tmp_path: Path) -> None:
        """A daemon that may do so gives the track to the video's owner."""
        video = tmp_path / "Film.mkv"
        video.write_bytes(b"")
        os.chown(video, 1234, 4321)
        seen = sidecar(dub, tmp_path / "F.mka", like=video).stat()
        assert (seen.st_uid, seen.st_gid) == (1234, 4321)


class TestMuxed:
    @pytest.mark.parametrize("kind", KINDS)
    def test_original_is_kept(self, place: Callable[..., Path], dub: Path, kind: str) -> None:
        """Every stream keeps its place, codec, tags and data; the dubs come after them."""
        video = place(kind)
        before = probe(video)
        first = [packets(video, stream.index) for stream in before.streams[:3]]
        hashes = [stream_hash(video, stream.index) for stream in before.streams[:3]]
        assert mux(video, (ES, dub), (PL, dub)) == video
        after = probe(video)
        assert [s.kind for s in after.streams[:3]] == [s.kind for s in before.streams[:3]]
        assert audio(after)[:2] == audio(before)
        assert len(after.of_kind("audio")) == 4
        assert after.chapters == before.chapters
        # The dub's encoder pads it by a frame or two.
        assert after.duration_s == pytest.approx(before.duration_s, abs=0.15)
        assert [s.dispositions for s in after.streams[:3]] == [
            s.dispositions for s in before.streams[:3]
        ]
        if kind not in {".ts", ".m2ts"}:
            assert [stream_hash(video, i) for i in range(3)] == hashes
        if kind in {".mkv", ".mp4", ".mov"}:
            assert [packets(video, i) for i in range(3)] == first
        assert names(video.parent) == {video.name}
        for tag, value in before.tags.items():
            if tag not in {"encoder", "compatible_brands", "major_brand", "minor_version"}:
                assert after.tags.get(tag) == value

    @pytest.mark.parametrize("kind", [".mkv", ".mp4", ".mov", ".webm"])
    def test_dub_is_named(self, place: Callable[..., Path], dub: Path, kind: str) -> None:
        """The dub has language and title and is never the default."""
        video = mux(place(kind), (DE, dub))
        stream = probe(video).of_kind("audio")[-1]
        assert (stream.language, stream.title) == ("ger", "German (AI dub)")
        assert "default" not in stream.dispositions
        if kind in {".mp4", ".mov"}:
            assert stream.tags["handler_name"] == "German (AI dub)"

    @pytest.mark.parametrize("kind", [".mkv", ".mp4", ".webm", ".avi", ".ts"])
    def test_earlier_dub_is_replaced(
        self, place: Callable[..., Path], dub: Path, tmp_path: Path, kind: str
    ) -> None:
        """A second dub into the same language takes the place of the first, nothing else goes."""
        video = mux(place(kind), (ES, dub), (PL, dub))
        again = make_dub(tmp_path / "again.mka", frequency=300)
        mux(video, (ES, again), earlier=[ES, PL])
        found = probe(video).of_kind("audio")
        assert len(found) == 4
        if kind != ".avi":
            assert [stream.language for stream in found] == ["eng", found[1].language, "pol", "spa"]
        if kind in {".mkv", ".mp4"}:
            assert stream_hash(video, found[-1].index) == stream_hash(again, 0)

    def test_foreign_track_of_the_same_language_stays(
        self, place: Callable[..., Path], dub: Path
    ) -> None:
        """The studio's own French is not our French."""
        video = place(".mkv")
        before = audio(probe(video))
        mux(video, (parse_language("fr"), dub))
        assert audio(probe(video)) == [*before, ("fre", "French (AI dub)")]

    def test_matroska_extras(self, place: Callable[..., Path], dub: Path, tmp_path: Path) -> None:
        """Attachments, the cover picture, custom tags and forced subtitles survive."""
        video = place(".mkv")
        mux(video, (ES, dub))
        after = probe(video)
        (font,) = after.of_kind("attachment")
        assert (font.tags["filename"], font.tags["mimetype"]) == ("font.ttf", "font/ttf")
        pictures = [s for s in after.streams if "attached_pic" in s.dispositions]
        assert [s.tags["mimetype"] for s in pictures] == ["image/jpeg"]
        assert after.tags["custom"] == "yes"
        assert "forced" in after.of_kind("subtitle")[0].dispositions
        saved = tmp_path / "saved.ttf"
        ffmpeg(f"-dump_attachment:{font.index}", saved, "-i", video, "-t", "0", "-f", "null", "-")
        assert saved.read_bytes() == bytes(range(256)) * 8

    def test_mp4_extras(self, place: Callable[..., Path], dub: Path) -> None:
        """Cover, time code, track titles and the index at the front survive in MP4."""
        video = place(".mp4")
        titles = [stream.tags.get("name") for stream in probe(video).of_kind("audio")]
        mux(video, (ES, dub))
        after = probe(video)
        assert sum("attached_pic" in s.dispositions for s in after.streams) == 1
        # ffmpeg 5.1 neither writes nor reads them.
        assert [stream.tags.get("name") for stream in after.of_kind("audio")[:2]] == titles
        assert sum(s.codec_tag == "tmcd" for s in after.streams) >= 1
        head = video.read_bytes()
        assert head.index(b"moov") < head.index(b"mdat")

    def test_index_stays_at_the_end(self, place: Callable[..., Path], dub: Path) -> None:
        """A file whose index stands last keeps it there, and is not rewritten for it."""
        video = place(".mov")
        mux(video, (ES, dub))
        data = video.read_bytes()
        assert data.index(b"mdat") < data.index(b"moov")
        assert probe(video).tags["com.example.camera"] == "X1"

    def test_late_start_is_kept(self, place: Callable[..., Path], dub: Path) -> None:
        """In a video whose clock starts late, nothing moves and the dub starts with the video."""
        source = place(".mkv")
        video = source.with_name("late.mkv")
        ffmpeg("-itsoffset", "5", "-i", source, "-map", "0:0", "-map", "0:1", "-c", "copy", video)
        before = probe(video)
        assert before.start_s == pytest.approx(5, abs=0.1)
        kept = packets(video, 0)
        mux(video, (ES, dub))
        after = probe(video)
        assert packets(video, 0) == kept
        assert after.of_kind("audio")[-1].start_s == pytest.approx(before.start_s, abs=0.03)

    @pytest.mark.parametrize("kind", [".mkv", ".mp4", ".ts", ".webm", ".avi"])
    def test_dub_is_in_time(self, place: Callable[..., Path], tmp_path: Path, kind: str) -> None:
        """A beep 1 s into the dub is heard 1 s into the video."""
        beep = tmp_path / "beep.mka"
        ffmpeg("-f", "lavfi", "-i", f"sine=1000:r=48000:d={SECONDS}", "-af",
               "volume=0:enable='lt(t,1)'", "-ac", "2", "-c:a", "aac", beep)  # fmt: skip
        video = mux(place(kind), (ES, beep))
        index = len(probe(video).of_kind("audio")) - 1
        raw = ffmpeg("-i", video, "-map", f"0:a:{index}", "-af", "aresample=async=1:first_pts=0",
                     "-ac", "1", "-ar", "48000", "-f", "s16le", "-")  # fmt: skip
        samples = memoryview(raw).cast("h")
        onset = next(i for i, value in enumerate(samples) if abs(value) > 1000)
        assert onset / 48000 == pytest.approx(1, abs=0.05)

    def test_seeding_link_keeps_its_bytes(
        self, place: Callable[..., Path], dub: Path, tmp_path: Path
    ) -> None:
        """A hard link to the original, as a seeding client has, is untouched."""
        video = place(".mkv")
        seed = tmp_path / "seed.mkv"
        os.link(video, seed)
        content = seed.read_bytes()
        mux(video, (ES, dub))
        assert seed.read_bytes() == content
        assert seed.stat().st_ino != video.stat().st_ino

    def test_symbolic_link_stays_one(
        self, place: Callable[..., Path], dub: Path, tmp_path: Path
    ) -> None:
        """A linked video gets the dub where it really lies."""
        video = place(".mkv")
        (tmp_path / "links").mkdir()
        link = tmp_path / "links" / "Film.mkv"
        link.symlink_to(video)
        mux(link, (ES, dub))
        assert link.is_symlink()
        assert len(probe(video).of_kind("audio")) == 3

    def test_attributes_are_kept(self, place: Callable[..., Path], dub: Path) -> None:
        """Mode and extended attributes stay; the time of change is new, so that servers look."""
        video = place(".mkv")
        video.chmod(0o751)
        try:
            os.setxattr(video, "user.rating", b"5")
            marked = True
        except OSError:
            marked = False
        os.utime(video, (1_000_000_000, 1_000_000_000))
        mux(video, (ES, dub))
        seen = video.stat()
        assert stat.S_IMODE(seen.st_mode) == 0o751
        assert seen.st_mtime > time.time() - 3600
        if marked:
            assert os.getxattr(video, "user.rating") == b"5"

    @pytest.mark.parametrize("ahead_s", [0, 3600])
    def test_the_time_of_change_is_newer_by_more_than_a_second(
        self, place: Callable[..., Path], dub: Path, ahead_s: int
    ) -> None:
        """Of a video that came just now, or bears a time to come, too; twice in a row as well."""
        video = place(".mkv")
        os.utime(video, (time.time() + ahead_s,) * 2)
        for _ in range(2):
            before_s = video.stat().st_mtime
            mux(video, (ES, dub))
            assert video.stat().st_mtime > before_s + 1.5

    @pytest.mark.parametrize("name", [b'it\'s "it"', b"two\nlines", b"caf\xe9", b"-y", b"n" * 250])
    def test_takes_any_name(self, place: Callable[..., Path], dub: Path, name: bytes) -> None:
        """The name of the video does not matter."""
        video = mux(place(".mkv", os.fsdecode(name)), (ES, dub))
        assert len(probe(video).of_kind("audio")) == 3
        assert names(video.parent) == {video.name}

    def test_container_that_takes_no_dub(self, place: Callable[..., Path], dub: Path) -> None:
        """A container that cannot hold a dub is refused with the way out."""
        video = place(".mpg")
        content = video.read_bytes()
        with pytest.raises(CannotDub) as caught:
            mux(video, (ES, dub))
        assert "OUTPUT_MODE=sidecar" in caught.value.hint
        assert video.read_bytes() == content

    @pytest.mark.parametrize("moment", ["created", "written", "verified", "synced"])
    def test_video_replaced_meanwhile(
        self, place: Callable[..., Path], dub: Path, moment: str
    ) -> None:
        """A better release that arrives during the copy is not overwritten by the old film."""
        video = place(".mkv")
        content = video.read_bytes() + b"better"

        def upgrade(step: str) -> None:
            if step == moment:
                new = video.with_suffix(".new")
                new.write_bytes(content)
                new.replace(video)

        with pytest.raises(VideoChanged):
            mux(video, (ES, dub), watch=Watch(on_step=upgrade))
        assert video.read_bytes() == content
        assert names(video.parent) == {video.name}

    @pytest.mark.parametrize("moment", ["created", "written", "verified", "synced"])
    def test_video_deleted_meanwhile(
        self, place: Callable[..., Path], dub: Path, moment: str
    ) -> None:
        """A film that was deleted during the copy does not come back."""
        video = place(".mkv")

        def delete(step: str) -> None:
            if step == moment:
                video.unlink()

        with pytest.raises((VideoChanged, MediaError)):
            mux(video, (ES, dub), watch=Watch(on_step=delete))
        assert names(video.parent) == set()

    def test_copy_that_lost_data(
        self, place: Callable[..., Path], dub: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A copy in which packets are missing never replaces the original."""
        video = place(".mkv")
        content = video.read_bytes()
        real = containers.copy_arguments
        monkeypatch.setattr(
            containers,
            "copy_arguments",
            lambda *a: [*real(*a), "-bsf:v", "noise=drop=not(mod(n\\,5))"],
        )
        with pytest.raises(PublishError, match="same data") as caught:
            mux(video, (ES, dub))
        assert "sidecar" in caught.value.hint
        assert video.read_bytes() == content
        assert names(video.parent) == {video.name}

    def test_copy_that_lost_a_stream(
        self, place: Callable[..., Path], dub: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A copy without the subtitles never replaces the original."""
        video = place(".mkv")
        content = video.read_bytes()
        real = containers.copy_arguments
        monkeypatch.setattr(containers, "copy_arguments", lambda *a: [*real(*a), "-sn"])
        with pytest.raises(PublishError, match="streams"):
            mux(video, (ES, dub))
        assert video.read_bytes() == content

    def test_disk_too_small(
        self, place: Callable[..., Path], dub: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A copy that cannot fit is not begun, and the user is told both figures."""
        video = place(".mkv")
        usage = shutil.disk_usage(video)._replace(free=10_000_000)
        monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
        with pytest.raises(DiskFull, match=r"16\.9 MB needed, 10\.0 MB free"):
            mux(video, (ES, dub))
        assert names(video.parent) == {video.name}

    def test_progress_is_told(self, place: Callable[..., Path], dub: Path) -> None:
        """Progress is in seconds of the video and ends at its end."""
        seen: list[tuple[float, float]] = []
        mux(place(".mkv"), (ES, dub), watch=Watch(progress=lambda *a: seen.append(a)))
        assert seen[-1] == pytest.approx((SECONDS, SECONDS), abs=0.2)
