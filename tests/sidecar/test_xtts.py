"""XTTS in its real process, from a folder of the real format with random weights, on the CPU."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import soundfile

from tests.sidecar.conftest import PYTHON, ROOT, StartSidecar, shared_sidecar
from tests.sidecar.process import ask, speak
from tests.tiny.xtts import XttsSizes, build_xtts_once
from tts_sidecar.engines.xtts_text import LIMITS

# The tiny model stops after about 20 codes, 0.95 s, whatever it is given to say.
FITTING = "Hola, ¿qué tal?"
TOO_LONG = "Era el mejor de los tiempos, era el peor de los tiempos, y era la edad de la razón."
SHORT = "A."


@pytest.fixture(scope="module")
def xtts_models(shared_folder: Path) -> Path:
    """A models folder with the tiny XTTS in it."""
    folder = shared_folder / "tiny-models"
    build_xtts_once(folder / "xtts-v2")
    return folder


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two voices, and recordings that are none."""
    folder = tmp_path_factory.mktemp("recordings")
    for name, hz, seconds in (("low", 110, 5), ("high", 220, 8), ("short", 150, 2)):
        time_s = np.arange(24000 * seconds) / 24000
        swell = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * time_s)
        wave = sum(np.sin(2 * np.pi * hz * k * time_s) / k for k in range(1, 6))
        soundfile.write(folder / f"{name}.wav", 0.1 * swell * wave, 24000)
    soundfile.write(folder / "silent.wav", np.zeros(24000 * 5), 24000)
    return folder


