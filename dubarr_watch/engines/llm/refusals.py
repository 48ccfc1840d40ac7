"""What a service's refusal means: wait, ask otherwise, or tell the user what only they can do."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from typing import Any

import openai

from dubarr_watch.errors import (
    DubarrError,
    EngineError,
    KeyMissing,
    ModelMissing,
    ServiceBusy,
    UserMustProvide,
)

_QUOTA_CODES = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_CONTEXT_WORDS = ("context_length", "context length", "context size", "context_size")
# llama.cpp's server, of an answer that ended at max_tokens and so is no JSON.
_CUT_OFF = "does not match the expected"
_OPTIONS = {
    "max_tokens": ("max_tokens",),
    "temperature": ("temperature",),
    "response_format": ("response_format", "json_schema", "grammar", "schema", "samplers"),
}


class ContextTooLong(EngineError):
    """Question and answer do not fit the model's context: ask about less at a time."""


class NotNow(Exception):
    """The service cannot answer now; the same question may be sent again.

    Args:
        reason: As the end of a sentence.
        after_s: When, as the service says.
    """

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after_s = after_s


class Unsupported(Exception):
    """The service does not know an option.

    Args:
        option: Which one.
        because: The error to raise where nothing else can be tried.
    """

    def __init__(self, option: str, because: DubarrError) -> None:
        super().__init__(option)
        self.option = option
        self.because = because


def told(error: Exception, *, model: str, longest_wait_s: float) -> Exception:
    """Return what a failed request means: an error of ours, NotNow or Unsupported.

    Args:
        error: What the client raised: an openai error, or ValueError for a body that is no JSON.
        model: The model's name, for the message.
        longest_wait_s: A service that wants more patience is busy.
    """
    match error:
        case openai.APITimeoutError():
            return NotNow("it took too long")
        case openai.APIConnectionError():
            return NotNow("it cannot be reached")
        case openai.APIStatusError():
            return _of_status(error, model, longest_wait_s)
        case openai.APIError() | ValueError():
            return NotNow("its answer was cut off or is no JSON")
    return EngineError(f"The translation service cannot be asked: {type(error).__name__}.")


def _of_status(error: openai.APIStatusError, model: str, longest_wait_s: float) -> Exception:
    status, words = error.status_code, _words(error)
    code = str(error.code or "")
    if status == 401:
        return KeyMissing(
            "The translation service refused the key.",
            hint="Check OPENAI_API_KEY, and OPENAI_BASE_URL where it is set.",
        )
    if status == 402 or code in _QUOTA_CODES or any(one in words for one in _QUOTA_CODES):
        return UserMustProvide(
            "The account of the translation service has no credit left.",
            hint="Add credit or raise its limit, then retry the job; LLM_BACKEND=local needs none.",
        )
    if status == 403:
        return UserMustProvide(
            f"The key may not use the model {model}.",
            hint="Allow it in the service's settings, or set LLM_MODEL to another one.",
        )
    if status == 404:
        return ModelMissing(
            f"The translation service has no model {model}.",
            hint="Set LLM_MODEL to one that it has; check OPENAI_BASE_URL where it is set.",
        )
    if status >= 500 and _CUT_OFF in words:
        return ContextTooLong("The model's answer was cut off before its end.")
    if status in {408, 409, 425, 429} or status >= 500:
        return _later(error, longest_wait_s)
    return _of_question(error, words)


def _later(error: openai.APIStatusError, longest_wait_s: float) -> Exception:
    reason = (
        "its rate limit is reached"
        if error.status_code == 429
        else f"it failed with status {error.status_code}"
    )
    after_s = retry_after_s(error.response.headers)
    if after_s is not None and after_s > longest_wait_s:
        return ServiceBusy(
            f"The translation service asks to wait {after_s:.0f} s: {reason}.",
            hint="Retry the job then, or raise the limits of the account.",
        )
    return NotNow(reason, after_s)


def _of_question(error: openai.APIStatusError, words: str) -> Exception:
    """Return what a refused question means; the service's own words may quote it, so are cut."""
    refused = EngineError(
        f"The translation service refused a request ({error.status_code}): {error.message[:200]}",
        hint="LOG_LEVEL=debug shows more.",
    )
    if any(one in words for one in _CONTEXT_WORDS):
        return ContextTooLong("A request is longer than the model's context.")
    parameter = str(error.param or "")
    for option, names in _OPTIONS.items():
        if parameter.startswith(names) or (not parameter and any(name in words for name in names)):
            return Unsupported(option, refused)
    return refused


def retry_after_s(headers: Mapping[str, Any]) -> float | None:
    """Return how long a service asks to wait, in seconds; None when it does not say."""
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = str(headers.get(name, "")).strip()
        if not value:
            continue
        try:
            seconds = float(value) * factor
        except ValueError:
            date = email.utils.parsedate_tz(value)
            seconds = email.utils.mktime_tz(date) - time.time() if date else -1.0
        if 0 <= seconds < float("inf"):
            return seconds
    return None


def _words(error: openai.APIStatusError) -> str:
    return f"{error.code} {error.type} {error.message} {error.body}".casefold()
