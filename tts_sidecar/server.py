"""The HTTP side: paths, JSON shapes and the token."""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from tts_sidecar import __version__
from tts_sidecar.audio import to_wav
from tts_sidecar.desk import Desk, Ticket
from tts_sidecar.engines.base import BatchEngine, Engine, Order, Speech, Voice
from tts_sidecar.errors import BadRequest, SidecarError, UnknownLanguage, UnknownVoice
from tts_sidecar.languages import UNSPOKEN, base_language, nearest
from tts_sidecar.text import MAX_TEXT_CHARACTERS, clean_text

MIN_SPEED = 0.5
MAX_SPEED = 2.0
MAX_REFERENCES = 8

# 1000 characters are at most 12,000 bytes as JSON escapes.
_MAX_BODY_BYTES = 65536
# What nginx logs for a caller that went away before its answer.
_CLIENT_CLOSED_REQUEST = 499
# How often a take is asked whether its caller is still there.
_LOOK_S = 0.25


class SynthesisRequest(BaseModel):
    """Body of POST /synthesize; without a voice, the language's best one speaks.

    References are paths of recordings on this machine, for a cloned voice.
    """

    model_config = ConfigDict(extra="forbid")

    text: str
    language: str
    voice: str | None = None
    speed: float = 1.0
    references: list[str] = Field(default_factory=list, max_length=MAX_REFERENCES)


def create_app(engine: Engine, token: str) -> ASGIApp:
    """Return the whole application, the token check around everything.

    Args:
        engine: Speaks; worked with in one thread.
        token: What every request must carry as its bearer token.
    """
    # No generated documentation pages: they load scripts from elsewhere.
    app = FastAPI(title="tts_sidecar", docs_url=None, redoc_url=None, openapi_url=None)
    desk = Desk(engine)
    _add_queries(app, engine, desk)
    _add_commands(app, engine, desk)
    _add_error_handlers(app)
    return _Guard(app, token)


def _add_queries(app: FastAPI, engine: Engine, desk: Desk) -> None:
    # Both run on the event loop, not in a worker thread, and wait for nothing: they answer while
    # a synthesis is going on.
    @app.get("/health")
    async def health() -> dict[str, Any]:
        languages = dict(sorted(engine.languages.items()))
        return {
            "engine": engine.name,
            "device": engine.device,
            "loaded": engine.loaded,
            "problem": engine.problem,
            "busy": desk.busy,
            "slots": desk.slots,
            "languages": languages,
            "unspoken": {k: why for k, why in _unspoken(engine).items() if k not in languages},
            "version": __version__,
            "max_text_characters": MAX_TEXT_CHARACTERS,
            "min_speed": MIN_SPEED,
            "max_speed": MAX_SPEED,
        }

    @app.get("/voices")
    async def voices(language: str | None = None) -> list[dict[str, Any]]:
        wanted = (
            sorted(engine.languages) if language is None else [_find_language(engine, language)]
        )
        await _know_voices(engine, desk)
        return [asdict(voice) for code in wanted for voice in engine.voices(code)]


def _add_commands(app: FastAPI, engine: Engine, desk: Desk) -> None:
    @app.post("/synthesize")
    async def synthesize(body: SynthesisRequest, request: Request) -> Response:
        text = clean_text(body.text)
        if not MIN_SPEED <= body.speed <= MAX_SPEED:
            raise BadRequest(
                f"The speed {body.speed} is out of range.",
                hint=f"Send a speed from {MIN_SPEED} to {MAX_SPEED}; 1.0 is the voice's own rate.",
            )
        language = _find_language(engine, body.language)
        await _know_voices(engine, desk)
        voice = _find_voice(engine, language, body.voice)
        ticket = desk.order(Order(text, voice, body.speed, tuple(map(Path, body.references))))
        speech = await _await_take(ticket, request)
        if speech is None:
            return Response(status_code=_CLIENT_CLOSED_REQUEST)
        return _wav(speech, voice)

    @app.post("/load")
    async def load() -> dict[str, bool]:
        await asyncio.wrap_future(desk.call(engine.load))
        return {"loaded": engine.loaded}

    @app.post("/unload")
    async def unload() -> dict[str, bool]:
        await asyncio.wrap_future(desk.call(engine.unload))
        return {"loaded": engine.loaded}


