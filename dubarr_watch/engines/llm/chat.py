"""One question to a chat model and its answer: with patience, within bounds, and counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import openai
import structlog
import tenacity
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from dubarr_watch.engines.context import POLL_S, never
from dubarr_watch.engines.llm.refusals import NotNow, Unsupported, told
from dubarr_watch.engines.texts import ACCOUNT, Usage
from dubarr_watch.errors import JobCancelled, ServiceBusy

log = structlog.get_logger(__name__)

_THINKING_TOKENS = 4000


@dataclass(frozen=True, slots=True)
class Patience:
    """How a service's refusals are met.

    Attributes:
        attempts: Times that one question is sent at most.
        first_wait_s: Before the second time, when the service names no time; doubled after that.
        longest_wait_s: A service that asks for more is given up.
    """

    attempts: int = 7
    first_wait_s: float = 1.0
    longest_wait_s: float = 120.0


USUAL_PATIENCE = Patience()
"""About a minute without an answer, or as long as the service asks for each time."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What a service charges, in US dollars for a million tokens."""

    usd_in: float = 0.0
    usd_out: float = 0.0


FREE = Prices()
"""What a model of one's own charges, and one whose prices nobody told."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked.

    Attributes:
        name: Of the answer's schema.
        rules: The system message.
        data: The user message.
        schema: JSON schema of the answer.
        max_tokens: The answer's length.
        temperature: 0 for the likeliest answer.
    """

    name: str
    rules: str
    data: str
    schema: Mapping[str, Any]
    max_tokens: int
    temperature: float = 0.0

    @property
    def messages(self) -> Sequence[ChatCompletionMessageParam]:
        """The rules, then the data."""
        return [
            {"role": "system", "content": self.rules},
            {"role": "user", "content": self.data},
        ]


class ChatService:
    """Asks one model, any number of threads at a time.

    Args:
        connect: Returns the client to ask, started where it has to be; called for each attempt.
        model: The model's name.
        prices: For the report.
        patience: With refusals and faults.
        cancelled: Asked several times a second while waiting between two attempts.
        failed: Told of every request that got no good answer, before it is sent again.
    """

    def __init__(
        self,
        *,
        connect: Callable[[], openai.OpenAI],
        model: str,
        prices: Prices = FREE,
        patience: Patience = USUAL_PATIENCE,
        cancelled: Callable[[], bool] = never,
        failed: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._failed = failed
        self._connect = connect
        self._model = model
        self._patience = patience
        self._cancelled = cancelled
        self._dialect = _Dialect()
        self._prices = prices
        self._meters: dict[str, _Meter] = {}
        self._not_before = 0.0

    def usage(self) -> Usage:
        """Return what all questions of the present account have cost so far."""
        return self._meter.usage()

    @property
    def _meter(self) -> _Meter:
        return self._meters.setdefault(ACCOUNT.get(), _Meter(self._prices))

    def ask(self, question: Question) -> str:
        """Return the model's answer; empty when it refused, and cut off where it was too long.

        Raises:
            ContextTooLong: Question and answer are longer than the model's context.
            ServiceBusy: The service refused or failed every time.
            UserMustProvide: The key, the quota or the model's name is not right.
            EngineError: The service refused the question for another reason.
            JobCancelled: As `cancelled` says.
        """
        patience = self._patience
        first_s, most_s = patience.first_wait_s, patience.longest_wait_s
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(NotNow),
            stop=tenacity.stop_after_attempt(patience.attempts),
            wait=tenacity.wait_exponential(first_s, most_s) + tenacity.wait_random(0, first_s),
            before_sleep=self._note_wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._ask_once, question)
        except NotNow as error:
            raise ServiceBusy(
                f"The translation service did not answer after {patience.attempts} attempts: "
                f"{error.reason}",
                hint="Look at the service's status and the limits of its account; the job is "
                "tried again.",
            ) from error

    def _ask_once(self, question: Question) -> str:
        self._sleep(self._not_before - time.monotonic())
        while True:
            try:
                return self._send(question)
            except Unsupported as error:
                log.info("service knows no such option", option=error.option, model=self._model)
                if not self._dialect.do_without(error.option):
                    raise error.because from error

    def _send(self, question: Question) -> str:
        client = self._connect()
        with self._meter.busy():
            try:
                reply = client.chat.completions.create(
                    model=self._model,
                    messages=list(question.messages),
                    **self._dialect.options(question),
                )
            except (openai.OpenAIError, ValueError) as error:
                self._failed(error)
                raise told(
                    error, model=self._model, longest_wait_s=self._patience.longest_wait_s
                ) from error
        if not isinstance(reply, ChatCompletion) or not reply.choices:
            raise NotNow("it answered with something that is no chat completion")
        self._meter.count(reply)
        choice = reply.choices[0]
        if choice.message.refusal or choice.finish_reason == "content_filter":
            log.debug("model refused", reason=choice.finish_reason)
            return ""
        return choice.message.content or ""

    def _note_wait(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, NotNow):
            if error.after_s is not None:
                # Whoever asks meanwhile would only be refused as well.
                self._not_before = max(self._not_before, time.monotonic() + error.after_s)
            log.info("translation service waits", reason=error.reason, after_s=error.after_s)
        self._meter.count_retry()

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            if self._cancelled():
                raise JobCancelled("The job was cancelled.")
            left_s = until - time.monotonic()
            if left_s <= 0:
                return
            time.sleep(min(left_s, POLL_S))


