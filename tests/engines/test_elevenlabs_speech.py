"""The real ElevenLabs client against a local service that speaks its protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.engines.base import Gender
from dubarr_watch.engines.context import EngineContext, never
from dubarr_watch.engines.elevenlabs_speech import ElevenLabsSynthesizer
from dubarr_watch.engines.speech_service import SpeechService
from dubarr_watch.errors import (
    KeyMissing,
    ModelMissing,
    ServiceBusy,
    SynthesisFailed,
    UserMustProvide,
)
from tests.engines.contracts import SynthesizerContract
from tests.engines.speech_services import QUICK, TEXT, Refusals, SpeechServiceTests, say
from tests.services.elevenlabs_server import KEY, ElevenLabsServer, error
from tests.services.speech_server import Reply

Make = Callable[..., SpeechService]


@pytest.fixture
def server() -> Iterator[ElevenLabsServer]:
    with ElevenLabsServer() as server:
        yield server


@pytest.fixture
def make(server: ElevenLabsServer) -> Iterator[Make]:
    with ExitStack() as engines:

        def make(
            *, cancelled: Callable[[], bool] = never, stall_s: float = 30, **options: Any
        ) -> SpeechService:
            given = {"api_key": KEY, "base_url": server.address, "patience": QUICK, **options}
            context = EngineContext(cancelled=cancelled, stall_s=stall_s)
            return engines.enter_context(ElevenLabsSynthesizer(context=context, **given))

        yield make


class TestElevenLabsSynthesizer(SynthesizerContract, SpeechServiceTests):
    @pytest.fixture
    def synthesizer(self, make: Make) -> SpeechService:
        return make()

    @pytest.fixture
    def refusals(self) -> Refusals:
        return Refusals(
            busy=lambda after: error(429, "system_busy", Retry_After=after),
            fault=error(502, "bad_gateway"),
            quota=error(401, "quota_exceeded"),
            no_access=error(401, "missing_permissions"),
            content=error(400, "content_against_policy"),
            no_model=error(400, "model_not_found"),
        )


class TestVoices:
    def test_those_that_sound_native_come_first(self, make: Make) -> None:
        """Verified for language and model, then native, then all that speak with the model."""
        voices = make().voices("es")
        assert [voice.id for voice in voices] == [
            "id-Mateo", "id-Lucia", "id-Mine", "id-Adam", "id-Rachel",
        ]  # fmt: skip
        assert voices[0].gender is Gender.MALE
        assert voices[1].engine == "elevenlabs"
        assert not any(voice.cloned for voice in voices)

    def test_verified_for_another_model_is_not_verified(self, make: Make) -> None:
        """The mark counts for the model that speaks."""
        (mateo,) = (v for v in make(model="eleven_flash_v2_5").voices("es") if v.id == "id-Mateo")
        assert mateo.quality == 0.7

    def test_only_languages_of_the_model_have_voices(self, make: Make) -> None:
        """One model speaks Polish and the other Hungarian."""
        first, second = make(), make(model="eleven_flash_v2_5")
        assert first.voices("pl")
        assert not first.voices("hu")
        assert second.voices("hu")
        assert not second.voices("pl")

    def test_tagalog_is_spoken_as_filipino(self, make: Make) -> None:
        """One language under two codes."""
        engine = make()
        assert engine.voices("tl")[0].language == "tl"
        assert engine.voices("fil")[0].language == "fil"

    def test_lists_are_asked_for_once(
        self, make: Make, server: ElevenLabsServer, tmp_path: Path
    ) -> None:
        """Two requests, however many languages and lines."""
        engine = make()
        engine.voices("pl")
        say(engine, tmp_path)
        say(engine, tmp_path)
        paths = [asked.path for asked in server.asked if not server.is_speech(asked)]
        assert paths == ["/v1/models", "/v1/voices"]

    @pytest.mark.parametrize("model", ["eleven_none", "eleven_english_sts_v2"])
    def test_a_model_that_cannot_speak_is_refused(self, make: Make, model: str) -> None:
        """Unknown, or made for something else: the hint names those that do."""
        with pytest.raises(ModelMissing, match=r"ELEVENLABS_MODEL.*eleven_multilingual_v2"):
            make(model=model).voices("es")

    def test_a_list_is_asked_for_again(self, make: Make, server: ElevenLabsServer) -> None:
        """A fault, half a list or no JSON do not end the job."""
        server.lists = [
            error(500, "oops"), Reply(cut_body=20), Reply(body=b"<html>"), Reply(),
            Reply(body=b'{"nothing": 1}'),
        ]  # fmt: skip
        assert len(make().voices("es")) == 5

    def test_a_list_that_never_comes_is_told(self, make: Make, server: ElevenLabsServer) -> None:
        """The service is busy."""
        server.lists = [error(500, "oops")] * 4
        with pytest.raises(ServiceBusy):
            make().voices("es")


class TestConcurrency:
    def test_a_plan_that_allows_fewer_is_respected(
        self, make: Make, server: ElevenLabsServer, tmp_path: Path
    ) -> None:
        """Refused for being too many, they become fewer: every line is spoken, hardly any twice."""
        server.limit, server.busy_s = 2, 0.03
        engine = make(slots=5)
        with ThreadPoolExecutor(5) as pool:
            list(pool.map(lambda n: say(engine, tmp_path, name=f"{n}.wav"), range(30)))
        assert server.most == 2
        assert engine.usage().requests == 30
        assert engine.usage().retries <= 8

    def test_after_a_while_it_tries_more_again(
        self, make: Make, server: ElevenLabsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another program's requests may have been the reason, and be over."""
        monkeypatch.setattr("dubarr_watch.engines.speech_lanes.Lanes.WIDEN_AFTER_S", 0.05)
        server.busy_s = 0.03
        server.script = [error(429, "too_many_concurrent_requests")] * 2
        engine = make(slots=3)
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda n: say(engine, tmp_path, name=f"{n}.wav"), range(30)))
        assert server.most == 3


