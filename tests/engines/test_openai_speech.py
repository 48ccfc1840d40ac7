"""The real OpenAI client against a local service that speaks its protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.engines.base import EngineSpec, Gender
from dubarr_watch.engines.context import EngineContext, never
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.openai_speech import OpenAISynthesizer
from dubarr_watch.engines.speech_service import SpeechService
from dubarr_watch.errors import ModelMissing
from dubarr_watch.settings import load_settings
from tests.engines.contracts import SynthesizerContract
from tests.engines.speech_services import QUICK, Refusals, SpeechServiceTests, say
from tests.services.openai_speech_server import KEY, OpenAISpeechServer, error

Make = Callable[..., SpeechService]


@pytest.fixture
def server() -> Iterator[OpenAISpeechServer]:
    with OpenAISpeechServer() as server:
        yield server


@pytest.fixture
def make(server: OpenAISpeechServer) -> Iterator[Make]:
    with ExitStack() as engines:

        def make(
            *, cancelled: Callable[[], bool] = never, stall_s: float = 30, **options: Any
        ) -> SpeechService:
            given = {"api_key": KEY, "base_url": server.base_url, "patience": QUICK, **options}
            context = EngineContext(cancelled=cancelled, stall_s=stall_s)
            return engines.enter_context(OpenAISynthesizer(context=context, **given))

        yield make


class TestOpenAISynthesizer(SynthesizerContract, SpeechServiceTests):
    @pytest.fixture
    def synthesizer(self, make: Make) -> SpeechService:
        return make()

    @pytest.fixture
    def refusals(self) -> Refusals:
        return Refusals(
            busy=lambda after: error(429, "rate_limit_exceeded", "tokens", Retry_After=after),
            fault=error(503, "server_error"),
            quota=error(429, "insufficient_quota", "insufficient_quota"),
            no_access=error(403, "unsupported_country_region_territory"),
            content=error(400, "content_policy_violation"),
            no_model=error(404, "model_not_found"),
        )

    def test_a_model_that_is_not_there_is_named(self, make: Make, tmp_path: Path) -> None:
        """The message names the setting."""
        with pytest.raises(ModelMissing, match="OPENAI_TTS_MODEL"):
            say(make(model="gpt-9-tts"), tmp_path)

    def test_the_language_is_told_where_the_model_can_be_told(
        self, make: Make, server: OpenAISpeechServer, tmp_path: Path
    ) -> None:
        """Short texts are words in many languages; older models take no instructions."""
        say(make(), tmp_path)
        say(make(model="tts-1"), tmp_path)
        new, old = (asked.body for asked in server.speeches)
        assert "Spanish" in new["instructions"]
        assert "instructions" not in old
        assert "speed" not in new

    def test_voices_of_the_older_models_are_fewer(self, make: Make) -> None:
        """No voice is offered that the model does not have; both registers always are."""
        new = {voice.id: voice for voice in make().voices("pl")}
        old = {voice.id: voice for voice in make(model="tts-1-hd").voices("pl")}
        assert set(new) - set(old) == {"marin", "cedar", "verse", "ballad"}
        assert {voice.gender for voice in old.values()} == set(Gender)
        assert [next(iter(new)), new["onyx"].gender] == ["marin", Gender.MALE]

    def test_languages_that_it_does_not_speak_have_no_voices(self, make: Make) -> None:
        """Amharic is not among them."""
        assert make().voices("am") == []


def test_the_host_builds_it_in_the_daemon(server: OpenAISpeechServer, tmp_path: Path) -> None:
    """As a spec with options that could be sent to another process."""
    spec = EngineSpec(
        "dubarr_watch.engines.openai_speech:OpenAISynthesizer",
        {"api_key": KEY, "base_url": server.base_url, "model": "tts-1"},
        owns_process=True,
    )
    host = EngineHost(load_settings(config_dir=tmp_path / "config"))
    with host.engine("synthesizer", spec) as engine:
        voice = engine.voices("es")[0].id
        target = tmp_path / "take.wav"
        engine.synthesize("Hola.", language="es", voice=voice, speed=1.0, target=target)
    assert target.exists()
