"""Tracks that are joined at their packets, on real encoders."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from dubarr_watch.dubbing import encoding
from dubarr_watch.dubbing.balance import MixLine
from dubarr_watch.dubbing.codecs import TrackCodec
from dubarr_watch.dubbing.encoding import Recipe, Turn, encode
from dubarr_watch.dubbing.layouts import layout_of
from dubarr_watch.dubbing.mixing import plan_mix
from dubarr_watch.dubbing.programme import MixControl, Programme
from dubarr_watch.dubbing.splicing import FRAME_SAMPLES, GRID, LEAD_IN, Share, join, shares_of
from dubarr_watch.dubbing.timeline import BLOCK, SAMPLE_RATE, PlacedTake
from dubarr_watch.engines.base import Span
from dubarr_watch.errors import JobCancelled, MediaError
from dubarr_watch.media import probe, run_ffmpeg
from tests.dubbing.sound_files import decoded, lively, mixed, packets, save_tone

SECONDS = 45.3
CODECS = [
    TrackCodec("aac", layout_of(2), 192_000),
    TrackCodec("aac", layout_of(8), 576_000),
    TrackCodec("ac3", layout_of(6), 640_000),
    TrackCodec("eac3", layout_of(6), 640_000),
]
each_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda c: f"{c.name} {c.layout.name}")


@pytest.fixture
def recipe_of(tmp_path: Path) -> Callable[[TrackCodec], Recipe]:
    """Return what makes a recipe of a lively film, in which a take lies at each place of the grid.

    They are so loud that the limiter is at work there.
    """

    def make(codec: TrackCodec) -> Recipe:
        bed, take = tmp_path / "bed.wav", save_tone(tmp_path / "take.wav", 3.0)
        sound = lively(len(codec.layout.channels), SECONDS)
        soundfile.write(bed, np.clip(sound, -1, 1), SAMPLE_RATE, subtype="PCM_16")
        starts = [at / SAMPLE_RATE - 1.5 for at in range(GRID, round(SECONDS * SAMPLE_RATE), GRID)]
        lines = [MixLine(PlacedTake(take, at, 3.0), Span(at, at + 3.0), 0) for at in starts]
        programme = Programme(bed, bed, lines, SECONDS)
        plan, _ = plan_mix(programme, MixControl())
        return Recipe(programme, plan, codec.layout, codec)

    return make


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that gets what each ffmpeg is called with."""
    called: list[Any] = []

    def counted(arguments: Any, **options: Any) -> str:
        called.append(arguments)
        return run_ffmpeg(arguments, **options)

    monkeypatch.setattr(encoding, "run_ffmpeg", counted)
    return called


TURN = Turn(gain_db=6.0, ceiling_db=-6.0)


def in_shares(monkeypatch: pytest.MonkeyPatch, *, processors: int = 4) -> None:
    """Let films of seconds be encoded in shares, as films of minutes are."""
    monkeypatch.setattr(encoding, "_SHORTEST", GRID)
    monkeypatch.setattr("os.cpu_count", lambda: processors)


