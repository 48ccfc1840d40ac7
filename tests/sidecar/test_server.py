"""The HTTP side, on the fake engine."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.sidecar.process import TOKEN, ask, speak

PATHS = ["/", "/health", "/voices", "/synthesize", "/load", "/unload", "/docs", "/openapi.json"]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        TOKEN,
        f"Basic {TOKEN}",
        "Bearer",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
    ],
)
def test_every_path_and_method_wants_the_token(
    fake: httpx.Client, path: str, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    for method in METHODS:
        answer = httpx.request(
            method, fake.base_url.join(path), headers=headers, trust_env=False, timeout=30
        )
        assert answer.status_code == 401, method
        assert answer.headers["www-authenticate"] == "Bearer"
        if method != "HEAD":
            assert set(answer.json()) == {"error", "hint"}
        assert TOKEN not in answer.text


def test_health_tells_engine_device_state_and_languages(fake: httpx.Client) -> None:
    health = fake.get("/health").json()
    assert health["engine"] == "fake"
    assert health["device"] == "cpu"
    assert health["problem"] is None
    assert health["busy"] is False
    assert health["max_text_characters"] == 1000
    assert {"de", "en", "es", "ja", "pl", "zh"} <= set(health["languages"])
    assert set(health["languages"].values()) == {"fake"}


def test_load_and_unload_change_what_health_says(fake: httpx.Client) -> None:
    assert fake.post("/load").json() == {"loaded": True}
    assert fake.get("/health").json()["loaded"] is True
    assert fake.post("/unload").json() == {"loaded": False}
    assert fake.get("/health").json()["loaded"] is False


def test_every_language_has_voices_of_both_genders(fake: httpx.Client) -> None:
    for language in fake.get("/health").json()["languages"]:
        voices = fake.get("/voices", params={"language": language}).json()
        genders = [voice["gender"] for voice in voices]
        assert genders.count("female") >= 3
        assert genders.count("male") >= 3
        assert {voice["language"] for voice in voices} == {language}
        assert len({voice["id"] for voice in voices}) == len(voices)


def test_all_voices_are_listed_without_a_language(fake: httpx.Client) -> None:
    voices = fake.get("/voices").json()
    assert {voice["language"] for voice in voices} == set(fake.get("/health").json()["languages"])
    assert set(voices[0]) == {"id", "language", "gender", "engine", "quality", "native", "cloned"}


def test_a_region_is_ignored(fake: httpx.Client) -> None:
    assert fake.get("/voices", params={"language": "PT_br"}).json()[0]["language"] == "pt"
    assert speak(fake, text="Olá.", language="pt-BR").headers["x-voice"] == "pt-f1"


@pytest.mark.parametrize(("length", "speed"), [(15, 1.0), (150, 1.0), (150, 2.0), (150, 0.5)])
def test_fake_speech_lasts_as_long_as_its_text(
    fake: httpx.Client, length: int, speed: float
) -> None:
    take = speak(fake, text="a" * length, speed=speed)
    assert take.duration_s == pytest.approx(length / 15 / speed, abs=0.001)
    assert float(take.headers["x-duration-seconds"]) == pytest.approx(take.duration_s, abs=1e-6)
    assert int(take.headers["x-sample-rate"]) == take.sample_rate == 24000
    assert 0.01 < take.rms < 0.5


def test_the_same_request_gives_the_same_bytes(fake: httpx.Client) -> None:
    first, again = (ask(fake, text="Buenos días.", voice="es-m1").content for _ in range(2))
    assert first == again
    assert first != ask(fake, text="Buenos días.", voice="es-m2").content


def test_fake_voices_have_the_pitch_of_their_gender(fake: httpx.Client) -> None:
    for voice in fake.get("/voices", params={"language": "es"}).json():
        pitch_hz = speak(fake, text="Buenos días a todos.", voice=voice["id"]).pitch_hz
        assert (pitch_hz > 160) == (voice["gender"] == "female")


def test_the_longest_text_is_spoken_and_one_more_character_is_refused(fake: httpx.Client) -> None:
    assert ask(fake, text="a").status_code == 200
    assert ask(fake, text="ñ" * 1000).status_code == 200
    answer = ask(fake, text="ñ" * 1001)
    assert answer.status_code == 413
    assert "1001" in answer.json()["error"]
    assert "Split" in answer.json()["hint"]


def test_control_characters_do_not_count(fake: httpx.Client) -> None:
    plain = ask(fake, text="Hola mundo")
    assert ask(fake, text="\x00 \u202eHola\x07\r\n mundo\t").content == plain.content


@pytest.mark.parametrize("text", ["", " \t\n", "\x00\x07", "...", "¡¿?!", "\ud800"])
def test_a_text_without_anything_to_say_is_refused(fake: httpx.Client, text: str) -> None:
    body = json.dumps({"text": text, "language": "es"})
    answer = fake.post("/synthesize", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert set(answer.json()) == {"error", "hint"}


@pytest.mark.parametrize(
    ("speed", "status"),
    [(0.5, 200), (0.499, 422), (2.0, 200), (2.001, 422), (0, 422), (-1, 422), ("fast", 422)],
)
def test_the_speed_has_limits(fake: httpx.Client, speed: object, status: int) -> None:
    answer = ask(fake, text="Hola.", speed=speed)
    assert answer.status_code == status
    assert status == 200 or set(answer.json()) == {"error", "hint"}


@pytest.mark.parametrize("speed", ["NaN", "Infinity"])
def test_a_speed_that_is_no_number_is_refused(fake: httpx.Client, speed: str) -> None:
    body = f'{{"text": "Hola.", "language": "es", "speed": {speed}}}'
    answer = fake.post("/synthesize", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_an_unknown_language_names_known_ones(fake: httpx.Client) -> None:
    for answer in (
        ask(fake, text="Hola.", language="polish"),
        fake.get("/voices", params={"language": "polish"}),
    ):
        assert answer.status_code == 404
        assert "polish" in answer.json()["error"]
        assert "GET /health" in answer.json()["hint"]


def test_an_unknown_voice_names_the_nearest(fake: httpx.Client) -> None:
    answer = ask(fake, text="Hola.", voice="es-f9")
    assert answer.status_code == 404
    assert "es-f9" in answer.json()["error"]
    assert "es-f1" in answer.json()["hint"]


def test_a_voice_of_another_language_is_unknown(fake: httpx.Client) -> None:
    assert ask(fake, text="Hola.", voice="fr-f1").status_code == 404


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"text": "a"}', '{"language": "es"}'])
def test_a_body_of_another_shape_is_refused(fake: httpx.Client, body: str) -> None:
    answer = fake.post("/synthesize", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert set(answer.json()) == {"error", "hint"}


def test_a_misspelt_field_is_refused(fake: httpx.Client) -> None:
    answer = ask(fake, text="Hola.", sped=1.5)
    assert answer.status_code == 422
    assert "sped" in answer.json()["error"]


def test_a_body_has_a_largest_size(fake: httpx.Client) -> None:
    frame = len('{"text": "", "language": "es"}')
    for size, says in ((65536, "65506 characters"), (65537, "65536 bytes")):
        answer = fake.post(
            "/synthesize",
            content=f'{{"text": "{"a" * (size - frame)}", "language": "es"}}',
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 413
        assert says in answer.json()["error"]


def test_a_body_of_unknown_length_is_refused(fake: httpx.Client) -> None:
    answer = fake.post("/synthesize", content=iter([b"{}"]))
    assert answer.status_code == 411


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nope", 404), ("GET", "/docs", 404), ("GET", "/load", 405), ("PUT", "/health", 405)],
)
def test_wrong_paths_and_methods_name_the_right_ones(
    fake: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = fake.request(method, path)
    assert answer.status_code == status
    assert "POST /synthesize" in answer.json()["hint"]


def test_many_requests_at_once_all_get_their_own_take(fake: httpx.Client) -> None:
    lengths = range(15, 315, 15)
    with ThreadPoolExecutor(8) as pool:
        takes = list(pool.map(lambda length: speak(fake, text="a" * length), lengths))
    assert [round(take.duration_s) for take in takes] == [length // 15 for length in lengths]