@pytest.fixture(scope="module")
def xtts(
    xtts_models: Path, recordings: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """One loaded XTTS sidecar for the module's tests."""
    arguments = ["--models-dir", str(xtts_models), "--references-dir", str(recordings)]
    scratch = tmp_path_factory.mktemp("scratch")
    environment = {"COQUI_TOS_AGREED": "1"}
    with shared_sidecar(
        ["--engine", "xtts", "--threads", "1", *arguments], scratch, environment
    ) as client:
        yield client


class TestLicence:
    def test_nothing_is_loaded_until_the_user_has_agreed(
        self, start_sidecar: StartSidecar, xtts_models: Path
    ) -> None:
        """The refusal says what the licence means and how to agree; health says it too."""
        sidecar = start_sidecar(
            "--engine", "xtts", "--threads", "1", "--models-dir", str(xtts_models)
        )
        for answer in (
            sidecar.client.post("/load"),
            sidecar.client.get("/voices", params={"language": "es"}),
            ask(sidecar.client, text=FITTING),
        ):
            assert answer.status_code == 403
            assert "not be used commercially" in answer.json()["error"]
            assert "COQUI_TOS_AGREED=true" in answer.json()["hint"]
        health = sidecar.client.get("/health").json()
        assert health["loaded"] is False
        assert "CPML" in health["problem"]

    @pytest.mark.parametrize("value", ["0", "false", "no", ""])
    def test_only_a_yes_is_a_yes(
        self, start_sidecar: StartSidecar, xtts_models: Path, value: str
    ) -> None:
        sidecar = start_sidecar(
            "--engine",
            "xtts",
            "--threads",
            "1",
            "--models-dir",
            str(xtts_models),
            COQUI_TOS_AGREED=value,
        )
        assert sidecar.client.post("/load").status_code == 403


class TestLoading:
    def test_a_missing_file_is_named(
        self, start_sidecar: StartSidecar, xtts_models: Path, tmp_path: Path
    ) -> None:
        model = tmp_path / "models" / "xtts-v2"
        model.mkdir(parents=True)
        (model / "config.json").symlink_to(xtts_models / "xtts-v2" / "config.json")
        sidecar = start_sidecar(
            "--engine",
            "xtts",
            "--threads",
            "1",
            "--models-dir",
            str(model.parent),
            COQUI_TOS_AGREED="1",
        )
        answer = sidecar.client.post("/load")
        assert answer.status_code == 503
        assert "model.pth is missing" in answer.json()["error"]
        assert "models pull" in answer.json()["hint"]
        assert "model.pth" in sidecar.client.get("/health").json()["problem"]

    def test_a_damaged_model_and_a_missing_gpu_are_told_apart(
        self, start_sidecar: StartSidecar, xtts_models: Path, tmp_path: Path
    ) -> None:
        model = tmp_path / "models" / "xtts-v2"
        model.mkdir(parents=True)
        for name in ("config.json", "vocab.json"):
            (model / name).symlink_to(xtts_models / "xtts-v2" / name)
        (model / "model.pth").write_bytes(b"no model" * 1000)
        options = ("--engine", "xtts", "--threads", "1", "--models-dir", str(model.parent))
        damaged = start_sidecar(*options, COQUI_TOS_AGREED="1").client.post("/load")
        assert damaged.status_code == 503
        assert str(model) in damaged.json()["error"]
        gpu = start_sidecar(
            *options, "--device", "cuda", "--uuid", "GPU-1", COQUI_TOS_AGREED="1",
            CUDA_VISIBLE_DEVICES="",
        ).client.post("/load")  # fmt: skip
        assert gpu.status_code == 409
        assert "no NVIDIA GPU" in gpu.json()["error"]

    def test_the_model_file_stays_as_it_was(self, xtts: httpx.Client, xtts_models: Path) -> None:
        """The library would rewrite a published checkpoint; pinned files must not change."""
        path = xtts_models / "xtts-v2" / "model.pth"
        before = hashlib.sha256(path.read_bytes()).hexdigest()
        assert xtts.post("/unload").json() == {"loaded": False}
        assert xtts.post("/load").json() == {"loaded": True}
        assert hashlib.sha256(path.read_bytes()).hexdigest() == before

    @pytest.mark.parametrize(
        ("arguments", "slots"),
        [
            ((), 4),
            (("--frugal",), 1),
            (("--slots", "7"), 7),
            (("--device", "cuda"), 16),
            (("--device", "cuda", "--mib", "2000"), 1),
            (("--device", "cuda", "--mib", "3583"), 1),
            (("--device", "cuda", "--mib", "3584"), 2),
            (("--device", "cuda", "--mib", "6144"), 12),
            (("--device", "cuda", "--mib", "24000"), 16),
            (("--device", "cuda", "--mib", "24000", "--frugal"), 1),
        ],
    )
    def test_slots_come_from_the_memory(
        self, start_sidecar: StartSidecar, arguments: tuple[str, ...], slots: int
    ) -> None:
        sidecar = start_sidecar("--engine", "xtts", *arguments)
        assert sidecar.client.get("/health").json()["slots"] == slots


class TestVoices:
    def test_built_in_voices_have_genders_and_the_cloned_one_is_last(
        self, xtts: httpx.Client
    ) -> None:
        voices = xtts.get("/voices", params={"language": "ja"}).json()
        assert [(voice["id"], voice["gender"], voice["cloned"]) for voice in voices] == [
            ("Ana Florence", "female", False),
            ("Viktor Menelaos", "male", False),
            ("Somebody Else", "female", False),
            ("clone", "female", True),
        ]
        assert {voice["language"] for voice in voices} == {"ja"}

    def test_other_languages_are_refused_with_those_there_are(self, xtts: httpx.Client) -> None:
        answer = ask(xtts, text="Hej.", language="sv")
        assert answer.status_code == 404
        assert "'sv'" in answer.json()["error"]
        assert set(xtts.get("/health").json()["languages"]) == set(LIMITS)

    @pytest.mark.parametrize(
        ("language", "text"),
        [
            ("ar", "مرحبا، كيف حالك؟"),
            ("hi", "नमस्ते, आप कैसे हैं?"),
            ("hu", "Jó napot, hogy van 3?"),
            ("ja", "こんにちは、元気ですか。"),
            ("ko", "안녕하세요 여러분"),
            ("ru", "Привет, как дела?"),
            ("zh", "你好，你好吗？"),
        ],
    )
    def test_every_script_is_read(self, xtts: httpx.Client, language: str, text: str) -> None:
        take = speak(xtts, text=text, language=language)
        assert 0.2 < take.duration_s < 6
        assert take.headers["x-engine"] == "xtts"

    def test_a_cloned_voice_sounds_as_its_recording(
        self, xtts: httpx.Client, recordings: Path
    ) -> None:
        """Other recordings make another take of the same text, with the same chances."""
        takes = [
            speak(xtts, text=text, voice="clone", references=[str(recordings / name)])
            for text, name in ((FITTING, "low.wav"), (FITTING, "high.wav"))
        ]
        assert takes[0].samples.tobytes() != takes[1].samples.tobytes()
        assert {take.headers["x-voice"] for take in takes} == {"clone"}

    def test_a_speaker_is_worked_out_once(self, xtts: httpx.Client, recordings: Path) -> None:
        """A copy of a known recording needs no work: the file's name is not what is remembered."""
        copy = recordings / "copy.wav"
        copy.write_bytes((recordings / "high.wav").read_bytes())
        one, two = (
            speak(xtts, text="Buenas noches.", voice="clone", references=[str(path)])
            for path in (recordings / "high.wav", copy)
        )
        assert one.samples.tobytes() == two.samples.tobytes()


class TestReferences:
    @pytest.mark.parametrize(
        ("names", "says"),
        [
            ([], "needs a recording"),
            (["short.wav"], "2.0 s of voice; 3 s are needed"),
            (["silent.wav"], "silent"),
            (["none.wav"], "cannot be read"),
            (["silent.wav", "short.wav"], "silent.wav is silent. The reference short.wav"),
            (["../../../../../../etc/passwd"], "outside the folders"),
            (["low.wav", "/etc/passwd"], "outside the folders"),
        ],
    )
    def test_an_unusable_one_is_an_error_that_says_why(
        self, xtts: httpx.Client, recordings: Path, names: list[str], says: str
    ) -> None:
        paths = [str(recordings / name) for name in names]
        answer = ask(xtts, text=FITTING, voice="clone", references=paths)
        assert answer.status_code == 422
        assert says in answer.json()["error"]
        assert answer.json()["hint"]

    def test_there_may_be_eight_and_not_nine(self, xtts: httpx.Client, recordings: Path) -> None:
        path = str(recordings / "low.wav")
        body: dict[str, object] = {"text": FITTING, "voice": "clone"}
        assert ask(xtts, **body, references=[path] * 8).status_code == 200
        assert ask(xtts, **body, references=[path] * 9).status_code == 422

    def test_built_in_voices_ignore_them(self, xtts: httpx.Client) -> None:
        assert ask(xtts, text=FITTING, references=["/none.wav"]).status_code == 200


class TestGuards:
    def test_a_take_of_the_right_length_is_made_once(self, xtts: httpx.Client) -> None:
        take = speak(xtts, text="Hola, amigos.")
        assert take.headers["x-attempts"] == "1"
        assert "x-suspect" not in take.headers
        assert 0.5 < take.duration_s < 2

    def test_a_take_too_short_for_its_text_is_made_again_and_then_doubted(
        self, xtts: httpx.Client
    ) -> None:
        take = speak(xtts, text=TOO_LONG)
        assert take.headers["x-attempts"] == "3"
        assert take.headers["x-suspect"] == "short"

    def test_a_model_that_never_stops_is_stopped(
        self, start_sidecar: StartSidecar, xtts_models: Path
    ) -> None:
        """One code more than the text may take at most ends it, three times."""
        folder = xtts_models.parent / "babbler-models"
        build_xtts_once(folder / "xtts-v2", XttsSizes(stop_after=0))
        babbler = start_sidecar(
            "--engine", "xtts", "--threads", "1", "--models-dir", str(folder), COQUI_TOS_AGREED="1"
        )
        take = speak(babbler.client, text=SHORT)
        assert take.headers["x-attempts"] == "3"
        assert "runaway" in take.headers["x-suspect"]
        assert take.duration_s < 2.0

    def test_asking_for_the_very_same_again_gives_another_take(self, xtts: httpx.Client) -> None:
        first, again, faster = (
            speak(xtts, text="¿Otra vez lo mismo?", speed=speed) for speed in (1.0, 1.0, 2.0)
        )
        assert first.samples.tobytes() != again.samples.tobytes()
        assert faster.duration_s == pytest.approx(first.duration_s / 2, rel=0.1)


class TestLongTexts:
    def test_a_text_beyond_the_limit_is_spoken_in_pieces(self, xtts: httpx.Client) -> None:
        """Each piece takes the tiny model's second, and pauses lie between them."""
        limit = LIMITS["es"]
        sentence = "Era el mejor de los tiempos, era el peor. "
        whole = speak(xtts, text=(sentence * 20)[:limit])
        halves = speak(xtts, text=(sentence * 20)[: limit + 3])
        assert 0.8 < whole.duration_s < 1.4
        assert 1.8 < halves.duration_s < 2.8

    def test_japanese_is_split_without_spaces(self, xtts: httpx.Client) -> None:
        """Japanese has the lowest limit: 71 characters."""
        take = speak(xtts, text="今日はとても良い天気ですね、" * 20, language="ja")
        assert take.duration_s > 3

    def test_what_has_no_letters_in_it_is_refused(self, xtts: httpx.Client) -> None:
        assert ask(xtts, text="¡...!").status_code == 422


class TestTogether:
    def test_many_requests_at_once_all_get_their_own_take(self, xtts: httpx.Client) -> None:
        """More than there are slots: the rest waits its turn."""
        texts = [f"Hola a los {n}." for n in ("uno", "dos", "tres", "cuatro", "cinco", "seis")]
        with ThreadPoolExecutor(len(texts)) as pool:
            takes = list(pool.map(lambda text: speak(xtts, text=text), texts))
        assert len({take.samples.tobytes() for take in takes}) == len(texts)
        assert all(0.5 < take.duration_s < 2 for take in takes)
        assert xtts.get("/health").json()["slots"] == 4

    def test_a_row_comes_out_the_same_in_any_company(
        self, xtts_models: Path, tmp_path: Path
    ) -> None:
        """Alone, in a batch of other lengths and through the library: the same codes and sound."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
        script = Path(__file__).with_name("batch_check.py")
        done = subprocess.run(
            [str(PYTHON), "-W", "ignore", str(script), str(xtts_models / "xtts-v2")],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        for row in found["library"]:
            assert row["codes"] == row["ours"]
            assert row["apart"] < 1e-4
        for way in ("greedy", "drawn"):
            assert found[way]["together"] == found[way]["alone"]
            assert len({tuple(codes) for codes in found[way]["alone"]}) == 4
            assert len(set(found[way]["samples"])) > 1
            assert max(found[way]["apart"]) < 1e-4 < 1e-2 < min(found[way]["loud"])
            assert all(codes[-1] == found["stop"] for codes in found[way]["alone"])
        assert found["other seeds"] != found["drawn"]["alone"]
        assert [len(codes) for codes in found["capped"]] == [3, 4, 5, 6]
        assert found["limits"] == LIMITS


class TestMemory:
    def test_a_line_that_does_not_fit_is_an_error_of_its_own_and_the_next_one_is_spoken(
        self, start_sidecar: StartSidecar, xtts_models: Path
    ) -> None:
        """The process may take 48 MiB more; a line of three seconds wants about 100."""
        sidecar = start_sidecar(
            "--engine",
            "xtts",
            "--threads",
            "1",
            "--models-dir",
            str(xtts_models),
            COQUI_TOS_AGREED="1",
        )
        assert ask(sidecar.client, text=FITTING).status_code == 200
        process = psutil.Process(sidecar.process.pid)
        room = process.memory_info().vms + 48 * 2**20
        process.rlimit(psutil.RLIMIT_AS, (room, psutil.RLIM_INFINITY))
        answer = ask(sidecar.client, text="Hola, ¿qué tal estás?", speed=0.5)
        assert answer.status_code == 507
        assert "not fit into the memory" in answer.json()["error"]
        assert "fewer lines" in answer.json()["hint"]
        process.rlimit(psutil.RLIMIT_AS, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
        assert ask(sidecar.client, text="Hola, ¿qué tal estás?", speed=0.5).status_code == 200
        assert sidecar.client.get("/health").json()["slots"] == 1


class TestEnd:
    def test_sigterm_ends_it_in_the_middle_of_a_take(
        self, start_sidecar: StartSidecar, xtts_models: Path, tmp_path: Path
    ) -> None:
        """At once, with nothing on the standard error and no file left."""
        sidecar = start_sidecar(
            "--engine",
            "xtts",
            "--threads",
            "1",
            "--models-dir",
            str(xtts_models),
            COQUI_TOS_AGREED="1",
        )
        assert sidecar.client.post("/load").json() == {"loaded": True}
        with ThreadPoolExecutor(1) as pool:
            take = pool.submit(ask, sidecar.client, text="Era el mejor de los tiempos. " * 30)
            while not sidecar.client.get("/health").json()["busy"]:
                assert not take.done()
            sidecar.process.send_signal(signal.SIGTERM)
            out, errors = sidecar.process.communicate(timeout=10)
            assert isinstance(take.exception(10), httpx.TransportError)
        assert sidecar.process.returncode == 0
        assert (out, errors) == ("", "")
        assert list(tmp_path.iterdir()) == []
