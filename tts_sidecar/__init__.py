"""The speech process of dubarr-watch: text in, WAV out.

It is a project of its own, with its own virtual environment, because speech models and the rest of
a dub want different versions of the same libraries. It imports nothing of dubarr_watch.

Start::

    TTS_SIDECAR_TOKEN=secret python -m tts_sidecar --engine kokoro --port 5050

It listens on 127.0.0.1 only and prints one line, `tts_sidecar listening on 127.0.0.1:5050`, once
it accepts connections. `--port 0` takes a free port. `--exit-with-stdin` ends it when its standard
input ends, so that it never outlives the daemon that started it. SIGTERM ends it at once.
Exit codes: 0 ended as asked, 1 the port is taken, 2 wrong usage or no TTS_SIDECAR_TOKEN.

Every request carries `Authorization: Bearer <TTS_SIDECAR_TOKEN>`; without it the answer is 401.
Every error is JSON: `{"error": "what failed", "hint": "what you can do"}`.

========================  =========================================================================
GET /health               engine, device, loaded, problem, busy, languages, unspoken, version,
                          max_text_characters, min_speed, max_speed
GET /voices?language=es   a list of id, language, gender, engine, quality, native; the best of each
                          gender first; without `language` the voices of all languages
POST /synthesize          {"text", "language", "voice": null, "speed": 1.0} -> audio/wav, 16-bit
                          PCM mono, with X-Sample-Rate, X-Duration-Seconds, X-Engine and X-Voice;
                          404 unknown language or voice, 413 text too long, 422 empty text or
                          speed out of range, 503 model missing
POST /load, POST /unload  brings the model into memory or frees it -> {"loaded": true or false}
========================  =========================================================================

One take is made at a time; further requests wait. Health answers meanwhile. A take has at most
20 ms of silence at either end. The model is loaded by the first take that needs it, or by /load.

Engines (`--engine`): `kokoro` speaks en, es, fr, hi, it and pt with Kokoro-82M and every other
language with espeak-ng, which sounds robotic; `fake` makes tones of the right length instantly.
A new engine is one file in `engines/` that fits `engines.base.Engine`.
"""

from __future__ import annotations

__version__ = "0.1.0"
