"""The HTTP side: paths, JSON shapes, the token, and one synthesis at a time."""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from tts_sidecar import __version__
from tts_sidecar.audio import to_wav
from tts_sidecar.engines.base import Engine, Speech, Voice
from tts_sidecar.errors import BadRequest, SidecarError, UnknownLanguage, UnknownVoice
from tts_sidecar.languages import UNSPOKEN, base_language, nearest
from tts_sidecar.text import MAX_TEXT_CHARACTERS, clean_text

MIN_SPEED = 0.5
MAX_SPEED = 2.0

# 1000 characters are at most 12,000 bytes as JSON escapes.
_MAX_BODY_BYTES = 65536
# What nginx logs for a caller that went away before its answer.
_CLIENT_CLOSED_REQUEST = 499


class SynthesisRequest(BaseModel):
    """Body of POST /synthesize; without a voice, the language's best one speaks."""

    model_config = ConfigDict(extra="forbid")

    text: str
    language: str
    voice: str | None = None
    speed: float = 1.0


def create_app(engine: Engine, token: str) -> ASGIApp:
    """Return the whole application, the token check around everything.

    Args:
        engine: Speaks; used by one request at a time.
        token: What every request must carry as its bearer token.
    """
    # No generated documentation pages: they load scripts from elsewhere.
    app = FastAPI(title="tts_sidecar", docs_url=None, redoc_url=None, openapi_url=None)
    _add_queries(app, engine)
    _add_commands(app, engine)
    _add_error_handlers(app)
    return _Guard(app, token)


def _add_queries(app: FastAPI, engine: Engine) -> None:
    # Both run on the event loop, not in a worker thread, and take no lock: they answer while a
    # synthesis is going on.
    @app.get("/health")
    async def health() -> dict[str, Any]:
        languages = dict(sorted(engine.languages.items()))
        return {
            "engine": engine.name,
            "device": engine.device,
            "loaded": engine.loaded,
            "problem": engine.problem,
            "busy": bool(getattr(app.state, "busy", False)),
            "languages": languages,
            "unspoken": {code: why for code, why in UNSPOKEN.items() if code not in languages},
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
        return [asdict(voice) for code in wanted for voice in engine.voices(code)]


def _add_commands(app: FastAPI, engine: Engine) -> None:
    lock = asyncio.Lock()

    async def run(work: Any, *arguments: Any) -> Any:
        app.state.busy = True
        try:
            return await run_in_threadpool(work, *arguments)
        finally:
            app.state.busy = False

    @app.post("/synthesize")
    async def synthesize(body: SynthesisRequest, request: Request) -> Response:
        text = clean_text(body.text)
        if not MIN_SPEED <= body.speed <= MAX_SPEED:
            raise BadRequest(
                f"The speed {body.speed} is out of range.",
                hint=f"Send a speed from {MIN_SPEED} to {MAX_SPEED}; 1.0 is the voice's own rate.",
            )
        voice = _find_voice(engine, _find_language(engine, body.language), body.voice)
        async with lock:
            if await request.is_disconnected():
                return Response(status_code=_CLIENT_CLOSED_REQUEST)
            speech: Speech = await run(engine.synthesize, text, voice, body.speed)
        return Response(
            to_wav(speech.samples, speech.sample_rate),
            media_type="audio/wav",
            headers={
                "X-Sample-Rate": str(speech.sample_rate),
                "X-Duration-Seconds": f"{speech.duration_s:.6f}",
                "X-Engine": voice.engine,
                "X-Voice": voice.id,
            },
        )

    @app.post("/load")
    async def load() -> dict[str, bool]:
        async with lock:
            await run(engine.load)
        return {"loaded": engine.loaded}

    @app.post("/unload")
    async def unload() -> dict[str, bool]:
        async with lock:
            await run(engine.unload)
        return {"loaded": engine.loaded}


def _find_language(engine: Engine, asked: str) -> str:
    code = base_language(asked)
    if code in engine.languages:
        return code
    # The languages that the engine itself speaks come first: they sound best.
    known = sorted(engine.languages, key=lambda one: (engine.languages[one] != engine.name, one))
    why = f": {UNSPOKEN[code]}" if code in UNSPOKEN else ""
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
