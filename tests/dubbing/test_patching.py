"""A finished track of which some lines change, on real encoders."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dubarr_watch.dubbing import patching
from dubarr_watch.dubbing.balance import MixLine, Settled
from dubarr_watch.dubbing.codecs import TrackCodec
from dubarr_watch.dubbing.encoding import Recipe
from dubarr_watch.dubbing.layouts import layout_of
from dubarr_watch.dubbing.levels import measure_loudness
from dubarr_watch.dubbing.mixing import MixedTrack, mix, plan_mix
from dubarr_watch.dubbing.patching import Made, patch
from dubarr_watch.dubbing.programme import MixControl, Programme
from dubarr_watch.dubbing.splicing import FRAME_SAMPLES, GRID
from dubarr_watch.dubbing.timeline import SAMPLE_RATE, PlacedTake
from dubarr_watch.dubbing.track_check import MAX_TRUE_PEAK_DBTP
from dubarr_watch.engines.base import Span
from dubarr_watch.errors import JobCancelled
from tests.dubbing.sound_files import decoded, lively, mixed, packets, save_tone

SECONDS = 76.4
AAC = TrackCodec("aac", layout_of(2), 192_000)
EAC3 = TrackCodec("eac3", layout_of(6), 640_000)
EVERY_S = 4.0


class Film:
    """A film that is mixed, and whose lines then change."""

    def __init__(self, folder: Path, codec: TrackCodec = AAC, *, separated: bool = False) -> None:
        self.folder, self.codec = folder, codec
        channels = len(codec.layout.channels)
        sound = 0.3 * lively(channels, SECONDS)
        self.bed = self._save("bed.wav", sound)
        self.original = self.bed
        if separated:
            self.original = self._save("original.wav", sound + 0.1 * lively(channels, SECONDS))
        self.takes = [save_tone(folder / f"t{n}.wav", 2.0, 150 + 10 * n, 0.5) for n in range(18)]
        self.lines = [
            MixLine(
                PlacedTake(take, EVERY_S * number + 0.5, 2.0),
                Span(EVERY_S * number + 0.5, EVERY_S * number + 2.5),
                number % 2,
            )
            for number, take in enumerate(self.takes)
        ]
        self.wordless: tuple[Span, ...] = ()
        self.track = folder / "dub.es.mka"
        self.style = "without voices" if separated else "dub"
        self.made = mix(self.programme(), self.track, codec=codec)

    def _save(self, name: str, sound: np.ndarray) -> Path:
        soundfile.write(self.folder / name, np.clip(sound, -1, 1), SAMPLE_RATE, subtype="PCM_16")
        return self.folder / name

    def programme(self) -> Programme:
        return Programme(
            self.original, self.bed, self.lines, SECONDS, style=self.style, wordless=self.wordless
        )

    def says_again(self, number: int, *, seconds: float = 1.5, level: float = 0.5) -> None:
        """Change a line: another sound, of another length, elsewhere."""
        line = self.lines[number]
        take = save_tone(self.folder / f"again{number}-{seconds}.wav", seconds, 400, level)
        start_s = line.take.start_s + 0.1
        self.lines[number] = replace(line, take=PlacedTake(take, start_s, seconds))

    def copied(self, folder: Path) -> Film:
        """Return the same film with a track of its own."""
        film = copy(self)
        film.folder, film.lines = folder, [*self.lines]
        film.track = Path(shutil.copy2(self.track, folder / self.track.name))
        return film

    def patched(self) -> MixedTrack | None:
        made = patch(self.programme(), self.track, self.codec, self.made.record, MixControl())
        self.made = made or self.made
        return made

    def kept(self, before: Sequence[object]) -> set[int]:
        """Return the units of the grid in which no packet is another one now."""
        per_unit = GRID // FRAME_SAMPLES[self.codec.name]
        now = packets(self.track)
        assert len(now) == len(before)
        other = {place // per_unit for place, packet in enumerate(now) if packet != before[place]}
        return set(range(-(-len(now) // per_unit))) - other

    def worst_error(self) -> float:
        """Return how far the track is from what it should be, by how far encoding alone takes it.

        At most over all tenths of a second.
        """
        settled = {
            replace(take, gains=()): Settled(take, duck)
            for take, duck in zip(self.made.record.takes, self.made.record.ducks, strict=True)
        }
        plan, _ = plan_mix(self.programme(), MixControl(), settled)
        recipe = Recipe(self.programme(), plan, self.codec.layout, self.codec)
        fed, heard = mixed(recipe, self.made.record.turn), decoded(self.track)
        count = min(fed.shape[1], heard.shape[1]) // 4800 * 4800
        off = ((fed[:, :count] - heard[:, :count]) ** 2).reshape(len(fed), -1, 4800).mean(axis=2)
        level = (fed[:, :count] ** 2).mean()
        return float(np.sqrt(off / level).max())


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Callable[[TrackCodec], Film]:
    """Return what gives a film, made once, by the codec of its track."""

    @cache
    def made(codec: TrackCodec) -> Film:
        return Film(tmp_path_factory.mktemp(codec.name), codec)

    return made


@pytest.fixture(params=[AAC, EAC3], ids=["stereo", "5.1"])
def film(
    request: pytest.FixtureRequest, films: Callable[[TrackCodec], Film], tmp_path: Path
) -> Film:
    return films(request.param).copied(tmp_path)


@pytest.fixture
def stereo(films: Callable[[TrackCodec], Film], tmp_path: Path) -> Film:
    return films(AAC).copied(tmp_path)


class TestPatched:
    @pytest.mark.parametrize(
        ("lines", "kept"),
        [
            ([6], {0, 1, 2, *range(4, 10)}),
            ([0], set(range(1, 10))),
            ([17], set(range(8))),
            ([2, 14], {0, *range(2, 7), 8, 9}),
        ],
        ids=["in the middle", "the first", "the last", "two far apart"],
    )
    def test_only_what_a_changed_line_touches_is_encoded_again(
        self, lines: list[int], kept: set[int], film: Film
    ) -> None:
        """Every other packet is the same, at the same time; nothing but the track is left."""
        before, files = packets(film.track), set(film.folder.iterdir())
        for number in lines:
            film.says_again(number)
            files.add(film.lines[number].take.path)
        assert film.patched() is not None
        assert film.kept(before) >= kept
        assert film.kept(before) != set(range(10))
        assert set(film.folder.iterdir()) == files

    def test_it_sounds_as_if_it_had_been_mixed_so(self, film: Film) -> None:
        """Everywhere as near to what was mixed as encoding leaves it, where stretches meet too."""
        alone = film.worst_error()
        for number in (0, 6, 17):
            film.says_again(number)
        assert film.patched() is not None
        assert film.worst_error() < 1.5 * alone

    def test_its_figures_are_told_as_they_are(self, film: Film) -> None:
        film.says_again(6, seconds=2.3)
        made = film.patched()
        assert made is not None
        got = measure_loudness(film.track)
        assert made.loudness.integrated_lufs == pytest.approx(got.integrated_lufs, abs=0.11)
        assert made.loudness.true_peak_dbtp >= got.true_peak_dbtp - 0.21
        assert got.integrated_lufs == pytest.approx(-23, abs=0.5)
        assert got.true_peak_dbtp <= MAX_TRUE_PEAK_DBTP
        assert made.depth_lu is not None

    def test_a_line_that_went_and_one_that_came(self, film: Film) -> None:
        before, alone = packets(film.track), film.worst_error()
        gone = film.lines.pop(6)
        assert film.patched() is not None
        assert film.worst_error() < 1.5 * alone
        assert film.kept(before) != set(range(10))
        film.lines.insert(6, gone)
        assert film.patched() is not None
        assert film.worst_error() < 1.5 * alone

    def test_another_take_in_a_file_of_the_same_name_and_length(self, stereo: Film) -> None:
        """It is spoken anew: nothing of the one before stays."""
        film, alone = stereo, stereo.worst_error()
        own = film.lines[6].take.path
        line = film.lines[6]
        film.lines[6] = replace(line, take=replace(line.take, path=film.folder / "same.wav"))
        shutil.copy2(own, film.folder / "same.wav")
        assert film.patched() is not None
        before = packets(film.track)
        save_tone(film.folder / "same.wav", 2.0, 700, 0.5)
        assert film.patched() is not None
        assert film.kept(before) != set(range(10))
        assert film.worst_error() < 1.5 * alone

    def test_one_line_after_the_other(self, stereo: Film) -> None:
        """Each changes what the one before has left, and the loudness stays."""
        film = stereo
        alone = film.worst_error()
        for number in range(0, 18, 3):
            film.says_again(number, seconds=2.0)
            assert film.patched() is not None
        assert film.worst_error() < 1.5 * alone
        assert measure_loudness(film.track).integrated_lufs == pytest.approx(-23, abs=0.5)

    def test_laughs_that_come_and_go(self, tmp_path: Path) -> None:
        """Where the original is gone over to in another stretch, the track is another one."""
        film = Film(tmp_path, separated=True)
        before, alone = packets(film.track), film.worst_error()
        film.wordless = (Span(51.0, 52.0),)
        assert film.patched() is not None
        assert film.worst_error() < 1.5 * alone
        assert film.kept(before) == set(range(10)) - {6}
        film.wordless = ()
        assert film.patched() is not None
        assert film.worst_error() < 1.5 * alone

    def test_a_track_of_which_nothing_changed_is_left_alone(self, film: Film) -> None:
        before = film.track.stat()
        assert film.patched() == film.made
        assert film.track.stat() == before


class TestNotPatched:
    """The track stays as it was, to the byte, and all of it has to be made anew."""

    @pytest.mark.parametrize(("count", "patched"), [(4, True), (11, False)])
    def test_where_most_of_it_changed(self, count: int, patched: bool, stereo: Film) -> None:
        film = stereo
        before = film.track.read_bytes()
        for number in range(count):
            film.says_again(number)
        assert (film.patched() is not None) == patched
        assert (film.track.read_bytes() != before) == patched

    @pytest.mark.parametrize("name", ["flac", "opus", "mp3"])
    def test_where_packets_depend_on_each_other(self, name: str, tmp_path: Path) -> None:
        codec = TrackCodec(name, layout_of(2), 0 if name == "flac" else 160_000)
        film = Film(tmp_path, codec)
        before = film.track.read_bytes()
        film.says_again(6)
        assert film.patched() is None
        assert film.track.read_bytes() == before

    @pytest.mark.parametrize(("off_lu", "patched"), [(0.2, True), (0.6, False)])
    def test_where_its_loudness_would_go(self, off_lu: float, patched: bool, stereo: Film) -> None:
        """A line that would turn the film so much up is said to be there no more."""
        film, record = stereo, stereo.made.record
        planned_lufs = record.planned_lufs + off_lu
        film.made = replace(film.made, record=replace(record, planned_lufs=planned_lufs))
        film.says_again(6)
        before = film.track.read_bytes()
        assert (film.patched() is not None) == patched
        assert (film.track.read_bytes() != before) == patched

    @pytest.mark.parametrize(("peak_db", "patched"), [(-1.7, True), (-1.5, False)])
    def test_where_its_peaks_would_be_too_high(
        self, peak_db: float, patched: bool, stereo: Film, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        film = stereo
        monkeypatch.setattr(patching, "true_peak_dbtp", lambda *_: peak_db)
        before, files = film.track.read_bytes(), set(film.folder.iterdir())
        film.says_again(6)
        assert (film.patched() is not None) == patched
        assert (film.track.read_bytes() != before) == patched
        assert set(film.folder.iterdir()) == files | {film.lines[6].take.path}

    def test_where_somebody_cancels(self, stereo: Film) -> None:
        film = stereo
        before, record = film.track.read_bytes(), film.made.record
        film.says_again(6)
        files = set(film.folder.iterdir())
        control = MixControl(cancelled=lambda: True)
        with pytest.raises(JobCancelled):
            patch(film.programme(), film.track, film.codec, record, control)
        assert film.track.read_bytes() == before
        assert set(film.folder.iterdir()) == files


class TestMade:
    def test_a_track_is_known_again_until_anything_of_it_changes(
        self, stereo: Film, tmp_path: Path
    ) -> None:
        film = stereo
        made = Made.of(film.made.record, "a key", film.track)
        assert made.still_is("a key", film.track)
        assert not made.still_is("another key", film.track)
        assert not made.still_is("a key", tmp_path / "gone.mka")
        stat = film.track.stat()
        os.utime(film.track, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1000))
        assert not made.still_is("a key", film.track)
        os.utime(film.track, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert made.still_is("a key", film.track)
        with film.track.open("ab") as file:
            file.write(b"0")
        os.utime(film.track, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert not made.still_is("a key", film.track)
