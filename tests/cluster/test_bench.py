"""A worker's bench: whose files it sees, what it is sent, and what it gives back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.cluster.bench import Bench
from dubarr_watch.cluster.orders import SMALL_BYTES, Carried, Mark, Order, Peaks
from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.errors import EngineError, JobCancelled, SynthesisFailed
from dubarr_watch.settings import load_settings
from tests.cluster.test_jobs import talk
from tests.composing import names

FAKES = "dubarr_watch.engines.fakes"
MACHINE = "attic"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """The daemon's WORK_DIR, with its mark."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "mark").write_text("made up")
    return folder


def open_bench(tmp_path: Path, path_map: str = "") -> Bench:
    settings = load_settings(config_dir=tmp_path / "own", path_map=path_map, threads=1)
    host = EngineHost(settings)
    return Bench(settings, host, Peaks(), lambda: "tcp://me:1", MACHINE, tmp_path / "bench")


@pytest.fixture
def apart(tmp_path: Path, theirs: Path) -> Iterator[Bench]:
    """A bench that sees nothing of the daemon's disk."""
    bench = open_bench(tmp_path, f"{theirs}=/nowhere")
    yield bench
    bench.close()


def order(theirs: Path, kind: str, fake: str, method: str, **call: Any) -> Order:
    reads = [value for name, value in call.items() if name == "audio"]
    return Order(
        id="o1", topic="t", kind=kind, spec=EngineSpec(f"{FAKES}:{fake}"), method=method,
        calls=[call], files=[Carried.of(path) for path in reads],
        mark=Mark(theirs / "mark", "made up"), job=1, stall_s=60,
    )  # fmt: skip


def serve(bench: Bench, what: Order, unwanted: bool = False) -> Any:
    return bench.serve(what, unwanted=lambda: unwanted, tell=lambda done, total: None)


def test_a_folder_seen_under_another_path_is_shared(tmp_path: Path, theirs: Path) -> None:
    """PATH_MAP says where; what is written there has a name of its own until it is taken."""
    (tmp_path / "mine").symlink_to(theirs)
    bench = open_bench(tmp_path, f"{theirs}={tmp_path / 'mine'}")
    target = theirs / "1.wav"
    say = order(theirs, "synthesizer", "FakeSynthesizer", "synthesize", text="hello",
                language="es", voice="fake_es_anna", speed=1.0, target=target)  # fmt: skip
    answer = serve(bench, say)
    bench.close()
    [made] = answer.made
    assert answer.results[0].path == target
    assert (made.path, made.shared, made.content) == (target, True, None)
    assert made.here.parent == theirs
    assert names(theirs) == sorted([made.here.name, "mark"])
    assert made.here.name.startswith(".")
    assert answer.host == MACHINE


def test_two_runs_of_one_call_never_write_the_same_file(tmp_path: Path, theirs: Path) -> None:
    bench = open_bench(tmp_path)
    say = order(theirs, "synthesizer", "FakeSynthesizer", "synthesize", text="hello",
                language="es", voice="fake_es_anna", speed=1.0,
                target=theirs / "1.wav")  # fmt: skip
    first, second = serve(bench, say), serve(bench, say)
    bench.close()
    assert first.made[0].here != second.made[0].here


def test_a_large_file_is_asked_for_and_found_once_it_was_sent(apart: Bench, theirs: Path) -> None:
    audio = talk(theirs / "heard.wav", 60)
    assert audio.stat().st_size > SMALL_BYTES
    hear = order(theirs, "transcriber", "FakeTranscriber", "transcribe", audio=audio, language="en")
    assert list(serve(apart, hear).lacks) == [audio]
    [file] = hear.files
    whole, at = audio.read_bytes(), 0
    while at < len(whole):
        at = apart.keep(file.key, audio.name, at, whole[at : at + 300_000], file.size)
    answer = serve(apart, hear)
    assert not answer.lacks
    assert len(answer.results[0].words) > 50
    audio.write_bytes(whole[:-2])  # changed meanwhile: another file
    assert list(serve(apart, replace(hear, files=[Carried.of(audio)])).lacks) == [audio]


def test_what_was_written_is_fetched_in_pieces_and_nothing_else_is(
    apart: Bench, theirs: Path, tmp_path: Path
) -> None:
    audio = talk(theirs / "mix.wav", 25)
    assert audio.stat().st_size < SMALL_BYTES
    split = order(theirs, "separator", "FakeSeparator", "separate", audio=audio,
                  folder=theirs / "stems")  # fmt: skip
    answer = serve(apart, split)
    assert answer.results[0].voice == theirs / "stems" / "voice.wav"
    assert {one.path.name for one in answer.made} == {"voice.wav", "rest.wav"}
    assert not (theirs / "stems").exists()
    assert all(one.content for one in answer.made)
    with pytest.raises(EngineError, match="not written"):
        apart.read(tmp_path / "own", 0, 10)
    with pytest.raises(EngineError, match="not written"):
        apart.read(tmp_path / "bench" / "made" / ".." / ".." / "own" / "x", 0, 10)


def test_errors_of_an_engine_come_back_as_they_are(apart: Bench, theirs: Path) -> None:
    say = order(theirs, "synthesizer", "FakeSynthesizer", "synthesize", text=" ", language="es",
                voice="fake_es_anna", speed=1.0, target=theirs / "1.wav")  # fmt: skip
    [error] = serve(apart, say).results
    assert isinstance(error, SynthesisFailed)


def test_what_nobody_waits_for_is_not_begun(apart: Bench, theirs: Path) -> None:
    say = order(theirs, "synthesizer", "FakeSynthesizer", "synthesize", text="hello",
                language="es", voice="fake_es_anna", speed=1.0,
                target=theirs / "1.wav")  # fmt: skip
    [error] = serve(apart, say, unwanted=True).results
    assert isinstance(error, JobCancelled)
    assert serve(apart, say).results[0].path == theirs / "1.wav"
