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
GET /health               engine, device, loaded, problem, busy, slots, languages, unspoken,
                          version, max_text_characters, min_speed, max_speed
GET /voices?language=es   a list of id, language, gender, engine, quality, native, cloned; the best
                          of each gender first, the one to be cloned last; without `language` the
                          voices of all languages
POST /synthesize          {"text", "language", "voice": null, "speed": 1.0, "references": []} ->
                          audio/wav, 16-bit PCM mono, with X-Sample-Rate, X-Duration-Seconds,
                          X-Engine, X-Voice, X-Attempts (takes made of it) and, where something
                          still looks wrong with it, X-Suspect: words such as runaway or short
POST /load, POST /unload  brings the model into memory or frees it -> {"loaded": true or false}
========================  =========================================================================

Errors: 403 licence not agreed to, 404 unknown language or voice, 409 another GPU than was given or
none, 413 text too long, 422 empty text, speed out of range or no usable reference, 429 too many
requests, 503 model missing, 507 out of memory.

`slots` takes are made together; further requests wait. Health answers meanwhile. A take has at
most 20 ms of silence at either end. The model is loaded by the first take that needs it, or by
/load.

Engines (`--engine`): `kokoro` speaks en, es, fr, hi, it and pt with Kokoro-82M and every other
language with espeak-ng, which sounds robotic; `fake` makes tones of the right length instantly;
`xtts` speaks 17 languages with XTTS v2, with the voices it was published with or with that of
`references`: recordings of 3 to 30 s, best first, in a folder named by `--references-dir`. It
needs the extra `xtts`, and COQUI_TOS_AGREED=true set by a user who has agreed to the model's
licence, which forbids commercial use. `--device`, `--uuid` and `--mib` say where it runs.
A new engine is one file in `engines/` that fits `engines.base.Engine`.
"""

from __future__ import annotations

__version__ = "0.1.0"
