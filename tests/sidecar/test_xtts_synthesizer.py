"""XTTS as the daemon uses it: its own process, tiny random weights, on the CPU."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from dubarr_watch.engines.base import EngineSpec, Place, Synthesizer
from dubarr_watch.engines.context import EngineContext
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.sidecar import SidecarSynthesizer
from dubarr_watch.engines.sidecar_answers import raise_for, voice_of
from dubarr_watch.errors import (
    DeviceError,
    DubarrError,
    ModelMissing,
    OutOfMemory,
    ServiceBusy,
    SynthesisFailed,
    UserMustProvide,
)
from dubarr_watch.settings import load_settings
from tests.engines.contracts import SynthesizerContract
from tests.tiny.xtts import build_xtts_once

FITTING = "Hola, ¿qué tal?"


@pytest.fixture(scope="module")
def spec(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> EngineSpec:
    models = shared_folder / "tiny-models"
    build_xtts_once(models / "xtts-v2")
    return EngineSpec(
        "dubarr_watch.engines.sidecar:SidecarSynthesizer",
        {
            "engine": "xtts",
            "models_dir": models,
            "port": 0,
            "threads": 1,
            "references_dir": tmp_path_factory.mktemp("work"),
            "licence_agreed": True,
        },
        owns_process=True,
    )


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> EngineHost:
    return EngineHost(load_settings(config_dir=tmp_path_factory.mktemp("config"), mock_mode=False))


@pytest.fixture(scope="module")
def synthesizer(host: EngineHost, spec: EngineSpec) -> Iterator[Synthesizer]:
    with host.engine("synthesizer", spec) as synthesizer:
        yield synthesizer


@pytest.fixture(scope="module")
def reference(spec: EngineSpec) -> Path:
    time_s = np.arange(24000 * 5) / 24000
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * time_s)
    path: Path = spec.options["references_dir"] / "speaker.wav"
    soundfile.write(path, 0.1 * swell * np.sin(2 * np.pi * 140 * time_s), 24000)
    return path


def say(synthesizer: Synthesizer, text: str, target: Path, *references: Path) -> bool:
    voice = "clone" if references else synthesizer.voices("es")[0].id
    return synthesizer.synthesize(
        text, language="es", voice=voice, speed=1.0, target=target, references=references
    ).suspect


class TestXtts(SynthesizerContract):
    def test_it_says_how_many_lines_it_makes_together(self, synthesizer: Synthesizer) -> None:
        """Four on a CPU, as the process has it."""
        assert synthesizer.slots == 4

    def test_one_voice_is_cloned_and_the_best_there_is(self, synthesizer: Synthesizer) -> None:
        """It comes last, because it needs references."""
        voices = synthesizer.voices("es")
        assert [voice.id for voice in voices if voice.cloned] == ["clone"]
        assert voices[-1].id == "clone"
        assert voices[-1].quality > max(voice.quality for voice in voices[:-1])

    def test_other_languages_have_no_voices(self, synthesizer: Synthesizer) -> None:
        """Swedish is none of the seventeen."""
        assert synthesizer.voices("sv") == []

    def test_a_voice_is_cloned_from_a_file(
        self, synthesizer: Synthesizer, reference: Path, tmp_path: Path
    ) -> None:
        """The file lies in the folder that the process may read."""
        assert not say(synthesizer, FITTING, tmp_path / "take.wav", reference)
        assert soundfile.info(tmp_path / "take.wav").duration > 0.5

    def test_a_file_elsewhere_is_not_read(
        self, synthesizer: Synthesizer, reference: Path, tmp_path: Path
    ) -> None:
        """Whatever is in it."""
        other = tmp_path / "speaker.wav"
        other.write_bytes(reference.read_bytes())
        with pytest.raises(SynthesisFailed, match="outside the folders"):
            say(synthesizer, FITTING, tmp_path / "take.wav", other)
        assert not (tmp_path / "take.wav").exists()

    def test_a_doubtful_take_is_marked(self, synthesizer: Synthesizer, tmp_path: Path) -> None:
        """The tiny model says everything in a second."""
        long = "Era el mejor de los tiempos, era el peor de los tiempos, era la edad de la razón."
        assert say(synthesizer, long, tmp_path / "take.wav")

    def test_lines_are_spoken_together(self, synthesizer: Synthesizer, tmp_path: Path) -> None:
        """From several threads, each into its own file."""
        names = ["uno", "dos", "tres", "cuatro", "cinco"]
        with ThreadPoolExecutor(5) as pool:
            list(pool.map(lambda n: say(synthesizer, f"Soy {n}.", tmp_path / f"{n}.wav"), names))
        assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(names)

    def test_a_process_killed_in_mid_line_is_replaced(
        self, synthesizer: Synthesizer, tmp_path: Path
    ) -> None:
        """All lines that were under way are spoken by the next one."""
        assert isinstance(synthesizer, SidecarSynthesizer)
        pid = synthesizer.pid
        assert pid is not None
        texts = {f"{n}": f"Era el mejor de los tiempos, era el {n}. " * 4 for n in range(3)}
        killer = threading.Thread(target=kill_when_busy, args=(synthesizer, pid))
        killer.start()
        with ThreadPoolExecutor(3) as pool:
            for name, text in texts.items():
                pool.submit(say, synthesizer, text, tmp_path / f"{name}.wav")
        killer.join()
        assert sorted(path.stem for path in tmp_path.glob("*.wav")) == sorted(texts)
        assert synthesizer.pid not in (None, pid)


def kill_when_busy(synthesizer: SidecarSynthesizer, pid: int) -> None:
    while not synthesizer.health()["busy"]:
        pass
    os.kill(pid, signal.SIGKILL)


def test_without_consent_the_user_hears_what_it_is_about(
    host: EngineHost, spec: EngineSpec, tmp_path: Path
) -> None:
    """The process refuses; nothing agrees for the user."""
    refused = EngineSpec(spec.target, {**spec.options, "licence_agreed": False}, owns_process=True)
    with host.engine("synthesizer", refused) as synthesizer:
        with pytest.raises(UserMustProvide, match="may not be used commercially") as caught:
            synthesizer.voices("es")
        assert "COQUI_TOS_AGREED" in caught.value.hint


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (403, UserMustProvide),
        (409, DeviceError),
        (413, SynthesisFailed),
        (422, SynthesisFailed),
        (429, ServiceBusy),
        (500, SynthesisFailed),
        (503, ModelMissing),
        (507, OutOfMemory),
    ],
)
def test_every_refusal_becomes_the_error_it_is(status: int, kind: type[DubarrError]) -> None:
    """Message and hint are the process's own."""
    answer = httpx.Response(status, json={"error": "It is so.", "hint": "Do this."})
    with pytest.raises(kind) as caught:
        raise_for(answer)
    assert type(caught.value) is kind
    assert (caught.value.message, caught.value.hint) == ("It is so.", "Do this.")


