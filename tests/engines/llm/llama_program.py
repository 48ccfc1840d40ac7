"""Stands in for the llama-server program: takes its options, serves the chat service of the tests.

Started as `llama-server` by a script that the tests write. Files beside that script say how it is
to misbehave: `crash` (ends while loading), `memory` (does not fit with more than one slot).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.services.openai_server import Asked, OpenAIServer

ROOT = Path(__file__).parents[3]


def write_program(folder: Path) -> Path:
    """Write an executable `llama-server` and return its path."""
    program = folder / "llama-server"
    program.write_text(
        f"#!{sys.executable}\n"
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        f"from tests.engines.llm.llama_program import main; main()\n"
    )
    program.chmod(0o755)
    return program


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("model", "host"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("port", "ctx-size", "parallel", "n-gpu-layers", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    folder = Path(sys.argv[0]).parent
    with (folder / "started").open("a") as log:
        known = {k: v for k, v in os.environ.items() if k.startswith(("LLAMA_", "CUDA"))}
        log.write(json.dumps({"pid": os.getpid(), "options": vars(options), "env": known}) + "\n")
    if (folder / "crash").exists():
        sys.exit("error: unable to load the model")
    if (folder / "memory").exists() and options.parallel > 1:
        sys.exit("ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory")
    service = OpenAIServer(key=os.environ["LLAMA_API_KEY"], model=Path(options.model).stem)
    props = {
        "total_slots": options.parallel,
        "default_generation_settings": {"n_ctx": options.ctx_size // options.parallel},
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers.get("Authorization") == f"Bearer {os.environ['LLAMA_API_KEY']}"
            self.answer(200 if allowed else 401, json.dumps(props if allowed else {}))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if (folder / "die").exists():
                (folder / "die").unlink()
                os._exit(3)
            key = self.headers["Authorization"].removeprefix("Bearer ")
            reply, text = service.reply(Asked(key, body))
            self.answer(reply.status, text)

        def answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: object) -> None:
            pass

    ThreadingHTTPServer((options.host, options.port), Handler).serve_forever()
