"""An HTDemucs without training, in the file format of its author's pretrained models."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from demucs.htdemucs import HTDemucs
from safetensors.torch import save_file

SOURCES = ("drums", "bass", "other", "vocals")


@dataclass(frozen=True, slots=True)
class Shape:
    """Dimensions of an HTDemucs; the segment is in seconds."""

    channels: int = 8
    transformer_layers: int = 1
    transformer_heads: int = 2
    bottom_channels: int = 0
    segment: Fraction = Fraction(3, 2)


TINIEST = Shape()
HTDEMUCS = Shape(48, 5, 8, 512, Fraction(39, 5))
"""The pretrained htdemucs (demucs/grids of its repository, and its published arguments)."""


def build(folder: Path, shape: Shape = TINIEST, *, seed: int = 5) -> Path:
    """Write htdemucs.yaml and one checkpoint.

    Args:
        folder: Made when it is not there.
        shape: How large.
        seed: Of the weights.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arguments: dict[str, Any] = {
        "sources": list(SOURCES),
        "channels": shape.channels,
        "t_layers": shape.transformer_layers,
        "t_heads": shape.transformer_heads,
        "bottom_channels": shape.bottom_channels,
    }
    torch.manual_seed(seed)
    model = HTDemucs(**arguments, segment=shape.segment)
    segment = {
        "_type": "fraction",
        "numerator": shape.segment.numerator,
        "denominator": shape.segment.denominator,
    }
    save_file(
        {name: value.contiguous() for name, value in model.state_dict().items()},
        folder / "0123abcd.safetensors",
        metadata={
            "klass": "demucs.htdemucs.HTDemucs",
            "args": "[]",
            "kwargs": json.dumps(arguments | {"segment": segment}),
        },
    )
    (folder / "htdemucs.yaml").write_text("models: ['0123abcd']\n", encoding="utf-8")
    return folder