class TestShares:
    @each_codec
    def test_a_track_of_shares_sounds_as_one_that_is_encoded_whole(
        self,
        codec: TrackCodec,
        recipe_of: Callable[[TrackCodec], Recipe],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """As many packets at the same times, as near to what was mixed, also where shares meet."""
        recipe, whole, joined = recipe_of(codec), tmp_path / "whole.mka", tmp_path / "joined.mka"
        once = encode(recipe, whole, TURN, MixControl())
        in_shares(monkeypatch)
        written = encode(recipe, joined, TURN, MixControl())
        assert [at for at, _ in packets(joined)] == [at for at, _ in packets(whole)]
        frame = FRAME_SAMPLES[codec.name]
        length_s = probe(whole).duration_s
        assert probe(joined).duration_s == pytest.approx(length_s, abs=frame / SAMPLE_RATE)
        fed, there, here = mixed(recipe, TURN), decoded(whole), decoded(joined)
        assert there.shape == here.shape
        count = min(fed.shape[1], here.shape[1])
        edges = [first for first, _ in shares_of(recipe.total, 4)][1:]
        assert len(edges) == 3
        for edge in edges:
            near = slice(edge - 4 * frame, min(edge + 4 * frame, count))
            off = np.abs(here[:, near] - fed[:, near]).max()
            assert off < 2 * np.abs(there[:, near] - fed[:, near]).max() + 1e-3
        assert written.peaks == pytest.approx(once.peaks, rel=1e-5)
        assert written.energy == pytest.approx(once.energy, rel=1e-3)

    @pytest.mark.parametrize("codec", CODECS[2:], ids=lambda c: c.name)
    def test_where_packets_depend_on_nothing_they_are_the_same(
        self,
        codec: TrackCodec,
        recipe_of: Callable[[TrackCodec], Recipe],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        recipe, whole, joined = recipe_of(codec), tmp_path / "whole.mka", tmp_path / "joined.mka"
        encode(recipe, whole, TURN, MixControl())
        in_shares(monkeypatch)
        encode(recipe, joined, TURN, MixControl())
        assert packets(joined) == packets(whole)

    def test_only_the_track_is_left(
        self,
        recipe_of: Callable[[TrackCodec], Recipe],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        recipe = recipe_of(CODECS[0])
        in_shares(monkeypatch)
        before = set(tmp_path.iterdir())
        encode(recipe, tmp_path / "o.mka", TURN, MixControl())
        assert set(tmp_path.iterdir()) - before == {tmp_path / "o.mka"}

    @pytest.mark.parametrize(("processors", "shares"), [(1, 1), (2, 2), (64, 4)])
    def test_there_is_a_share_for_each_processor_and_four_at_most(
        self,
        processors: int,
        shares: int,
        recipe_of: Callable[[TrackCodec], Recipe],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        runs: list[Any],
    ) -> None:
        in_shares(monkeypatch, processors=processors)
        encode(recipe_of(CODECS[0]), tmp_path / "o.mka", TURN, MixControl())
        assert len(runs) == shares

    @pytest.mark.parametrize(("shortest_s", "shares"), [(22, 2), (23, 1)])
    def test_a_short_track_is_encoded_whole(
        self,
        shortest_s: int,
        shares: int,
        recipe_of: Callable[[TrackCodec], Recipe],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        runs: list[Any],
    ) -> None:
        """45.3 s are two shares of 22 s, and less than two of 23 s."""
        in_shares(monkeypatch)
        monkeypatch.setattr(encoding, "_SHORTEST", shortest_s * SAMPLE_RATE)
        encode(recipe_of(CODECS[0]), tmp_path / "o.mka", TURN, MixControl())
        assert len(runs) == shares

    @pytest.mark.parametrize("name", ["flac", "opus"])
    def test_codecs_whose_packets_depend_on_each_other_are_encoded_whole(
        self,
        name: str,
        recipe_of: Callable[[TrackCodec], Recipe],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        runs: list[Any],
    ) -> None:
        in_shares(monkeypatch)
        codec = TrackCodec(name, layout_of(2), 160_000 if name == "opus" else 0)
        encode(recipe_of(codec), tmp_path / "o.mka", TURN, MixControl())
        assert len(runs) == 1

    def test_progress_of_all_shares_goes_up_to_the_whole(
        self,
        recipe_of: Callable[[TrackCodec], Recipe],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        in_shares(monkeypatch)
        told: list[float] = []
        control = MixControl(progress=lambda done, total: told.append(done / total))
        encode(recipe_of(CODECS[0]), tmp_path / "o.mka", TURN, control)
        assert told
        assert max(told) <= 1.0
        assert told[-1] == pytest.approx(1.0, abs=0.1)

    def test_when_one_share_fails_the_others_end_and_nothing_is_left(
        self,
        recipe_of: Callable[[TrackCodec], Recipe],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The error is told, not that the others were stopped for it."""
        recipe = recipe_of(CODECS[0])
        in_shares(monkeypatch)
        ended: list[str] = []
        waiting = threading.Barrier(4, timeout=30)

        def failing(arguments: Any, **options: Any) -> str:
            number = waiting.wait()
            if number == 0:
                raise MediaError("The encoder is broken.")

            def held(stdin: Any) -> None:
                while True:
                    stdin.write(bytes(4096))
                    threading.Event().wait(0.01)

            try:
                return run_ffmpeg(arguments, **{**options, "stdin": held})
            except JobCancelled:
                ended.append("stopped")
                raise

        monkeypatch.setattr(encoding, "run_ffmpeg", failing)
        before = set(tmp_path.iterdir())
        with pytest.raises(MediaError, match="encoder is broken"):
            encode(recipe, tmp_path / "o.mka", TURN, MixControl())
        assert ended == ["stopped"] * 3
        assert set(tmp_path.iterdir()) == before

    def test_somebody_who_cancels_ends_all_of_them(
        self,
        recipe_of: Callable[[TrackCodec], Recipe],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        recipe = recipe_of(CODECS[0])
        in_shares(monkeypatch)
        before = set(tmp_path.iterdir())
        with pytest.raises(JobCancelled):
            encode(recipe, tmp_path / "o.mka", TURN, MixControl(cancelled=lambda: True))
        assert set(tmp_path.iterdir()) == before


class TestGrid:
    def test_shares_meet_at_whole_blocks_and_whole_packets(self) -> None:
        assert all(GRID % samples == 0 for samples in (BLOCK, LEAD_IN, *FRAME_SAMPLES.values()))

    @pytest.mark.parametrize("total", [1, GRID, GRID + 1, 5 * GRID - 1, 900 * GRID + 7])
    @pytest.mark.parametrize("count", [1, 2, 4])
    def test_shares_cover_a_track_once(self, total: int, count: int) -> None:
        shares = shares_of(total, count)
        assert shares[0][0] == 0
        assert shares[-1][1] is None
        assert [last for _, last in shares[:-1]] == [first for first, _ in shares[1:]]
        assert all(0 < first < total and first % GRID == 0 for first, _ in shares[1:])
        assert len(shares) <= count


class TestJoining:
    def test_a_full_disk_is_told_with_its_reason(
        self, recipe_of: Callable[[TrackCodec], Recipe], tmp_path: Path
    ) -> None:
        whole = tmp_path / "whole.mka"
        encode(recipe_of(CODECS[0]), whole, TURN, MixControl())
        with pytest.raises(OSError, match="No space left"):
            join([Share(whole, 0, 0, None)], Path("/dev/full"), "aac")

    def test_joining_can_be_cancelled(
        self, recipe_of: Callable[[TrackCodec], Recipe], tmp_path: Path
    ) -> None:
        whole = tmp_path / "whole.mka"
        encode(recipe_of(CODECS[0]), whole, TURN, MixControl())
        with pytest.raises(JobCancelled):
            join([Share(whole, 0, 0, None)], tmp_path / "o.mka", "aac", lambda: True)

    def test_a_packet_more_or_less_is_noticed(
        self, recipe_of: Callable[[TrackCodec], Recipe], tmp_path: Path
    ) -> None:
        """A share that is said to begin elsewhere lies elsewhere, and the comparison fails."""
        recipe = recipe_of(CODECS[3])
        whole, joined = tmp_path / "whole.mka", tmp_path / "joined.mka"
        encode(recipe, whole, TURN, MixControl())
        one = Share(whole, 0, 0, GRID)
        join([one, Share(whole, 1536, GRID, None)], joined, "eac3")
        assert packets(joined) != packets(whole)
        join([one, replace(one, first=GRID, last=None)], joined, "eac3")
        assert packets(joined) == packets(whole)
