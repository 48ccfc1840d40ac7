"""A service with the OpenAI speech API on 127.0.0.1 that misbehaves as it is told."""

from __future__ import annotations

from tests.services.speech_server import Asked, Reply, SpeechServer, spoken

KEY = "sk-test-speech-key"
MODEL = "gpt-4o-mini-tts"
VOICES = {
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage",
    "shimmer", "verse",
}  # fmt: skip


def error(status: int, code: str, kind: str = "invalid_request_error", **headers: str) -> Reply:
    """Return a refusal in the API's form; it quotes the text, as real ones do now and then."""
    body = {"error": {"message": f"No: {code}. Got 'Hola'.", "type": kind, "code": code}}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, error=body, headers=names)


class OpenAISpeechServer(SpeechServer):
    """See `SpeechServer`; `limit` is answered like a rate limit, without a time to wait.

    Attributes:
        longest: Characters that one request may have.
    """

    longest = 4096

    @property
    def base_url(self) -> str:
        return f"{self.address}/v1"

    def is_speech(self, asked: Asked) -> bool:
        return asked.path == "/v1/audio/speech"

    def refusal(self, asked: Asked) -> Reply | None:
        body = asked.body
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return error(401, "invalid_api_key")
        if body["model"] not in (MODEL, "tts-1"):
            return error(404, "model_not_found")
        if body["voice"] not in VOICES:
            return error(400, "invalid_voice")
        if len(body["input"]) > self.longest:
            return error(400, "string_above_max_length")
        assert body["response_format"] == "wav"
        return None

    def crowded(self) -> Reply:
        return error(429, "rate_limit_exceeded", "requests")

    def good(self, asked: Asked) -> tuple[str, bytes]:
        return "audio/wav", spoken(asked.body["input"], asked.body.get("speed", 1.0))
