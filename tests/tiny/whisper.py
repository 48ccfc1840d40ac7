"""A CTranslate2 Whisper that has learned one sentence by heart.

Its layers are random, but what it says at each position is set by hand, so that it answers any
sound in English, surely and without repeating itself: words that pass every check for nonsense.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ctranslate2.specs import WhisperSpec
from faster_whisper.tokenizer import _LANGUAGE_CODES

SENTENCE = "Yesterday nobody on the bridge had seen how quietly the old ship went under."

_TEXT_TOKENS = 50_257
_TIMESTAMPS = 1501
_PROMPT = 4  # start of transcript, language, task, no timestamps
_LAYER_SCALE = 0.02


@dataclass(frozen=True, slots=True)
class Shape:
    """Dimensions of a Whisper (Radford et al. 2022, table 1)."""

    layers: int = 2
    width: int = 64
    heads: int = 2
    mels: int = 80
    languages: int = 99


TINIEST = Shape()
LARGE_V3 = Shape(layers=32, width=1280, heads=20, mels=128, languages=100)


def build(
    folder: Path, shape: Shape = TINIEST, *, text: str = SENTENCE, dtype: str = "float32"
) -> Path:
    """Write model.bin, config.json, vocabulary.json, tokenizer.json and preprocessor_config.json.

    Args:
        folder: Made when it is not there.
        shape: How large.
        text: What is heard in every window; each word is one token.
        dtype: Of the weights.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokens = _tokens(text.split(), shape.languages)
    spec = WhisperSpec(shape.layers, shape.heads, shape.layers, shape.heads)
    weights = _Weights(np.dtype(dtype))
    _fill_encoder(spec.encoder, shape, weights)
    _fill_decoder(spec.decoder, shape, weights, tokens, text.split())
    first_language = _TEXT_TOKENS + 2
    spec.config.lang_ids = list(range(first_language, first_language + shape.languages))
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [_TEXT_TOKENS]
    spec.config.alignment_heads = [(shape.layers - 1, head) for head in range(shape.heads)]
    spec.register_vocabulary(tokens)
    spec.validate()
    spec.save(str(folder))
    _write_tokenizer(folder / "tokenizer.json", tokens)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"feature_size": shape.mels, "sampling_rate": 16_000, "hop_length": 160}),
        encoding="utf-8",
    )
    return folder


class _Weights:
    """Cheap random numbers: one block, used again and again."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._block = np.random.default_rng(1).standard_normal(1 << 20).astype(np.float32)

    def random(self, *shape: int, scale: float = _LAYER_SCALE) -> npt.NDArray[Any]:
        return (np.resize(self._block, shape) * np.float32(scale)).astype(self._dtype)

    def constant(self, value: float, *shape: int) -> npt.NDArray[Any]:
        return np.full(shape, value, dtype=self._dtype)


def _fill_encoder(encoder: Any, shape: Shape, weights: _Weights) -> None:
    width = shape.width
    encoder.conv1.weight = weights.random(width, shape.mels, 3)
    encoder.conv1.bias = weights.constant(0, width)
    encoder.conv2.weight = weights.random(width, width, 3)
    encoder.conv2.bias = weights.constant(0, width)
    encoder.position_encodings.encodings = weights.random(1500, width, scale=1)
    _fill_norm(encoder.layer_norm, width, weights)
    for layer in encoder.layer:
        _fill_attention(layer.self_attention, [3 * width, width], width, weights)
        _fill_feed_forward(layer.ffn, width, weights)


def _fill_decoder(
    decoder: Any, shape: Shape, weights: _Weights, tokens: list[str], words: list[str]
) -> None:
    width = shape.width
    positions = np.random.default_rng(2).standard_normal((448, width)).astype(np.float32)
    rows = np.resize(weights.random(1 << 16, scale=0.05).astype(np.float32), (len(tokens), width))
    answers = {0: "<|en|>"} | {_PROMPT - 1 + n: f"Ġ{word}" for n, word in enumerate(words)}
    for token in set(answers.values()):
        said_at = [position for position, answer in answers.items() if answer == token]
        rows[tokens.index(token)] = positions[said_at].sum(axis=0)
    rest = positions[_PROMPT - 1 + len(words) :]
    rest[:] = rest[0]  # whatever comes after the last word, it is the end
    rows[_TEXT_TOKENS] = rest[0]
    decoder.embeddings.weight = weights.random(len(tokens), width)
    decoder.position_encodings.encodings = positions.astype(weights.random(1).dtype)
    decoder.projection.weight = rows.astype(weights.random(1).dtype)
    _fill_norm(decoder.layer_norm, width, weights)
    for layer in decoder.layer:
        _fill_attention(layer.self_attention, [3 * width, width], width, weights)
        _fill_attention(layer.attention, [width, 2 * width, width], width, weights)
        _fill_feed_forward(layer.ffn, width, weights)


def _fill_attention(attention: Any, outputs: list[int], width: int, weights: _Weights) -> None:
    _fill_norm(attention.layer_norm, width, weights)
    for linear, size in zip(attention.linear, outputs, strict=True):
        linear.weight = weights.random(size, width)
        linear.bias = weights.constant(0, size)


def _fill_feed_forward(ffn: Any, width: int, weights: _Weights) -> None:
    _fill_norm(ffn.layer_norm, width, weights)
    for linear, (size, inputs) in zip(
        (ffn.linear_0, ffn.linear_1), ((4 * width, width), (width, 4 * width)), strict=True
    ):
        linear.weight = weights.random(size, inputs)
        linear.bias = weights.constant(0, size)


def _fill_norm(norm: Any, width: int, weights: _Weights) -> None:
    norm.gamma = weights.constant(1, width)
    norm.beta = weights.constant(0, width)


def _tokens(words: list[str], languages: int) -> list[str]:
    """Return the vocabulary in Whisper's order; as text it has bytes, the words, and filler."""
    text = [*_byte_letters(), *dict.fromkeys(f"Ġ{word}" for word in words)]
    text += [f"Ġq{n}q" for n in range(_TEXT_TOKENS - 1 - len(text))]
    text.append("")  # the last one of Whisper's own: what CTranslate2 knows multilingual models by
    special = ["<|endoftext|>", "<|startoftranscript|>"]
    special += [f"<|{code}|>" for code in _LANGUAGE_CODES[:languages]]
    special += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>"]
    special += ["<|nospeech|>", "<|notimestamps|>"]
    return text + special + [f"<|{n * 0.02:.2f}|>" for n in range(_TIMESTAMPS)]


def _byte_letters() -> list[str]:
    """Return the letter that stands for each byte in byte-level BPE (Radford et al. 2019)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + n) for n in range(len(other))]


def _write_tokenizer(path: Path, tokens: list[str]) -> None:
    text, special = tokens[:_TEXT_TOKENS], tokens[_TEXT_TOKENS:-_TIMESTAMPS]
    added = [
        {
            "id": _TEXT_TOKENS + n,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for n, token in enumerate(special)
    ]
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": True,
    }
    tokenizer: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "vocab": {token: n for n, token in enumerate(text)},
            "merges": [],
        },
    }
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
