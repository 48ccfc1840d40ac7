"""What a GGUF file says of its model, and the memory that a server of it takes.

The header is read here, value by value as the format's specification has it: the keys that matter
come first, and a whole reader would load the vocabulary too.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dubarr_watch.errors import EngineError, ModelMissing

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_ARCHITECTURE = "general.architecture"
_STRING, _ARRAY = 8, 9
# Struct format of each type of value.
_NUMBERS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
_LONGEST_TEXT = 1 << 20
_MOST_VALUES = 1 << 16
_KEPT_ARRAY = 4096

_F16_BYTES = 2
_MIB = 1 << 20
_MARGIN_MIB = 1024
"""Buffers of computation and the driver; llama.cpp itself leaves as much free on a device."""

# Layers out of so many that see no more than the sliding window, and what a window needs beyond
# its length to be filled in batches.
_LOCAL_LAYERS: Mapping[str, tuple[int, int]] = {"gemma2": (1, 2), "gemma3": (5, 6)}
_WINDOW_SPARE = 512


@dataclass(frozen=True, slots=True)
class GgufModel:
    """What decides how much memory a model takes.

    Attributes:
        architecture: As llama.cpp names it.
        file_bytes: Size of the file, nearly all of it weights.
        kv_heads: Heads of keys and values of each layer.
        head_dims: Length of a key and a value together.
        context: Tokens that it was trained for.
        window: Tokens that local layers see; 0: there are none.
    """

    architecture: str
    file_bytes: int
    kv_heads: tuple[int, ...]
    head_dims: int
    context: int
    window: int

    def mib(self, slots: int, context: int) -> int:
        """Return the estimated peak memory of a server, in MiB.

        Args:
            slots: Requests at a time.
            context: Tokens that all slots share in equal parts.
        """
        part, whole = _LOCAL_LAYERS.get(self.architecture, (0, 1)) if self.window else (0, 1)
        local = len(self.kv_heads) * part // whole
        # Which layers are local does not matter where all have as many heads.
        heads = sorted(self.kv_heads)
        windowed = min(context, slots * (self.window + _WINDOW_SPARE))
        tokens = windowed * sum(heads[:local]) + context * sum(heads[local:])
        cache = tokens * self.head_dims * _F16_BYTES
        return -(-(self.file_bytes + cache) // _MIB) + _MARGIN_MIB


def read_gguf(path: Path) -> GgufModel:
    """Return what a file says of its model.

    Raises:
        ModelMissing: There is no such file.
        EngineError: It is no GGUF file, or a damaged one.
    """
    try:
        with path.open("rb") as file:
            values = _values(file)
        return _model(values, path.stat().st_size)
    except FileNotFoundError as error:
        raise ModelMissing(
            "The language model has not been pulled.",
            hint="Run `dubarr-watch models pull`, or set LLM_FILE to a GGUF file.",
            path=path,
        ) from error
    except (OSError, KeyError, TypeError, ValueError, struct.error) as error:
        raise EngineError(
            "The language model is no GGUF file, or a damaged one.",
            hint="Download it again, or set LLM_FILE to another one.",
            path=path,
        ) from error


def _model(values: Mapping[str, object], file_bytes: int) -> GgufModel:
    architecture = values[_ARCHITECTURE]
    if not isinstance(architecture, str):
        raise TypeError(_ARCHITECTURE)

    def number(key: str, default: int | None = None) -> int:
        value = values.get(f"{architecture}.{key}", default)
        if not isinstance(value, int):
            raise TypeError(key)
        return value

    layers, heads = number("block_count"), values.get(f"{architecture}.attention.head_count")
    most = max(heads) if isinstance(heads, list) else heads
    if not isinstance(most, int) or not 0 < layers <= _MOST_VALUES or most <= 0:
        raise ValueError("block_count or head_count")
    kv = values.get(f"{architecture}.attention.head_count_kv", most)
    kv_heads = tuple(int(n) for n in kv) if isinstance(kv, list) else (_whole(kv),) * layers
    usual = number("embedding_length") // most
    return GgufModel(
        architecture,
        file_bytes,
        kv_heads,
        number("attention.key_length", usual) + number("attention.value_length", usual),
        number("context_length"),
        number("attention.sliding_window", 0),
    )


def _whole(value: object) -> int:
    """Return a value that must be a whole number."""
    if not isinstance(value, int):
        raise TypeError("no number")
    return value


def _values(file: BinaryIO) -> dict[str, object]:
    """Return the values up to those of the tokenizer, which come last."""
    if file.read(4) != _MAGIC or _number(file, "<I") not in _VERSIONS:
        raise ValueError("no GGUF file")
    _number(file, "<Q")  # tensors
    count = int(_number(file, "<Q"))
    if count > _MOST_VALUES:
        raise ValueError("too many values")
    found: dict[str, object] = {}
    for _ in range(count):
        key = _text(file)
        if key.startswith("tokenizer.") and f"{found.get(_ARCHITECTURE)}.block_count" in found:
            break
        found[key] = _value(file, int(_number(file, "<I")))
    return found


def _value(file: BinaryIO, kind: int) -> object:
    if kind == _STRING:
        return _text(file)
    if kind != _ARRAY:
        return _number(file, _NUMBERS[kind])
    inner, count = int(_number(file, "<I")), int(_number(file, "<Q"))
    if inner == _ARRAY:
        raise ValueError("an array of arrays")
    if inner != _STRING and count > _KEPT_ARRAY:
        file.seek(count * struct.calcsize(_NUMBERS[inner]), 1)
        return None
    kept = [_value(file, inner) for _ in range(min(count, _KEPT_ARRAY))]
    for _ in range(count - len(kept)):
        _text(file)
    return kept


def _number(file: BinaryIO, form: str) -> int | float | bool:
    (value,) = struct.unpack(form, file.read(struct.calcsize(form)))
    found: int | float | bool = value
    return found


def _text(file: BinaryIO) -> str:
    length = int(_number(file, "<Q"))
    if length > _LONGEST_TEXT:
        raise ValueError("too long a text")
    raw = file.read(length)
    if len(raw) < length:
        raise ValueError("cut off")
    return raw.decode("utf-8", "replace")
