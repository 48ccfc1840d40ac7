"""Speech from ElevenLabs, in the voices of the user's account."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

import elevenlabs
import httpx
from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.core.parse_error import ParsingError
from elevenlabs.core.request_options import RequestOptions

from dubarr_watch.engines.base import Gender, Voice
from dubarr_watch.engines.context import EngineContext
from dubarr_watch.engines.llm.chat import USUAL_PATIENCE, Patience
from dubarr_watch.engines.llm.refusals import NotNow, retry_after_s
from dubarr_watch.engines.speech_lanes import TooManyAtOnce
from dubarr_watch.engines.speech_service import SpeechService, TextTooLong, Wording
from dubarr_watch.errors import (
    KeyMissing,
    ModelMissing,
    ServiceBusy,
    SynthesisFailed,
    UnknownLanguage,
    UserMustProvide,
)
from dubarr_watch.languages import parse_language

T = TypeVar("T")

_FORMAT = "wav_24000"  # the highest rate that every plan includes
_SLOWEST, _FASTEST = 0.7, 1.2
_MAX_CHARS = 5000
"""Where the model does not tell its own limit: the lowest of any model."""

_ITS_CODES = {"tl": "fil"}
"""Filipino is the standard of Tagalog: who asks for one is content with the other."""

_GENDERS = {"female": Gender.FEMALE, "male": Gender.MALE}
_QUALITY_VERIFIED, _QUALITY_NATIVE, _QUALITY_FOREIGN = 0.95, 0.9, 0.7
_BEST_CATEGORIES = {"professional", "premade", "high_quality"}

_QUOTA_CODES = {"quota_exceeded", "insufficient_credits", "payment_required"}
_PLAN_CODES = {"paid_plan_required", "subscription_required", "detected_unusual_activity"}
_CROWDED_CODES = {"too_many_concurrent_requests", "concurrent_limit_exceeded"}
_LENGTH_CODES = {"max_character_limit_exceeded", "text_too_long"}
_MODEL_CODES = {"model_not_found", "invalid_model_id", "model_can_not_do_text_to_speech"}


class ElevenLabsSynthesizer(SpeechService):
    """A Synthesizer that asks ElevenLabs.

    Args:
        context: From the host.
        api_key: Of the account.
        model: Id of the model.
        base_url: Address of the service; None: ElevenLabs' own.
        slots: Requests at a time; plans allow from two.
        patience: With refusals and faults.

    Raises:
        KeyMissing: There is no key.
    """

    def __init__(
        self,
        *,
        context: EngineContext,
        api_key: str,
        model: str = "eleven_multilingual_v2",
        base_url: str | None = None,
        slots: int = 3,
        patience: Patience = USUAL_PATIENCE,
    ) -> None:
        if not api_key:
            raise KeyMissing("ElevenLabs needs a key.", hint="Set ELEVENLABS_API_KEY.")
        super().__init__(name="ElevenLabs", context=context, slots=slots, patience=patience)
        self._model_id = model
        self._http = httpx.Client(timeout=self.longest_answer_s, follow_redirects=True)
        self._client = ElevenLabs(api_key=api_key, base_url=base_url, httpx_client=self._http)
        # Its own retries could not be cancelled.
        self._options = RequestOptions(
            timeout_in_seconds=max(1, round(self.longest_answer_s)), max_retries=0
        )
        self._catalog = threading.Lock()
        self._known_model: elevenlabs.Model | None = None
        self._known_voices: list[elevenlabs.Voice] | None = None

    def voices(self, language: str) -> list[Voice]:
        """See `Synthesizer`."""
        if _code(language) not in self._languages():
            return []
        with self._catalog:
            if self._known_voices is None:
                self._known_voices = self._patiently(self._asking(self._list_voices))
            known = self._known_voices
        usable = [found for voice in known if (found := self._voice(voice, language)) is not None]
        return sorted(usable, key=lambda voice: (-voice.quality, voice.id))

    def _voice(self, voice: elevenlabs.Voice, language: str) -> Voice | None:
        labels = {key: str(value).lower() for key, value in (voice.labels or {}).items()}
        gender = _GENDERS.get(labels.get("gender", ""))
        if gender is None:
            return None  # casting goes by register
        quality = _QUALITY_FOREIGN
        if _code(labels.get("language", "")) == _code(language):
            quality = _QUALITY_NATIVE
        for verified in voice.verified_languages or ():
            if _code(verified.language) == _code(language) and verified.model_id == self._model_id:
                quality = _QUALITY_VERIFIED
        if voice.category not in _BEST_CATEGORIES:
            quality -= 0.05
        return Voice(voice.voice_id, language, gender, "elevenlabs", round(quality, 3))

    def _languages(self) -> set[str]:
        return {_code(language.language_id) for language in self._model().languages or ()} - {""}

    def _model(self) -> elevenlabs.Model:
        with self._catalog:
            if self._known_model is None:
                models = self._patiently(self._asking(self._list_models))
                speaking = {one.model_id: one for one in models if one.can_do_text_to_speech}
                if self._model_id not in speaking:
                    raise self._no_model(f"It has {', '.join(sorted(speaking)) or 'none at all'}.")
                self._known_model = speaking[self._model_id]
            return self._known_model

    def _list_voices(self) -> list[elevenlabs.Voice]:
        answer = self._client.voices.get_all(request_options=self._options)
        return _only(answer.voices, elevenlabs.Voice)

    def _list_models(self) -> list[elevenlabs.Model]:
        return _only(self._client.models.list(request_options=self._options), elevenlabs.Model)

    def _longest_text(self) -> int:
        return self._model().maximum_text_length_per_request or _MAX_CHARS

    def _send(self, wording: Wording) -> bytes:
        more: dict[str, object] = {}
        if "multilingual" not in self._model_id:  # those recognise it and refuse to be told
            more["language_code"] = _code(wording.language)
        if wording.speed != 1:
            speed = min(max(wording.speed, _SLOWEST), _FASTEST)
            more["voice_settings"] = elevenlabs.VoiceSettings(speed=speed)
        return self._asking(
            lambda: b"".join(
                self._client.text_to_speech.convert(
                    wording.voice,
                    text=wording.text,
                    model_id=self._model_id,
                    output_format=_FORMAT,
                    request_options=self._options,
                    **more,
                )
            )
        )()

    def _close(self) -> None:
        self._http.close()

    def _asking(self, ask: Callable[[], T]) -> Callable[[], T]:
        """Return a request whose failures mean what they mean here."""

        def asked() -> T:
            try:
                return ask()
            except httpx.TimeoutException as error:
                raise NotNow("it took too long") from error
            except httpx.TransportError as error:
                raise NotNow("it cannot be reached, or broke off its answer") from error
            except ParsingError as error:
                raise NotNow("its answer makes no sense") from error
            except ApiError as error:
                raise self._told(error) from error

        return asked

    def _told(self, error: ApiError) -> Exception:
        """Return what a refusal means; no message repeats the text that was sent."""
        status, code = error.status_code or 0, _code_of(error.body)
        if code in _QUOTA_CODES or (status == 402 and code not in _PLAN_CODES):
            return UserMustProvide(
                "The ElevenLabs account has too few credits left.",
                hint="Add credits or wait for the next month, then retry the job; TTS_MODEL=xtts "
                "or kokoro needs none.",
            )
        if code in _PLAN_CODES:
            return UserMustProvide(
                f"The plan of the ElevenLabs account does not allow this ({code}).",
                hint="Look at the account's plan; TTS_MODEL=xtts or kokoro needs none.",
            )
        if code in _MODEL_CODES:
            return self._no_model("")
        if status in {401, 403} and code != "voice_access_denied":
            return KeyMissing(
                f"ElevenLabs refused the key{f' ({code})' if code else ''}.",
                hint="Check ELEVENLABS_API_KEY, and that the key may use text to speech and read "
                "voices and models.",
            )
        if status == 429 and code in _CROWDED_CODES:
            return TooManyAtOnce("the account allows fewer requests at a time")
        if status in {408, 409, 425, 429} or status >= 500:
            return self._later(status, retry_after_s(error.headers or {}))
        if code in _LENGTH_CODES or status == 413:
            return TextTooLong()
        if 200 <= status < 300:
            return NotNow("its answer makes no sense")
        return SynthesisFailed(f"ElevenLabs refused a text ({status} {code or 'for no reason'}).")

    def _later(self, status: int, after_s: float | None) -> Exception:
        reason = "its rate limit is reached" if status == 429 else f"it failed with status {status}"
        if after_s is not None and after_s > self._patience.longest_wait_s:
            return ServiceBusy(
                f"{self._name} asks to wait {after_s:.0f} s: {reason}.",
                hint="Retry the job then, or look at the limits of the account.",
            )
        return NotNow(reason, after_s)

    def _no_model(self, there_are: str) -> ModelMissing:
        return ModelMissing(
            f"ElevenLabs has no model {self._model_id} that speaks.",
            hint=f"Set ELEVENLABS_MODEL to one that it has. {there_are}".strip(),
        )


def _code(language: str) -> str:
    """Return the service's code of a language, by any of its names; empty when unknown."""
    try:
        code = parse_language(language).code
    except UnknownLanguage:
        return ""
    return _ITS_CODES.get(code, code)


def _only(answer: object, kind: type[T]) -> list[T]:
    """Return a list of the client's, which checks nothing that it is sent."""
    if not isinstance(answer, list):
        raise NotNow("its answer makes no sense")
    return [one for one in answer if isinstance(one, kind)]


def _code_of(body: object) -> str:
    """Return the word for what went wrong: `detail.status`, in newer answers `detail.code`."""
    detail = body.get("detail") if isinstance(body, Mapping) else None
    if not isinstance(detail, Mapping):
        return ""
    return str(detail.get("code") or detail.get("status") or detail.get("type") or "")