def test_an_answer_of_another_form_is_told_by_its_number() -> None:
    """Something else may listen on the port."""
    with pytest.raises(SynthesisFailed, match="answered 502"):
        raise_for(httpx.Response(502, text="<html>"))
    raise_for(httpx.Response(200))


@pytest.mark.parametrize(
    ("more", "quality"),
    [
        ({"engine": "xtts"}, 0.85),
        ({"engine": "xtts", "cloned": True}, 0.95),
        ({"engine": "kokoro", "quality": "A-"}, 0.91),
        ({"engine": "kokoro", "quality": "C+", "native": False}, 0.345),
        ({"engine": "espeak"}, 0.1),
    ],
)
def test_voices_are_graded(more: dict[str, object], quality: float) -> None:
    """A cloned voice is the best, espeak-ng the worst."""
    voice = voice_of({"id": "x", "language": "es", "gender": "female", **more})
    assert voice.quality == pytest.approx(quality)
    assert voice.cloned is bool(more.get("cloned"))


@pytest.mark.parametrize(
    ("engine", "place", "expected"),
    [
        ("xtts", Place(), ["--device", "cpu", "--mib", "0"]),
        (
            "xtts",
            Place("cuda", "GPU-1", 6144),
            ["--device", "cuda", "--mib", "6144", "--uuid", "GPU-1"],
        ),
        ("xtts", Place("mps", "", 0, frugal=True), ["--device", "mps", "--mib", "0", "--frugal"]),
        ("kokoro", Place("cuda", "GPU-1", 6144), []),
    ],
)
def test_the_process_is_told_its_place(
    tmp_path: Path, engine: str, place: Place, expected: list[str]
) -> None:
    """Kokoro knows none of it: it always runs on the CPU."""
    with SidecarSynthesizer(
        context=EngineContext(), engine=engine, models_dir=tmp_path, port=0, threads=2
    ) as synthesizer:
        arguments = synthesizer._arguments(place)
    at = arguments.index("--exit-with-stdin") + 1
    assert arguments[at:] == expected
