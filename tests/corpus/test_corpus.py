"""What people have and drop goes through the whole pipeline: each ends in a state with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dubarr_watch.media import probe
from dubarr_watch.store.records import JobState
from tests.composing import Shop, make_talk, names, open_shop, sha256
from tests.corpus import making
from tests.corpus.ending import UNEXPECTED, Ending, Held, end_of
from tests.corpus.listening import listening

LONGEST_S = 60.0
FUZZED = ["h264-aac.mp4", "mp3.avi", "ac3.m2ts", "wma.wmv", "opus.webm", "commentary-first.mkv"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One shop for all, so that what leaks adds up."""
    with open_shop(tmp_path_factory.mktemp("corpus"), max_attempts=1) as opened:
        opened.dub(make_talk(opened.videos / "Warm-up.mkv", 4.0))
        held = Held.now()
        yield opened
        assert Held.now() == held, "files, threads or processes are left"


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
