"""What people have and drop goes through the whole pipeline: each ends in a state with a reason."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from dubarr_watch.media import probe
from dubarr_watch.media.tools import ffprobe_path
from dubarr_watch.store.records import JobState
from dubarr_watch.workers import give_memory_back
from tests.composing import Shop, living_below, make_talk, names, open_shop, sha256
from tests.corpus import bombs, making
from tests.corpus.ending import UNEXPECTED, Ending, Held, end_of
from tests.corpus.listening import listening

LONGEST_S = 60.0
MOST_GROWTH_MIB = 120
pytestmark = pytest.mark.timeout(2 * LONGEST_S)
FUZZED = ["h264-aac.mp4", "mp3.avi", "ac3.m2ts", "wma.wmv", "opus.webm", "commentary-first.mkv"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One shop for all, so that what leaks adds up; temporary files go to a folder of its own."""
    making.make("h264-aac.mp4", tmp_path_factory.mktemp("before"))  # its cache lies elsewhere
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
        with open_shop(tmp_path_factory.mktemp("corpus"), max_attempts=1) as opened:
            for number in range(3):
                opened.dub(make_talk(opened.videos / f"Warm-up {number}.mkv", 4.0))
            give_memory_back()
            held, memory = Held.now(), psutil.Process().memory_info().rss
            yield opened
            assert Held.now() == held, "files, threads, processes or temporary files are left"
            give_memory_back()
            grown = (psutil.Process().memory_info().rss - memory) / 2**20
            assert grown < MOST_GROWTH_MIB, f"{grown:.0f} MiB of memory are left"


def ended(shop: Shop, path: Path) -> Ending:
    """Return how a file ended, having checked what is true of every end."""
    before, others = sha256(path), set(names(shop.videos))
    ending = end_of(shop, path)
    assert ending.seconds < LONGEST_S
    assert ending.state.ended
    assert ending.reason or ending.state in {JobState.DONE, JobState.DONE_WITH_WARNINGS}
    assert UNEXPECTED not in ending.reason
    assert "Traceback" not in ending.reason
    assert len(ending.reason) < 1000
    assert sha256(path) == before
    left = set(names(shop.videos)) - others
    assert all(".Dubarr.es." in name for name in left), left
    return ending


@pytest.mark.parametrize("name", making.RECIPES)
def test_each_container_and_codec_is_dubbed_over_its_whole_length(shop: Shop, name: str) -> None:
    path = making.make(name, shop.videos)
    ending = ended(shop, path)
    assert (ending.look, ending.state) == ("", JobState.DONE), ending
    assert ending.track is not None
    assert probe(ending.track).duration_s == pytest.approx(probe(path).duration_s, abs=0.15)


ENDINGS = {"mkv", "mp4", "avi", "mov", "ts", "m2ts", "webm", "wmv", "flv", "mpg"}
CODECS = {"aac", "ac3", "eac3", "dts", "truehd", "flac", "mp3", "opus", "vorbis", "pcm"}


def test_the_corpus_has_all_that_people_have(tmp_path: Path) -> None:
    """Held against what the files are, not what they are called."""
    paths = {name: making.make(name, tmp_path) for name in making.RECIPES}
    found = {name: probe(path) for name, path in paths.items()}
    sounds = [stream for one in found.values() for stream in one.of_kind("audio")]
    assert {path.suffix[1:] for path in paths.values()} >= ENDINGS
    assert {stream.codec.partition("_")[0] for stream in sounds} >= CODECS
    assert {stream.channels for stream in sounds} >= set(range(1, 9)), "mono to 7.1"
    rates = {stream.sample_rate for stream in sounds}
    assert rates >= {8000, 16000, 22050, 32000, 44100, 48000, 96000, 192000}
    assert {stream.codec for stream in sounds} >= {"pcm_s16le", "pcm_s24le", "pcm_f32le"}

    assert _raw_bits(paths["flac24-192khz.mkv"]) == 24
    assert len(set(_steps(paths["varying-rate.mkv"]))) > 1, "pictures come at varying times"
    before = found["sound-before-picture.mkv"]
    assert min(before.start_s, *(stream.start_s for stream in before.streams)) < 0
    told = found["commentary-first.mkv"].of_kind("audio")
    assert (len(told), told[0].title) == (3, "Commentary")
    assert [s for s in found["poster.mp4"].streams if "attached_pic" in s.dispositions]
    assert paths["huge-subtitles.mkv"].stat().st_size > 1e6
    assert found["chapters.mkv"].chapters == 3000
    assert "matroska" in found["really-matroska.avi"].format_name
    assert "mp4" in found["really-mp4.mkv"].format_name
    assert probe(making.live(tmp_path)).duration_s == 0


