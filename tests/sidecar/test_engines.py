"""Kokoro and espeak-ng in one process, on the real model."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from tests.sidecar.conftest import PYTHON, StartSidecar
from tests.sidecar.process import Take, ask, speak

SPANISH = "Era el mejor de los tiempos, era el peor de los tiempos."
GERMAN = "Es war die beste und die schlimmste aller Zeiten."
POLISH = "Nie wiem, co powiedzieć. To był najlepszy z czasów."


def assert_sounds_right(take: Take) -> None:
    """Loud enough, not clipped, and trimmed at both ends."""
    assert 0.02 < take.rms < 0.3
    assert float(np.max(np.abs(take.samples))) < 0.999
    assert max(take.silence_s) <= 0.03


@pytest.mark.parametrize(("language", "text"), [("pl", POLISH), ("de", GERMAN)])
def test_espeak_voices_speak_with_the_pitch_of_their_gender(
    espeak_only: httpx.Client, language: str, text: str
) -> None:
    voices = espeak_only.get("/voices", params={"language": language}).json()
    assert {voice["engine"] for voice in voices} == {"espeak"}
    for gender in ("female", "male"):
        assert sum(voice["gender"] == gender for voice in voices) >= 3
    takes = {voice["id"]: speak(espeak_only, text=text, language=language, voice=voice["id"])
             for voice in voices}  # fmt: skip
    for voice in voices:
        take = takes[voice["id"]]
        assert_sounds_right(take)
        assert take.headers["x-engine"] == "espeak"
        assert (take.pitch_hz > 150) == (voice["gender"] == "female"), voice["id"]
    assert len({take.samples.tobytes() for take in takes.values()}) == len(voices)


def test_espeak_is_as_much_faster_as_asked(espeak_only: httpx.Client) -> None:
    slow, plain, fast = (
        speak(espeak_only, text=POLISH, language="pl", speed=speed).duration_s
        for speed in (0.5, 1.0, 2.0)
    )
    assert slow == pytest.approx(2 * plain, rel=0.15)
    assert fast == pytest.approx(plain / 2, rel=0.15)


def test_every_espeak_language_speaks_a_number(espeak_only: httpx.Client) -> None:
    languages = espeak_only.get("/health").json()["languages"]
    for language, engine in languages.items():
        if engine == "espeak":
            assert speak(espeak_only, text="123", language=language).duration_s > 0.2, language


def test_a_missing_model_is_told_and_other_languages_still_speak(espeak_only: httpx.Client) -> None:
    health = espeak_only.get("/health").json()
    assert "model.onnx" in health["problem"]
    assert health["loaded"] is False
    assert espeak_only.post("/load").status_code == 503
    assert "models pull" in espeak_only.post("/load").json()["hint"]
    assert ask(espeak_only, text=SPANISH).status_code == 404
    assert speak(espeak_only, text=GERMAN, language="de").duration_s > 1


def test_japanese_is_refused_with_the_reason(espeak_only: httpx.Client) -> None:
    answer = ask(espeak_only, text="こんにちは", language="ja")
    assert answer.status_code == 404
    assert "kanji" in answer.json()["error"]
    assert "ja" in espeak_only.get("/health").json()["unspoken"]


@pytest.mark.models
def test_kokoro_speaks_spanish(kokoro: httpx.Client) -> None:
    voices = kokoro.get("/voices", params={"language": "es"}).json()
    assert voices[0] == {
        "id": "ef_dora",
        "language": "es",
        "gender": "female",
        "engine": "kokoro",
        "quality": None,
        "native": True,
        "cloned": False,
    }
    woman = speak(kokoro, text=SPANISH, voice="ef_dora")
    man = speak(kokoro, text=SPANISH, voice="em_alex")
    for take in (woman, man):
        assert_sounds_right(take)
        assert take.sample_rate == 24000
        assert take.headers["x-engine"] == "kokoro"
        assert 2 < take.duration_s < 6
    assert woman.pitch_hz > 150 > man.pitch_hz


@pytest.mark.models
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "It was the best of times."),
        ("fr", "C'était le meilleur des temps."),
        ("hi", "नमस्ते, आप कैसे हैं?"),
        ("it", "Era il migliore dei tempi."),
        ("pt", "Era o melhor dos tempos."),
    ],
)
def test_kokoro_languages_have_both_genders(kokoro: httpx.Client, language: str, text: str) -> None:
    voices = kokoro.get("/voices", params={"language": language}).json()
    takes = {}
    for gender in ("female", "male"):
        voice = next(one["id"] for one in voices if one["gender"] == gender)
        takes[gender] = speak(kokoro, text=text, language=language, voice=voice)
        assert_sounds_right(takes[gender])
        assert takes[gender].headers["x-engine"] == "kokoro"
    assert takes["female"].pitch_hz > takes["male"].pitch_hz + 15


@pytest.mark.models
def test_the_best_graded_voice_comes_first(kokoro: httpx.Client) -> None:
    voices = kokoro.get("/voices", params={"language": "en"}).json()
    grades = [voice["quality"] for voice in voices]
    assert voices[0]["id"] == "af_heart"
    assert grades[:3] == ["A", "A-", "B-"]
    assert grades[-1] == "F+"


@pytest.mark.models
def test_kokoro_is_faster_when_asked(kokoro: httpx.Client) -> None:
    slow, plain, fast = (
        speak(kokoro, text=SPANISH, speed=speed).duration_s for speed in (0.5, 1.0, 2.0)
    )
    assert 1.6 * plain < slow < 2.4 * plain
    assert 0.4 * plain < fast < 0.7 * plain


def test_a_foreign_word_puts_no_language_flag_into_the_phonemes() -> None:
    """espeak-ng marks the change of language as "(en)", which Kokoro would speak."""
    program = (
        "from tts_sidecar.engines.phonemes import Phonemizer;"
        "print(Phonemizer().phonemize('Il a vu « Star Wars » hier.', 'fr'))"
    )
    spoken = subprocess.run(
        [PYTHON, "-c", program], capture_output=True, check=True, encoding="utf-8"
    ).stdout
    assert spoken.strip() == "il a vˈy “ stˈaʁ wˈɔːz ” jˈɛʁ."


@pytest.mark.models
def test_the_longest_text_is_spoken_whole_in_less_than_one_gigabyte(
    start_sidecar: StartSidecar, models_dir: Path
) -> None:
    """A thousand characters are some 900 phonemes; the model takes 510 at once."""
    sidecar = start_sidecar("--engine", "kokoro", "--models-dir", str(models_dir))
    sentence = "La casa estaba en lo alto de la colina y se veía todo el valle. "
    once = speak(sidecar.client, text=sentence)
    text = (sentence * 16)[:1000].strip()
    long = speak(sidecar.client, text=text)
    assert long.duration_s > 0.85 * once.duration_s * len(text) / len(sentence)
    assert_sounds_right(long)
    status = Path(f"/proc/{sidecar.process.pid}/status").read_text(encoding="ascii")
    peak_kib = next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line)
    assert peak_kib < 1000 * 1024


@pytest.mark.models
def test_the_engines_do_not_disturb_each_other(kokoro: httpx.Client) -> None:
    """Both use noise, so no two takes are equal; a mixed-up language would change the length."""
    spanish, german = speak(kokoro, text=SPANISH), speak(kokoro, text=GERMAN, language="de")
    for _ in range(3):
        again = speak(kokoro, text=GERMAN, language="de")
        assert again.duration_s == pytest.approx(german.duration_s, abs=0.02)
        again = speak(kokoro, text=SPANISH)
        assert again.duration_s == pytest.approx(spanish.duration_s, abs=0.05)


@pytest.mark.models
def test_two_requests_at_once_both_get_their_take(kokoro: httpx.Client) -> None:
    with ThreadPoolExecutor(2) as pool:
        spanish = pool.submit(speak, kokoro, text=SPANISH)
        german = pool.submit(speak, kokoro, text=GERMAN, language="de")
        assert spanish.result().headers["x-engine"] == "kokoro"
        assert german.result().headers["x-engine"] == "espeak"
    assert_sounds_right(spanish.result())
    assert_sounds_right(german.result())


@pytest.mark.models
def test_health_answers_during_a_synthesis(kokoro: httpx.Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        take = pool.submit(speak, kokoro, text=SPANISH * 5)
        answered_while_busy = 0
        while not take.done():
            busy = kokoro.get("/health").json()["busy"]
            answered_while_busy += busy and not take.done()
    assert answered_while_busy >= 3
    assert take.result().duration_s > 10
    assert kokoro.get("/health").json()["busy"] is False


@pytest.fixture
def damaged_models(models_dir: Path, tmp_path: Path) -> Path:
    """The models with one voice cut short."""
    source = models_dir / "kokoro-82m-v1.0-int8"
    folder = tmp_path / "models" / source.name
    (folder / "voices").mkdir(parents=True)
    (folder / "model.onnx").symlink_to(source / "model.onnx")
    (folder / "voices" / "ef_dora.bin").write_bytes(b"\0" * 1000)
    (folder / "voices" / "em_alex.bin").symlink_to(source / "voices" / "em_alex.bin")
    return tmp_path / "models"


@pytest.mark.models
def test_a_damaged_voice_is_told_and_the_others_speak(
    start_sidecar: StartSidecar, damaged_models: Path
) -> None:
    client = start_sidecar("--engine", "kokoro", "--models-dir", str(damaged_models)).client
    answer = ask(client, text="Hola.", voice="ef_dora")
    assert answer.status_code == 503
    assert "ef_dora.bin" in answer.json()["error"]
    assert speak(client, text="Hola.", voice="em_alex").duration_s > 0.2
    ids = [voice["id"] for voice in client.get("/voices", params={"language": "es"}).json()]
    assert ids == ["ef_dora", "em_alex"]


def test_a_damaged_model_is_told(start_sidecar: StartSidecar, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "kokoro-82m-v1.0-int8"
    (folder / "voices").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"not a model")
    (folder / "voices" / "ef_dora.bin").write_bytes(b"\0" * 522240)
    client = start_sidecar("--engine", "kokoro", "--models-dir", str(folder.parent)).client
    answer = ask(client, text="Hola.")
    assert answer.status_code == 503
    assert "cannot be loaded" in answer.json()["error"]


@pytest.mark.models
def test_unload_frees_the_memory_and_the_next_take_loads_again(
    start_sidecar: StartSidecar, models_dir: Path
) -> None:
    sidecar = start_sidecar("--engine", "kokoro", "--models-dir", str(models_dir))
    client, memory = sidecar.client, psutil.Process(sidecar.process.pid).memory_info
    assert client.get("/health").json()["loaded"] is False
    speak(client, text=SPANISH)
    assert client.get("/health").json()["loaded"] is True
    loaded_mib = memory().rss >> 20
    assert client.post("/unload").json() == {"loaded": False}
    assert client.get("/health").json()["loaded"] is False
    assert loaded_mib - (memory().rss >> 20) > 100
    speak(client, text=SPANISH)
    assert client.get("/health").json()["loaded"] is True