class TestRequests:
    def test_the_language_is_told_where_the_model_can_be_told(
        self, make: Make, server: ElevenLabsServer, tmp_path: Path
    ) -> None:
        """Multilingual v2 refuses to be told; flash wants to be."""
        say(make(), tmp_path)
        say(make(model="eleven_flash_v2_5"), tmp_path)
        old, new = (asked.body for asked in server.speeches)
        assert "language_code" not in old
        assert new["language_code"] == "es"
        assert old["text"] == TEXT
        assert "voice_settings" not in old

    def test_speed_keeps_within_what_the_service_takes(
        self, make: Make, server: ElevenLabsServer, tmp_path: Path
    ) -> None:
        """It refuses more than 1.2."""
        engine = make()
        engine.synthesize(
            "Hola.", language="es", voice="id-Adam", speed=1.5, target=tmp_path / "a.wav"
        )
        assert server.speeches[0].body["voice_settings"]["speed"] == 1.2

    def test_the_newer_form_of_refusals_is_understood(
        self, make: Make, server: ElevenLabsServer, tmp_path: Path
    ) -> None:
        """`code` says it where `status` did."""
        body = {"detail": {"type": "payment_required", "code": "insufficient_credits"}}
        server.script = [Reply(402, error=body)]
        with pytest.raises(UserMustProvide, match="credits"):
            say(make(), tmp_path)

    def test_a_plan_that_does_not_allow_it_is_told(
        self, make: Make, server: ElevenLabsServer, tmp_path: Path
    ) -> None:
        """It is neither the key nor the credits."""
        server.script = [error(401, "detected_unusual_activity")]
        with pytest.raises(UserMustProvide, match="plan") as raised:
            say(make(), tmp_path)
        assert not isinstance(raised.value, KeyMissing)

    @pytest.mark.parametrize("body", [["no"], "no", {"detail": [{"loc": ["body", "text"]}]}])
    def test_refusals_in_no_known_form_fail_the_line(
        self, make: Make, server: ElevenLabsServer, tmp_path: Path, body: object
    ) -> None:
        """They are told by their status."""
        server.script = [Reply(422, error=body)]
        with pytest.raises(SynthesisFailed, match=r"refused a text \(422"):
            say(make(), tmp_path)
