"""A service with the OpenAI chat API on 127.0.0.1 that misbehaves as it is told.

Real sockets, so that the real client meets what it would meet outside. Each request takes the next
behaviour of the script; when that is used up, every answer is a good one.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-test-openai"
MODEL = "test-model"

Answer = Callable[[Mapping[str, Any]], object]
"""From the data of a question to what the model says: an object, or the text itself."""


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    key: str
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        """Name of the answer's schema; empty when none was sent."""
        shape = self.body.get("response_format", {})
        return str(shape.get("json_schema", {}).get("name", ""))

    @property
    def rules(self) -> str:
        """The system message."""
        return str(self.body["messages"][0]["content"])

    @property
    def data(self) -> dict[str, Any]:
        """The user message, which must be JSON and nothing else."""
        found: dict[str, Any] = json.loads(self.body["messages"][-1]["content"])
        return found

    @property
    def texts(self) -> list[str]:
        """The lines that it asks about."""
        return [line.get("text") or line["heard"] for line in self.data["lines"].values()]


@dataclass(frozen=True)
class Reply:
    """What the service sends instead of a good answer.

    Attributes:
        status: HTTP status.
        error: Fields of the error object.
        headers: Beside the usual ones.
        answer: Makes the content from the question's data.
        wrap: Changes the content's text.
        finish: Finish reason.
        refusal: The message's refusal.
        cut_body: Bytes of the body that are sent before the connection closes; None: all.
        after: Waited for before anything is sent.
        delay_s: How long the answer takes at least.
        body: Sent as it is.
    """

    status: int = 200
    error: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    answer: Answer | None = None
    wrap: Callable[[str], str] = str
    finish: str = "stop"
    refusal: str | None = None
    cut_body: int | None = None
    after: threading.Event | None = None
    delay_s: float = 0.0
    body: str | None = None


def rate_limited(**headers: str) -> Reply:
    """Refuse for now; `retry_after="1"` says when to come back."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    error = {"code": "rate_limit_exceeded", "type": "requests", "message": "Rate limit reached."}
    return Reply(429, error, named)


def broken(status: int = 500) -> Reply:
    """Fail as a service does."""
    return Reply(status, {"type": "server_error", "message": "The server had an error."})


def no_credit() -> Reply:
    """Refuse because nothing is left to pay with."""
    words = "You exceeded your current quota, please check your plan and billing details."
    return Reply(
        429, {"code": "insufficient_quota", "type": "insufficient_quota", "message": words}
    )


def too_long() -> Reply:
    """Refuse because the question is longer than the model's context."""
    words = "This model's maximum context length is 512 tokens."
    return Reply(400, {"code": "context_length_exceeded", "param": "messages", "message": words})


def unsupported(option: str, words: str = "") -> Reply:
    """Refuse an option that the service does not know."""
    message = words or f"Unsupported parameter: '{option}' is not supported with this model."
    return Reply(400, {"param": option, "code": "unsupported_parameter", "message": message})


def half(share: float = 0.5) -> Reply:
    """Stop in the middle of the answer, as at the limit of tokens."""
    return Reply(wrap=lambda text: text[: int(len(text) * share)], finish="length")


def markdown() -> Reply:
    """Put the answer into a fence, with words around it."""
    return Reply(wrap=lambda text: f"Sure! Here {{it}} is:\n```json\n{text}\n```\nAnything else?")


def wrong_ids() -> Reply:
    """Count from another number than asked."""
    return Reply(answer=lambda data: {f"{int(k) + 1}": v for k, v in translations(data).items()})


def extra_keys() -> Reply:
    """Add a key that nobody asked for."""
    return Reply(answer=lambda data: {**translations(data), "note": "I translated all lines."})


def answers(answer: Answer) -> Reply:
    """Say what a function makes of the question's data."""
    return Reply(answer=answer)


