"""Several texts through the GPT of XTTS v2 at once, each as if it were alone.

The library's own `inference` takes one text a call. Here rows are padded at the left, before the
voice: positions are added to the embeddings of text and codes one by one, so a shift changes
nothing, and the padding is masked. Chance is drawn for each row from its own seed, so that a row
comes out the same in any company.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

CODES_PER_S = 22050 / 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One text of a batch.

    Attributes:
        tokens: Of the text, without start and stop.
        latent: Conditioning of the voice, float32, 1 x 32 x width.
        embedding: Of the speaker, float32, 1 x 512 x 1.
        most_codes: Where it is cut when it has not stopped.
        seed: Of its chances.
        speed: 1.0 is the voice's own rate.
    """

    tokens: Sequence[int]
    latent: torch.Tensor
    embedding: torch.Tensor
    most_codes: int
    seed: int = 0
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next code is drawn; the model's own defaults come from its config.json.

    Attributes:
        temperature: Below 1 the likely is preferred; 0 takes the likeliest, without chance.
        top_k: Only so many likeliest codes are drawn from.
        top_p: Only the likeliest codes that together reach this probability.
        repetition_penalty: Divides the scores of codes that were there already.
    """

    temperature: float = 0.75
    top_k: int = 50
    top_p: float = 0.85
    repetition_penalty: float = 5.0


def choose_codes(gpt: Any, rows: Sequence[Row], sampling: Sampling) -> list[list[int]]:
    """Return the codes of each row, the stop token last where the model stopped by itself.

    Args:
        gpt: `Xtts.gpt`, ready for inference.
        rows: One or more.
        sampling: See `Sampling`.
    """
    prefix, mask = _prefix(gpt, rows)
    device = prefix.device
    gpt.gpt_inference.store_prefix_emb(prefix)
    # The library's stand-ins for the prefix, whose embeddings are stored, and the first code.
    inputs = torch.ones(len(rows), prefix.shape[1] + 1, dtype=torch.long, device=device)
    inputs[:, -1] = gpt.start_audio_token
    most = torch.tensor([min(row.most_codes, gpt.max_gen_mel_tokens) for row in rows])
    found = gpt.gpt_inference.generate(
        inputs,
        attention_mask=torch.nn.functional.pad(mask, (0, 1), value=1),
        bos_token_id=gpt.start_audio_token,
        pad_token_id=gpt.stop_audio_token,
        eos_token_id=gpt.stop_audio_token,
        max_new_tokens=int(most.max()),
        do_sample=False,
        num_beams=1,
        repetition_penalty=float(sampling.repetition_penalty),
        logits_processor=_draw(sampling, rows, device),
        stopping_criteria=StoppingCriteriaList([_Enough(most.to(device), inputs.shape[1])]),
    )
    codes: list[list[int]] = found[:, inputs.shape[1] :].tolist()
    return [
        _up_to_stop(row[:length], gpt.stop_audio_token)
        for row, length in zip(codes, most.tolist(), strict=True)
    ]


def latents_of(gpt: Any, rows: Sequence[Row], codes: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Return what the vocoder speaks of each row: float32, 1 x codes x width.

    They are the GPT's last states at the places where it chose the codes, as in the library.

    Args:
        gpt: As for `choose_codes`.
        rows: As for `choose_codes`.
        codes: Its answer.
    """
    prefix, mask = _prefix(gpt, rows)
    device = prefix.device
    longest = max(len(row) for row in codes)
    said = torch.full((len(rows), longest), gpt.stop_audio_token, device=device)
    said[:, 0] = gpt.start_audio_token
    for index, row in enumerate(codes):
        said[index, 1 : len(row)] = torch.tensor(row[:-1], device=device)
    embedded = gpt.mel_embedding(said) + gpt.mel_pos_embedding(said)
    states = gpt.gpt(
        inputs_embeds=torch.cat([prefix, embedded], dim=1),
        attention_mask=torch.nn.functional.pad(mask, (0, longest), value=1),
        return_dict=True,
        use_cache=False,
    ).last_hidden_state[:, prefix.shape[1] :]
    latents = gpt.final_norm(states)
    return [latents[index : index + 1, : len(row)] for index, row in enumerate(codes)]


def _prefix(gpt: Any, rows: Sequence[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return voice and text of all rows, padded at the left, and the mask of what is no padding."""
    parts = [_voice_and_text(gpt, row) for row in rows]
    longest = max(part.shape[1] for part in parts)
    pads = [longest - part.shape[1] for part in parts]
    prefix = torch.cat(
        [
            torch.nn.functional.pad(part, (0, 0, pad, 0))
            for part, pad in zip(parts, pads, strict=True)
        ]
    )
    mask = torch.ones(len(rows), longest, dtype=torch.long, device=prefix.device)
    for index, pad in enumerate(pads):
        mask[index, :pad] = 0
    return prefix, mask


def _voice_and_text(gpt: Any, row: Row) -> torch.Tensor:
    tokens = [gpt.start_text_token, *row.tokens, gpt.stop_text_token]
    text = torch.tensor([tokens], dtype=torch.long, device=row.latent.device)
    embedded = gpt.text_embedding(text) + gpt.text_pos_embedding(text)
    return torch.cat([row.latent, embedded], dim=1)


def _up_to_stop(codes: list[int], stop: int) -> list[int]:
    return codes[: codes.index(stop) + 1] if stop in codes else codes


def _draw(sampling: Sampling, rows: Sequence[Row], device: torch.device) -> LogitsProcessorList:
    if sampling.temperature <= 0:
        return LogitsProcessorList()
    return LogitsProcessorList(
        [
            TemperatureLogitsWarper(sampling.temperature),
            TopKLogitsWarper(sampling.top_k),
            TopPLogitsWarper(sampling.top_p),
            _Chance([row.seed for row in rows], device),
        ]
    )


class _Chance(LogitsProcessor):  # type: ignore[misc]
    """Adds Gumbel noise: the largest of the sums is a draw from the softmax of the scores."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self._sources = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        noise = torch.empty_like(scores, dtype=torch.float32)
        for row, source in zip(noise, self._sources, strict=True):
            row.exponential_(generator=source)
        return scores - noise.log()


class _Enough(StoppingCriteria):  # type: ignore[misc]
    """Ends each row at its own length."""

    def __init__(self, most: torch.Tensor, prefix: int) -> None:
        self._most = most
        self._prefix = prefix

    def __call__(
        self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any
    ) -> torch.Tensor:
        return self._most <= input_ids.shape[1] - self._prefix