def _unspoken(engine: Engine) -> dict[str, str]:
    return dict(engine.unspoken) if isinstance(engine, BatchEngine) else UNSPOKEN


async def _know_voices(engine: Engine, desk: Desk) -> None:
    if isinstance(engine, BatchEngine) and not engine.loaded:
        await asyncio.wrap_future(desk.call(engine.load))


async def _await_take(ticket: Ticket, request: Request) -> Speech | None:
    """Return the take, or None when its caller went away."""
    take = asyncio.wrap_future(ticket.take)
    while True:
        done, _ = await asyncio.wait([take], timeout=_LOOK_S)
        if done:
            return take.result()
        if await request.is_disconnected():
            ticket.abandoned = True
            return None


def _wav(speech: Speech, voice: Voice) -> Response:
    headers = {
        "X-Sample-Rate": str(speech.sample_rate),
        "X-Duration-Seconds": f"{speech.duration_s:.6f}",
        "X-Engine": voice.engine,
        "X-Voice": voice.id.encode("ascii", "backslashreplace").decode(),
        "X-Attempts": str(speech.attempts),
    }
    if speech.doubts:
        headers["X-Suspect"] = ",".join(speech.doubts)
    wav = to_wav(speech.samples, speech.sample_rate)
    return Response(wav, media_type="audio/wav", headers=headers)


def _find_language(engine: Engine, asked: str) -> str:
    code = base_language(asked)
    if code in engine.languages:
        return code
    # The languages that the engine itself speaks come first: they sound best.
    known = sorted(engine.languages, key=lambda one: (engine.languages[one] != engine.name, one))
    unspoken = _unspoken(engine)
    why = f": {unspoken[code]}" if code in unspoken else ""
    raise UnknownLanguage(
        f"The language '{asked[:40]}' is not spoken here{why}.",
        hint=f"Known are, among others: {nearest(code, known)}. GET /health lists all.",
    )


def _find_voice(engine: Engine, language: str, asked: str | None) -> Voice:
    voices = engine.voices(language)
    if asked is None and voices:
        return voices[0]
    for voice in voices:
        if voice.id == asked:
            return voice
    if not voices:
        raise UnknownVoice(
            f"No voice for '{language}' is installed.",
            hint=engine.problem or "Pull the models again: dubarr-watch models pull.",
        )
    known = nearest(asked or "", [voice.id for voice in voices])
    raise UnknownVoice(
        f"The language '{language}' has no voice '{(asked or '')[:40]}'.",
        hint=f"Its voices are, among others: {known}. GET /voices?language={language} lists all.",
    )


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(SidecarError)
    async def sidecar_error(_request: Request, error: SidecarError) -> Response:
        return _problem(error.status, error.message, error.hint)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return _problem(
            422,
            f"The request is not valid: {where}: {first['msg']}.",
            'Send JSON such as {"text": "Hola.", "language": "es", "voice": null, "speed": 1.0}.',
        )

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        return _problem(
            error.status_code,
            f"{request.method} {request.url.path[:80]}: {error.detail}.",
            "There are GET /health, GET /voices, POST /synthesize, POST /load and POST /unload.",
        )

    @app.exception_handler(Exception)
    async def unexpected(_request: Request, error: Exception) -> Response:
        return _problem(500, f"The engine failed: {error!r}.", "The process's log has the details.")


def _problem(status: int, error: str, hint: str) -> Response:
    return JSONResponse({"error": error, "hint": hint}, status_code=status)


class _Guard:
    """Lets a request through only with the token, and only with a body of bounded length."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        refusal = self._refuse(dict(scope["headers"]))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _refuse(self, headers: dict[bytes, bytes]) -> Response | None:
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
            response = _problem(
                401,
                "The token is missing or wrong.",
                "Send Authorization: Bearer with the value of TTS_SIDECAR_TOKEN.",
            )
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        if b"transfer-encoding" in headers:
            return _problem(411, "The length of the body is unknown.", "Send Content-Length.")
        if int(headers.get(b"content-length", b"0")) > _MAX_BODY_BYTES:
            return _problem(
                413,
                f"The body is longer than {_MAX_BODY_BYTES} bytes.",
                f"Send at most {MAX_TEXT_CHARACTERS} characters of text at once.",
            )
        return None
