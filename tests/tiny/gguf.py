"""A language model of a few hundred kilobytes with random weights, in a GGUF file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

LAYERS, WIDTH, HEADS, KV_HEADS, INNER, CONTEXT = 2, 64, 4, 2, 128, 4096

_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_gguf(path: Path, *, seed: int = 0) -> Path:
    """Write the model and return its path; llama.cpp loads it in well under a second."""
    import gguf

    tokens, scores, kinds = _vocabulary(gguf)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(_CHAT)
    dice = np.random.default_rng(seed)

    def weights(name: str, *shape: int) -> None:
        writer.add_tensor(name, (dice.standard_normal(shape) * 0.1).astype(np.float32))

    def ones(name: str) -> None:
        writer.add_tensor(name, np.ones(WIDTH, np.float32))

    weights("token_embd.weight", len(tokens), WIDTH)
    for layer in range(LAYERS):
        at = f"blk.{layer}"
        ones(f"{at}.attn_norm.weight")
        ones(f"{at}.ffn_norm.weight")
        weights(f"{at}.attn_q.weight", WIDTH, WIDTH)
        weights(f"{at}.attn_k.weight", WIDTH * KV_HEADS // HEADS, WIDTH)
        weights(f"{at}.attn_v.weight", WIDTH * KV_HEADS // HEADS, WIDTH)
        weights(f"{at}.attn_output.weight", WIDTH, WIDTH)
        weights(f"{at}.ffn_gate.weight", INNER, WIDTH)
        weights(f"{at}.ffn_up.weight", INNER, WIDTH)
        weights(f"{at}.ffn_down.weight", WIDTH, INNER)
    ones("output_norm.weight")
    weights("output.weight", len(tokens), WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _vocabulary(gguf: object) -> tuple[list[str], list[float], list[int]]:
    """Return the control tokens, every byte, and each letter as a token of its own."""
    kind = gguf.TokenType  # type: ignore[attr-defined]
    letters = [chr(n) for n in range(33, 127)]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), "▁", *letters]
    kinds = [kind.UNKNOWN, kind.CONTROL, kind.CONTROL, *[kind.BYTE] * 256]
    kinds += [kind.NORMAL] * (len(tokens) - len(kinds))
    return tokens, [0.0] * len(tokens), [int(one) for one in kinds]
