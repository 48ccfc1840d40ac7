"""Speaks the same rows alone, together and through the library; run by the sidecar's Python.

Arguments: the model's folder. Prints what came out as one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import numpy as np
import torch

from tts_sidecar.engines.xtts_batch import Row, Sampling, choose_codes, latents_of
from tts_sidecar.engines.xtts_model import XttsModel

TEXTS = (
    "Hola.",
    "Esta es una frase bastante más larga que las demás, para que haya que rellenar.",
    "¿Qué tal, amigo mío?",
    "Nadie lo ha visto desde entonces.",
)
GREEDY = Sampling(temperature=0.0)


def main() -> None:
    model = XttsModel(Path(sys.argv[1]), device="cpu", uuid="", threads=1)
    gpt = model._model.gpt
    voices = list(model.speakers.values())
    rows = [
        Row(model.encode(text, "es"), voice.latent, voice.embedding, 60 + 5 * n, seed=n)
        for n, (text, voice) in enumerate(zip(TEXTS, voices * 2, strict=False))
    ]
    with torch.inference_mode():
        found = {
            "library": _from_library(model._model, rows),
            "greedy": _both_ways(model, rows, GREEDY),
            "drawn": _both_ways(model, rows, Sampling()),
            "other seeds": choose_codes(gpt, _changed(rows, 9, 0), Sampling()),
            "capped": choose_codes(gpt, _changed(rows, 0, 3), GREEDY),
            "limits": model._model.tokenizer.char_limits,
            "stop": gpt.stop_audio_token,
        }
    print(json.dumps(found))  # noqa: T201


def _changed(rows: list[Row], seed: int, most: int) -> list[Row]:
    return [
        replace(row, seed=row.seed + seed, most_codes=most + n if most else row.most_codes)
        for n, row in enumerate(rows)
    ]


def _both_ways(model: XttsModel, rows: list[Row], sampling: Sampling) -> dict[str, Any]:
    gpt = model._model.gpt
    together = choose_codes(gpt, rows, sampling)
    alone = [choose_codes(gpt, [row], sampling)[0] for row in rows]
    in_batch = latents_of(gpt, rows, together)
    single = [latents_of(gpt, [row], [codes])[0] for row, codes in zip(rows, together, strict=True)]
    waves = [
        (model._vocode(a, row), model._vocode(b, row))
        for a, b, row in zip(in_batch, single, rows, strict=True)
    ]
    return {
        "alone": alone,
        "together": together,
        "apart": [float(np.abs(a - b).max()) for a, b in waves],
        "loud": [float(np.abs(a).max()) for a, _ in waves],
        "samples": [len(a) for a, _ in waves],
    }


def _from_library(model: Any, rows: list[Row]) -> list[dict[str, Any]]:
    found = []
    for text, row in zip(TEXTS, rows, strict=True):
        said = model.inference(
            text, "es", row.latent, row.embedding, do_sample=False, repetition_penalty=5.0
        )
        ours = latents_of(model.gpt, [row], choose_codes(model.gpt, [row], GREEDY))[0]
        theirs = torch.from_numpy(said["gpt_latents"])
        same = ours.shape == theirs.shape
        found.append(
            {
                "codes": theirs.shape[1],
                "ours": ours.shape[1],
                "apart": float((ours - theirs).abs().max()) if same else None,
            }
        )
    return found


if __name__ == "__main__":
    main()
