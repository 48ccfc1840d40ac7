"""Speech from the OpenAI API, or from a service that speaks its protocol."""

from __future__ import annotations

import openai

from dubarr_watch.engines.base import Gender, Voice
from dubarr_watch.engines.context import EngineContext
from dubarr_watch.engines.llm.chat import USUAL_PATIENCE, Patience
from dubarr_watch.engines.llm.refusals import NotNow, retry_after_s
from dubarr_watch.engines.speech_languages import OPENAI_SPEECH_LANGUAGES
from dubarr_watch.engines.speech_service import CONNECT_S, SpeechService, TextTooLong, Wording
from dubarr_watch.engines.speech_text import language_name
from dubarr_watch.errors import (
    KeyMissing,
    ModelMissing,
    ServiceBusy,
    SynthesisFailed,
    UserMustProvide,
)

# Register and character as the guide's samples have them, the two that it recommends first. Its
# voices were made for English and speak all languages; alloy and fable sound like neither register
# clearly, so they come last.
_VOICES = (
    ("marin", Gender.FEMALE, 0.9),
    ("cedar", Gender.MALE, 0.9),
    ("coral", Gender.FEMALE, 0.8),
    ("ash", Gender.MALE, 0.8),
    ("nova", Gender.FEMALE, 0.78),
    ("onyx", Gender.MALE, 0.78),
    ("sage", Gender.FEMALE, 0.76),
    ("echo", Gender.MALE, 0.76),
    ("shimmer", Gender.FEMALE, 0.74),
    ("verse", Gender.MALE, 0.74),
    ("ballad", Gender.MALE, 0.7),
    ("alloy", Gender.FEMALE, 0.6),
    ("fable", Gender.MALE, 0.6),
)
_NOT_WITH_TTS_1 = {"marin", "cedar", "verse", "ballad"}
_MAX_CHARS = 4096
_MAX_CHARS_BY_TOKENS = 1500  # 2000 tokens; a token is a character or more in every language
_SPEEDS = (0.25, 4.0)

_QUOTA_CODES = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_MODEL_CODES = {"model_not_found", "invalid_model"}


class OpenAISynthesizer(SpeechService):
    """A Synthesizer that asks a service with the OpenAI speech API.

    Args:
        context: From the host.
        api_key: Of the service.
        model: The model's name.
        base_url: Address of another service; None: OpenAI's own.
        slots: Requests at a time.
        patience: With refusals and faults.

    Raises:
        KeyMissing: There is no key.
    """

    def __init__(
        self,
        *,
        context: EngineContext,
        api_key: str,
        model: str = "gpt-4o-mini-tts",
        base_url: str | None = None,
        slots: int = 4,
        patience: Patience = USUAL_PATIENCE,
    ) -> None:
        if not api_key:
            raise KeyMissing("The speech service needs a key.", hint="Set OPENAI_API_KEY.")
        super().__init__(
            name="OpenAI's speech service", context=context, slots=slots, patience=patience
        )
        self._model = model
        self._client = openai.OpenAI(
            api_key=api_key,
            base_url=base_url,
            timeout=openai.Timeout(
                self.longest_answer_s, connect=min(CONNECT_S, self.longest_answer_s)
            ),
            max_retries=0,  # its own waits could not be cancelled
        )

    def voices(self, language: str) -> list[Voice]:
        """See `Synthesizer`."""
        if language not in OPENAI_SPEECH_LANGUAGES:
            return []
        missing = _NOT_WITH_TTS_1 if self._model.startswith("tts-1") else set()
        return [
            Voice(name, language, gender, "openai", quality)
            for name, gender, quality in _VOICES
            if name not in missing
        ]

    def _send(self, wording: Wording) -> bytes:
        slowest, fastest = _SPEEDS
        try:
            answer = self._client.audio.speech.create(
                model=self._model,
                input=wording.text,
                voice=wording.voice,
                response_format="wav",
                speed=min(max(wording.speed, slowest), fastest)
                if wording.speed != 1
                else openai.omit,
                instructions=self._instructions(wording.language),
            )
            return bytes(answer.content)
        except openai.OpenAIError as error:
            raise self._told(error) from error

    def _instructions(self, language: str) -> str | openai.Omit:
        # A short text alone may not tell its language: "No." is said in many.
        if not self._model.startswith("gpt-"):
            return openai.omit
        return (
            f"Speak {language_name(language)} as a native speaker does. Say exactly the text, as "
            "a line of a film, and nothing else."
        )

    def _longest_text(self) -> int:
        return _MAX_CHARS_BY_TOKENS if self._model.startswith("gpt-") else _MAX_CHARS

    def _close(self) -> None:
        self._client.close()

    def _told(self, error: openai.OpenAIError) -> Exception:
        """Return what a failed request means; no message repeats the text that was sent."""
        match error:
            case openai.APITimeoutError():
                return NotNow("it took too long")
            case openai.APIConnectionError():
                return NotNow("it cannot be reached, or broke off its answer")
            case openai.APIStatusError():
                return self._of_status(error)
        return SynthesisFailed(f"{self._name} cannot be asked: {type(error).__name__}.")

    def _of_status(self, error: openai.APIStatusError) -> Exception:
        status, code = error.status_code, str(error.code or "")
        kind = f"{code} {error.type or ''}"
        if status == 401:
            return KeyMissing(
                f"{self._name} refused the key.",
                hint="Check OPENAI_API_KEY, and OPENAI_BASE_URL where it is set.",
            )
        if status == 402 or any(one in kind for one in _QUOTA_CODES):
            return UserMustProvide(
                "The account of OpenAI's speech service has no credit left.",
                hint="Add credit or raise its limit, then retry the job; TTS_MODEL=xtts or kokoro "
                "needs none.",
            )
        if status == 404 or code in _MODEL_CODES or error.param == "model":
            return ModelMissing(
                f"{self._name} has no model {self._model}.",
                hint="Set OPENAI_TTS_MODEL to one that it has; check OPENAI_BASE_URL where it is "
                "set.",
            )
        if status == 403:
            return UserMustProvide(
                f"The key may not use the model {self._model}.",
                hint="Allow it in the service's settings, or set OPENAI_TTS_MODEL to another one.",
            )
        if status in {408, 409, 425, 429} or status >= 500:
            return self._later(status, retry_after_s(error.response.headers))
        if status == 413 or "above_max_length" in kind or "too_long" in kind:
            return TextTooLong()
        return SynthesisFailed(f"{self._name} refused a text ({status} {kind.strip()}).")

    def _later(self, status: int, after_s: float | None) -> Exception:
        reason = "its rate limit is reached" if status == 429 else f"it failed with status {status}"
        if after_s is not None and after_s > self._patience.longest_wait_s:
            return ServiceBusy(
                f"{self._name} asks to wait {after_s:.0f} s: {reason}.",
                hint="Retry the job then, or raise the limits of the account.",
            )
        return NotNow(reason, after_s)