class _Dialect:
    """Which options a service takes: not all that speak this protocol know all of it."""

    def __init__(self) -> None:
        self._tokens = "max_tokens"
        self._temperature = True
        self._format = "json_schema"

    def options(self, question: Question) -> dict[str, Any]:
        options: dict[str, Any] = {self._tokens: question.max_tokens}
        if self._tokens == "max_completion_tokens":  # models that think count that, too
            options[self._tokens] += _THINKING_TOKENS
        if self._temperature:
            options["temperature"] = question.temperature
        if self._format == "json_schema":
            shape = {"name": question.name, "strict": True, "schema": dict(question.schema)}
            options["response_format"] = {"type": "json_schema", "json_schema": shape}
        elif self._format == "json_object":
            options["response_format"] = {"type": "json_object"}
        return options

    def do_without(self, option: str) -> bool:
        """Choose another way; tell whether there was one."""
        before = (self._tokens, self._temperature, self._format)
        if option == "max_tokens":
            self._tokens = "max_completion_tokens"
        elif option == "temperature":
            self._temperature = False
        elif option == "response_format":
            self._format = "json_object" if self._format == "json_schema" else ""
        return before != (self._tokens, self._temperature, self._format)


class _Meter:
    """Counts requests, tokens and the time in which any request was under way."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._lock = threading.Lock()
        self._requests = self._retries = self._tokens_in = self._tokens_out = 0
        self._under_way = 0
        self._since = self._busy_s = 0.0

    def busy(self) -> _Busy:
        return _Busy(self._enter, self._leave)

    def count(self, reply: ChatCompletion) -> None:
        with self._lock:
            self._requests += 1
            if reply.usage is not None:
                self._tokens_in += reply.usage.prompt_tokens or 0
                self._tokens_out += reply.usage.completion_tokens or 0

    def count_retry(self) -> None:
        with self._lock:
            self._retries += 1

    def usage(self) -> Usage:
        with self._lock:
            usd = (
                self._tokens_in * self._prices.usd_in + self._tokens_out * self._prices.usd_out
            ) / 1e6
            now_s = time.monotonic() - self._since if self._under_way else 0.0
            return Usage(
                self._requests,
                self._retries,
                self._tokens_in,
                self._tokens_out,
                self._busy_s + now_s,
                usd,
            )

    def _enter(self) -> None:
        with self._lock:
            if not self._under_way:
                self._since = time.monotonic()
            self._under_way += 1

    def _leave(self) -> None:
        with self._lock:
            self._under_way -= 1
            if not self._under_way:
                self._busy_s += time.monotonic() - self._since


@dataclass(frozen=True, slots=True)
class _Busy:
    enter: Callable[[], None]
    leave: Callable[[], None]

    def __enter__(self) -> None:
        self.enter()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.leave()
