"""Singing that nobody marked, told by its sound: a real song, and real models that speak."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from importlib.metadata import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr

from dubarr_watch.dubbing.songs import SUNG_ALONE, SUNG_OVER_MUSIC, sounding_sung
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import Span
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.engines.voice_prints import VoicePrinter
from dubarr_watch.media import ffmpeg_path
from dubarr_watch.settings import Profile, load_settings

pytestmark = [pytest.mark.models, pytest.mark.timeout(300)]

MODELS = Path(os.environ.get("MODELS_DIR") or Path.home() / ".cache" / "dubarr-watch" / "models")

Sound = npt.NDArray[np.float32]
RATE = 16_000
VOICES = ("af_heart", "am_michael", "bf_emma", "am_fenrir")
TEXT = "Tell your brother to bring the map, two warm coats, and something to eat for the journey."


@pytest.fixture(scope="module")
def printer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VoicePrinter]:
    folder = tmp_path_factory.mktemp("printer")
    settings = load_settings(models_dir=MODELS, config_dir=folder, mock_mode=False)
    spec = specs_for(Profile.EMBEDDED, settings).printer
    assert spec is not None
    with EngineHost(settings).engine("printer", spec) as found:
        yield found


@pytest.fixture(scope="module")
def stems() -> list[Sound]:
    """The song as a whole, its drums, its bass, the rest of its band, and its singer alone."""
    (song,) = (file.locate() for file in files("stempeg") or () if file.suffix == ".mp4")
    found = []
    for number in range(5):
        command = [ffmpeg_path(), "-v", "error", "-i", str(song), "-map", f"0:{number}",
                   "-ar", str(RATE), "-ac", "1", "-f", "f32le", "-"]  # fmt: skip
        raw = subprocess.run(command, check=True, capture_output=True).stdout
        found.append(np.frombuffer(raw, dtype=np.float32))
    return found


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> list[Sound]:
    """Five seconds or so of each voice."""
    folder = tmp_path_factory.mktemp("spoken")
    settings = load_settings(models_dir=MODELS, config_dir=folder, tts_port=0, mock_mode=False)
    spec, found = specs_for(Profile.EMBEDDED, settings).synthesizer, []
    with EngineHost(settings).engine("synthesizer", spec) as synthesizer:
        for voice in VOICES:
            take = folder / "take.wav"
            synthesizer.synthesize(TEXT, language="en", voice=voice, speed=1.0, target=take)
            samples, rate = soundfile.read(take, dtype="float32")
            found.append(soxr.resample(samples, rate, RATE).astype(np.float32))
    return found


def over(voice: Sound, music: Sound, louder_db: float) -> Sound:
    """Return a voice over music that is so much quieter."""
    under = np.resize(music, len(voice))
    gain = np.sqrt((voice**2).mean() / (under**2).mean()) * 10 ** (-louder_db / 20)
    return np.asarray(voice + gain * under, dtype=np.float32)


def heard(printer: VoicePrinter, sound: Sound, folder: Path) -> float:
    """Return how much of a sound is taken for music."""
    path = folder / "sound.wav"
    soundfile.write(path, 0.5 * sound / np.abs(sound).max(), RATE, subtype="PCM_16")
    (moments,) = printer.singing(path, [Span(0.0, len(sound) / RATE)])
    return float(np.mean(moments))


class TestHeard:
    def test_a_song_is_music_in_all_its_moments(
        self, printer: VoicePrinter, stems: list[Sound], tmp_path: Path
    ) -> None:
        assert heard(printer, stems[0], tmp_path) > 0.99

    def test_its_singer_alone_sings(
        self, printer: VoicePrinter, stems: list[Sound], tmp_path: Path
    ) -> None:
        assert heard(printer, stems[4], tmp_path) > SUNG_ALONE + 0.1

    @pytest.mark.parametrize("louder_db", [5, 0, -5])
    def test_a_singer_over_the_band_sings(
        self, louder_db: float, printer: VoicePrinter, stems: list[Sound], tmp_path: Path
    ) -> None:
        band = stems[1] + stems[2] + stems[3]
        assert heard(printer, over(stems[4], band, louder_db), tmp_path) > SUNG_OVER_MUSIC

    def test_who_speaks_does_not_sing(
        self, printer: VoicePrinter, spoken: list[Sound], tmp_path: Path
    ) -> None:
        assert max(heard(printer, voice, tmp_path) for voice in spoken) < 0.2

    @pytest.mark.parametrize("louder_db", [15, 10, 5, 0])
    def test_nor_does_who_speaks_over_the_band(
        self,
        louder_db: float,
        printer: VoicePrinter,
        stems: list[Sound],
        spoken: list[Sound],
        tmp_path: Path,
    ) -> None:
        """Not even where it is as loud as they are."""
        band = stems[1] + stems[2] + stems[3]
        mixes = [over(voice, band, louder_db) for voice in spoken]
        together = np.mean([heard(printer, mix, tmp_path) for mix in mixes])
        assert together < SUNG_OVER_MUSIC - 0.04


def test_a_song_in_the_midst_of_talk_is_found(
    printer: VoicePrinter, stems: list[Sound], spoken: list[Sound], tmp_path: Path
) -> None:
    """Talk, the song twice, talk over the song's band: lines of the song, and no others."""
    band = stems[1] + stems[2] + stems[3]
    pieces = [spoken[0], spoken[1], stems[0], stems[0], over(spoken[2], band, 6), spoken[3]]
    lines, at_s = [], 0.0
    for number, piece in enumerate(pieces):
        end_s = at_s + len(piece) / RATE
        lines.append(Line(number, at_s, end_s, 0, "la", number))
        at_s = end_s
    sound = tmp_path / "film.wav"
    soundfile.write(sound, np.concatenate([0.3 * one / np.abs(one).max() for one in pieces]), RATE)
    found = printer.singing(sound, [Span(one.start_s, one.end_s) for one in lines])
    assert sounding_sung(lines, found, alone=False) == {2, 3}
