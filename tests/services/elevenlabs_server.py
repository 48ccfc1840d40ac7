"""A service with ElevenLabs' API on 127.0.0.1 that misbehaves as it is told."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from tests.services.speech_server import Asked, Reply, SpeechServer, spoken

KEY = "xi-test-speech-key"
MODEL = "eleven_multilingual_v2"


def error(status: int, code: str, **headers: str) -> Reply:
    """Return a refusal in the API's form."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"detail": {"status": code, "message": f"No: {code}. Got 'Hola'."}}
    return Reply(status, error=body, headers=names)


def _model(name: str, *languages: str, speaks: bool = True, longest: int = 10_000) -> object:
    return {
        "model_id": name,
        "name": name,
        "can_do_text_to_speech": speaks,
        "maximum_text_length_per_request": longest,
        "languages": [{"language_id": code, "name": code} for code in languages],
    }


def _voice(name: str, **labels: str) -> dict[str, Any]:
    return {"voice_id": f"id-{name}", "name": name, "category": "premade", "labels": labels}


class ElevenLabsServer(SpeechServer):
    """See `SpeechServer`; `limit` is that of the account's plan.

    Attributes:
        longest: Characters that one request may have, whatever the model says of itself.
        models: What GET /v1/models answers.
        voices: What GET /v1/voices answers.
        lists: Behaviours of the lists to come, first one first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.longest = 10_000
        self.lists: list[Reply] = []
        self.models = [
            _model(MODEL, "en", "es", "pl", "fil"),
            _model("eleven_flash_v2_5", "en", "es", "hu"),
            _model("eleven_english_sts_v2", "en", speaks=False),
        ]
        self.voices = [
            _voice("Rachel", gender="female", language="en"),
            _voice("Adam", gender="male", language="en"),
            _voice("Lucia", gender="female", language="es"),
            {
                **_voice("Mateo", gender="Male", language="en"),
                "verified_languages": [{"language": "es", "model_id": MODEL}],
            },
            {**_voice("Mine", gender="female", language="es"), "category": "cloned"},
            _voice("River", gender="neutral", language="en"),
            {"voice_id": "id-bare", "name": "Bare"},
        ]

    def is_speech(self, asked: Asked) -> bool:
        return asked.path.startswith("/v1/text-to-speech/")

    def refusal(self, asked: Asked) -> Reply | None:
        if asked.headers.get("xi-api-key") != KEY:
            return error(401, "invalid_api_key")
        if not self.is_speech(asked):
            return self.lists.pop(0) if self.lists else None
        assert parse_qs(asked.query)["output_format"] == ["wav_24000"]
        if asked.path.rsplit("/", 1)[-1] not in {voice["voice_id"] for voice in self.voices}:
            return error(404, "voice_not_found")
        if len(asked.body["text"]) > self.longest:
            return error(400, "max_character_limit_exceeded")
        return None

    def crowded(self) -> Reply:
        return error(429, "too_many_concurrent_requests")

    def good(self, asked: Asked) -> tuple[str, bytes]:
        if asked.path == "/v1/models":
            return "application/json", json.dumps(self.models).encode()
        if asked.path == "/v1/voices":
            return "application/json", json.dumps({"voices": self.voices}).encode()
        speed = (asked.body.get("voice_settings") or {}).get("speed", 1.0)
        return "audio/wav", spoken(asked.body["text"], speed)