def _asked(path: Path, *question: str) -> dict[str, Any]:
    command = [ffprobe_path(), "-v", "error", "-of", "json", *question, str(path)]
    told: dict[str, Any] = json.loads(
        subprocess.run(command, check=True, capture_output=True).stdout
    )
    return told


def _raw_bits(path: Path) -> int:
    (stream,) = _asked(path, "-select_streams", "a", "-show_streams")["streams"]
    return int(stream["bits_per_raw_sample"])


def _steps(path: Path) -> Iterator[int]:
    """Yield the time between each picture and the next, in milliseconds."""
    packets = _asked(path, "-select_streams", "v", "-show_packets")["packets"]
    times = sorted(float(packet["pts_time"]) for packet in packets)
    yield from (round(1000 * (after - before)) for before, after in pairwise(times))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", FUZZED)
def test_damage_ends_in_a_state_with_a_reason(shop: Shop, name: str, seed: int) -> None:
    ended(shop, making.damaged(name, shop.videos, seed))


@pytest.mark.parametrize("share", [0.02, 0.8])
@pytest.mark.parametrize("name", ["h264-aac.mp4", "mp3.avi", "ac3.m2ts", "flac24-192khz.mkv"])
def test_a_part_of_a_file_ends_in_a_state_with_a_reason(
    shop: Shop, name: str, share: float
) -> None:
    ended(shop, making.cut(name, shop.videos, share))


PLAYLISTS = {
    "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{url}/a.ts\n#EXT-X-ENDLIST\n",
    "hls.ts": "#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n#EXTINF:9,\n{url}/a.ts\n#EXT-X-ENDLIST\n",
    "concat.mkv": "ffconcat version 1.0\nfile {url}/a.mkv\n",
    "passwd.avi": "ffconcat version 1.0\nfile /etc/passwd\n",
    "secret.mkv": "ffconcat version 1.0\nfile {secret}\n",
    "beside.mkv": "ffconcat version 1.0\nfile h264-aac.mp4\nduration 3.5\n",
    "dash.webm": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
    "<BaseURL>{url}/</BaseURL></MPD>",
    "sdp.mov": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} "
    "RTP/AVP 0\n",
    "image.mkv": "push graphic-context\nfill 'url({url}/x.png)'\npop graphic-context\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_in_a_video_s_name_reads_no_other_file_and_asks_no_server(
    shop: Shop, tmp_path: Path, name: str
) -> None:
    making.make("h264-aac.mp4", shop.videos)
    secret = make_talk(tmp_path / "private.mkv", 4.0)
    with listening() as heard:
        port = heard.port
        text = PLAYLISTS[name].format(url=f"http://127.0.0.1:{port}", port=port, secret=secret)
        path = shop.videos / f"playlist-{name}"
        path.write_text(text)
        ending = ended(shop, path)
    assert ending.look
    assert ending.state is JobState.FAILED
    assert ending.track is None
    assert heard.requests == []


def test_a_file_that_says_no_length_is_told_so_or_dubbed(shop: Shop) -> None:
    ending = ended(shop, making.live(shop.videos))
    assert ending.state is JobState.DONE or "how long" in ending.reason


def test_sound_that_jumps_by_hours_does_not_fill_the_disk(shop: Shop) -> None:
    path = making.far_apart(shop.videos)
    assert probe(path).duration_s < 10, "it says a few seconds"
    ended(shop, path)
    sizes = [f.stat().st_size for f in shop.settings.work_dir.rglob("*") if f.is_file()]
    assert max(sizes, default=0) < 100e6


@pytest.mark.parametrize("make", [bombs.subtitles, bombs.plain_subtitles, bombs.cover])
def test_what_unpacks_to_gigabytes_takes_no_such_room(
    shop: Shop, make: Callable[[Path], Path]
) -> None:
    path = make(shop.videos)
    with Hungriest() as hungriest:
        ending = ended(shop, path)
    assert ending.state is JobState.DONE
    sizes = [f.stat().st_size for f in shop.settings.work_dir.rglob("*") if f.is_file()]
    assert sum(sizes) < 200e6
    extracted = [f.stat().st_size for f in shop.settings.work_dir.rglob("subtitles.*")]
    assert max(extracted, default=0) < 17e6
    assert hungriest.mib < 900


class Hungriest:
    """Watches the children of this process for the most memory that one of them holds."""

    def __init__(self) -> None:
        self.mib = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Hungriest:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        own = psutil.Process().cmdline()
        while not self._over.wait(0.02):
            for child in living_below(psutil.Process()):
                with suppress(psutil.Error):
                    if child.cmdline() == own:
                        continue  # it has not become another program yet
                    self.mib = max(self.mib, child.memory_info().rss / 2**20)