class OpenAIServer:
    """The service, once `running` has started it.

    Attributes:
        asked: Every request, in order.
        usage: Tokens (in, out) that it says each answer took; None: it says nothing.
    """

    def __init__(
        self,
        *script: Reply,
        answer: Answer | None = None,
        key: str = KEY,
        model: str = MODEL,
        usage: tuple[int, int] | None = (100, 20),
    ) -> None:
        self.asked: list[Asked] = []
        self.usage = usage
        self._script = list(script)
        self._answer = answer
        self._key = key
        self._model = model
        self._lock = threading.Lock()
        self._http: ThreadingHTTPServer | None = None
        self._under_way = 0
        self.most_at_once = 0

    @property
    def base_url(self) -> str:
        """Where it listens."""
        assert self._http is not None
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @contextmanager
    def running(self) -> Iterator[OpenAIServer]:
        """Serve for the length of a `with` block."""
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            thread.join()
            self._http.server_close()

    def wait_for(self, count: int, deadline_s: float = 20.0) -> None:
        """Wait until so many requests have come in."""
        until = time.monotonic() + deadline_s
        while len(self.asked) < count:
            assert time.monotonic() < until, f"{len(self.asked)} of {count} requests came"
            time.sleep(0.01)

    def reply(self, asked: Asked) -> tuple[Reply, str]:
        """Return what to do about a request, and the body to send."""
        with self._lock:
            self.asked.append(asked)
            if asked.key != self._key:
                words = "Incorrect API key provided."
                return _error(Reply(401, {"code": "invalid_api_key", "message": words}))
            if asked.body.get("model") != self._model:
                words = f"The model `{asked.body.get('model')}` does not exist."
                return _error(Reply(404, {"code": "model_not_found", "message": words}))
            reply = self._script.pop(0) if self._script else Reply()
        if reply.status != 200:
            return _error(reply)
        if reply.body is not None:
            return reply, reply.body
        answer = reply.answer or self._answer or good
        said = answer(asked.data)
        content = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
        message = {"role": "assistant", "content": reply.wrap(content), "refusal": reply.refusal}
        choice = {"index": 0, "message": message, "finish_reason": reply.finish, "logprobs": None}
        completion: dict[str, Any] = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self._model,
            "choices": [choice],
        }
        if self.usage:
            sent, received = self.usage
            completion["usage"] = {
                "prompt_tokens": sent,
                "completion_tokens": received,
                "total_tokens": sent + received,
            }
        return reply, json.dumps(completion)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                with server._counted():
                    self._answer()

            def _answer(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                key = self.headers.get("Authorization", "").removeprefix("Bearer ")
                reply, text = server.reply(Asked(key, body))
                if reply.after is not None:
                    reply.after.wait(60)
                time.sleep(reply.delay_s)
                raw = text.encode()
                self.send_response(reply.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw if reply.cut_body is None else raw[: reply.cut_body])
                self.close_connection = reply.cut_body is not None

            def log_message(self, *args: object) -> None:
                pass

        return Handler

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1


def good(data: Mapping[str, Any]) -> object:
    """Answer any question well enough for every check."""
    if "parts" in data:
        return {"summary": "Several people talk about many things."}
    lines = data["lines"]
    if isinstance(lines, Sequence):
        return film(lines)
    if any("heard" in line for line in lines.values()):
        return {key: line["subtitle"] or line["heard"] for key, line in lines.items()}
    if any("original" in line for line in lines.values()):
        return {key: _shorter(line["text"], line["max_chars"]) for key, line in lines.items()}
    return translations(data)


def translations(data: Mapping[str, Any]) -> dict[str, str]:
    """Spell every word backwards, which is no language but looks like another one."""
    return {key: backwards(line["text"]) for key, line in data["lines"].items()}


def backwards(text: str) -> str:
    return re.sub(r"[^\W\d_]+", lambda word: word[0][::-1].lower(), text).capitalize()


def film(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Understand a film as one does who was not listening."""
    voices = sorted({int(line["s"]) for line in lines})
    names = re.findall(r"(?<=[a-z,] )[A-Z][a-z]{2,}", " ".join(line["text"] for line in lines))
    return {
        "summary": "Some people talk, and then they part.",
        "characters": [
            {
                "name": f"Person {voice}",
                "speaker": voice,
                "gender": "female" if voice % 2 else "male",
                "manner": "calm",
                "address": "formal" if voice % 2 else "informal",
                "except_to": [],
            }
            for voice in voices
        ],
        "glossary": [{"source": name, "target": name} for name in dict.fromkeys(names)],
    }


def _shorter(text: str, max_chars: int) -> str:
    words = text.split()
    while len(words) > 1 and len(" ".join(words)) > max_chars:
        words.pop()
    return " ".join(words)


def _error(reply: Reply) -> tuple[Reply, str]:
    return reply, json.dumps({"error": {"param": None, "type": None, "code": None, **reply.error}})
