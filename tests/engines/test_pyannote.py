"""pyannote on a tiny pipeline: in a process of its own, offline, and what is said without one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from pyannote.core import Annotation, Segment

from dubarr_watch.engines.base import Diarizer, EngineSpec, Place, Span, Turn
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.needs import PYANNOTE_NEED
from dubarr_watch.engines.pyannote_diarizer import PyannoteDiarizer, _batch
from dubarr_watch.engines.pyannote_model import (
    PYANNOTE_FILES,
    PYANNOTE_PAGE,
    pyannote_ready,
)
from dubarr_watch.errors import ModelMissing, OutOfMemory
from dubarr_watch.settings import load_settings
from tests.engines.contracts import DiarizerContract, Steps
from tests.tiny import pyannote as tiny
from tests.tiny.speech import RATE, speak


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp("model") / "community-1")


@pytest.fixture(scope="module")
def diarizer(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Diarizer]:
    config = tmp_path_factory.mktemp("config")
    host = EngineHost(load_settings(config_dir=config, mock_mode=False))
    spec = EngineSpec(
        "dubarr_watch.engines.pyannote_diarizer:PyannoteDiarizer",
        {"model": model, "threads": 1, "place": Place()},
    )
    with host.engine("diarizer", spec) as diarizer:
        yield diarizer


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three stretches of two voices in 11 s: a whole window and a part of one."""
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    pause = np.zeros(RATE // 2, dtype=np.float32)
    high = speak(3, pitch_hz=210, size=0.8)
    whole = np.concatenate([pause, speak(3), pause, high, pause, speak(2.5), pause])
    soundfile.write(path, whole, RATE, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def speech_voice() -> list[Span]:
    return [Span(0.5, 3.5), Span(4.0, 7.0), Span(7.5, 10.0)]


class TestTinyPyannote(DiarizerContract):
    def test_each_step_tells_how_far_it_is(
        self, diarizer: Diarizer, speech: Path, speech_voice: list[Span]
    ) -> None:
        """Between nothing and all there is more than one step, in seconds of sound."""
        steps = Steps()
        diarizer.diarize(speech, speech_voice, progress=steps)
        duration_s = soundfile.info(speech).duration
        assert all(total == pytest.approx(duration_s) for _, total in steps.seen)
        assert steps.seen[0][0] == 0
        assert len({done for done, _ in steps.seen}) > 2


def bounded(made: PyannoteDiarizer) -> list[tuple[object, object]]:
    """Note the bounds that its pipeline is given."""
    given: list[tuple[object, object]] = []
    pipeline = made._pipeline

    def listened(file: object, **options: object) -> object:
        given.append((options["min_speakers"], options["max_speakers"]))
        return pipeline(file, **options)

    made._pipeline = listened
    return given


@pytest.mark.parametrize(("least", "most"), [(0, 1), (2, 2)])
def test_the_number_of_speakers_is_bounded(
    least: int, most: int, model: Path, speech: Path, speech_voice: list[Span]
) -> None:
    """MIN_SPEAKERS and MAX_SPEAKERS are passed on; 0 means unknown."""
    made = PyannoteDiarizer(model=model, threads=1, min_speakers=least, max_speakers=most)
    given = bounded(made)
    turns = made.diarize(speech, speech_voice)
    assert given == [(least or None, most)]
    assert len({turn.speaker for turn in turns}) <= most


def test_voice_too_short_for_so_many_speakers_has_fewer(
    model: Path, speech: Path, speech_voice: list[Span]
) -> None:
    """Eleven seconds cannot hold sixty speakers, which the library answers with an error."""
    made = PyannoteDiarizer(model=model, threads=1, min_speakers=60, max_speakers=99)
    given = bounded(made)
    steps = Steps()
    assert made.diarize(speech, speech_voice, progress=steps)
    assert given == [(60, 99), (None, 99)]
    steps.check()


def test_running_out_of_memory_is_told_as_such(
    model: Path, speech: Path, speech_voice: list[Span]
) -> None:
    """The library turns torch's error into Python's, which says nothing of a device."""
    made = PyannoteDiarizer(model=model, threads=1)

    def full(chunks: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    made._pipeline._segmentation.model.forward = full
    with pytest.raises(OutOfMemory, match="batch_size"):
        made.diarize(speech, speech_voice)


def test_it_reports_to_nobody(model: Path) -> None:
    """pyannote's makers are told of each use by default; here nothing leaves the machine."""
    from pyannote.audio.telemetry.metrics import is_metrics_enabled

    assert not is_metrics_enabled()


@pytest.mark.parametrize(
    ("place", "batch"),
    [
        (Place(), 8),
        (Place("cuda", "GPU-1", 0), 8),
        (Place("cuda", "GPU-1", PYANNOTE_NEED.mib), 8),
        (Place("cuda", "GPU-1", 80_000), 8),
        (Place("cuda", "GPU-1", 3310), 8),
        (Place("cuda", "GPU-1", 3309), 7),
        (Place("cuda", "GPU-1", 500), 1),
        (Place("cuda", "GPU-1", 80_000, frugal=True), 1),
        (Place("cpu", frugal=True), 1),
    ],
)
def test_a_smaller_lease_embeds_fewer_windows_at_once(place: Place, batch: int) -> None:
    """The need holds eight; nothing gains from more."""
    assert _batch(place) == batch


def annotated(*heard: tuple[float, float, str]) -> Annotation:
    found = Annotation()
    for n, (start_s, end_s, name) in enumerate(heard):
        found[Segment(start_s, end_s), n] = name
    return found


ALL = annotated((0.5, 2.5, "A"), (2.0, 3.5, "B"))
WORDS = annotated((0.5, 2.0, "A"), (2.0, 3.5, "B"))


@pytest.mark.parametrize(
    ("found", "beside"),
    [
        (SimpleNamespace(speaker_diarization=ALL, exclusive_speaker_diarization=WORDS), 0),
        (SimpleNamespace(speaker_diarization=ALL), 1),
        (ALL, 1),
    ],
    ids=["both", "without exclusive speakers", "without any wrapping"],
)
def test_who_talks_at_the_same_time_is_told(
    found: object, beside: int, model: Path, speech: Path
) -> None:
    """Whose the word is the pipeline says, where it does; in older ones, who began earlier."""
    made = PyannoteDiarizer(model=model, threads=1)
    made._pipeline = lambda file, **options: found
    turns = made.diarize(speech, [Span(0.5, 3.5)])
    assert [turn for turn in turns if turn.beside] == [Turn(2.0, 2.5, beside, beside=True)]
    edge_s = 2.5 if beside else 2.0
    words = [Turn(0.5, edge_s, 0), Turn(edge_s, 3.5, 1)]
    assert [turn for turn in turns if not turn.beside] == words


@pytest.mark.parametrize("missing", PYANNOTE_FILES)
def test_a_model_without_all_of_its_files_is_not_ready(
    missing: str, model: Path, tmp_path: Path
) -> None:
    """The error names the folder, the page to visit, and the way without."""
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    assert pyannote_ready(folder)
    (folder / missing).unlink()
    assert not pyannote_ready(folder)
    with pytest.raises(ModelMissing) as caught:
        PyannoteDiarizer(model=folder, threads=1)
    assert caught.value.path == folder
    assert PYANNOTE_PAGE in caught.value.hint
    assert "DIARIZATION_FALLBACK=true" in caught.value.hint
