"""An XTTS v2 folder with random weights, of any size, for the real library to load offline.

It speaks noise, but in the real file formats and through the real code. `build_xtts` runs this file
with the speech process's own Python, the only one that has coqui-tts.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / "tts_sidecar" / ".venv" / "bin" / "python"

LANGUAGES = (
    *("en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru"),
    *("nl", "cs", "ar", "zh-cn", "hu", "ko", "ja", "hi"),
)
# Two of the published names, whose genders are known, and one that nobody knows.
SPEAKERS = ("Ana Florence", "Viktor Menelaos", "Somebody Else")

_SPECIAL_TOKENS = ("[STOP]", "[UNK]", "[SPACE]", "[START]")
_ALPHABETS = ((0x21, 0x250), (0x370, 0x530), (0x600, 0x700), (0x900, 0x980))


@dataclass(frozen=True, slots=True)
class XttsSizes:
    """What the GPT measures; `FULL` is the published model.

    Attributes:
        layers: Transformer blocks.
        width: Channels; a multiple of 64.
        heads: Attention heads.
        text_tokens: Entries of the vocabulary; 0 for just what the alphabets need.
        stop_after: Codes after which the model stops by itself, about; 0 for never. One code is
            1024 / 22050 s.
        stop_spread: How far single takes may stop from there, in codes.
        attention: How much larger than usual the attention's weights are.
        speakers: Whether to write speakers_xtts.pth.
    """

    layers: int = 2
    width: int = 64
    heads: int = 4
    text_tokens: int = 0
    stop_after: int = 20
    stop_spread: int = 4
    attention: float = 10.0
    speakers: bool = True


FULL = XttsSizes(layers=30, width=1024, heads=16, text_tokens=6681, stop_after=0, attention=1.0)


def build_xtts(folder: Path, sizes: XttsSizes = XttsSizes()) -> Path:
    """Write config.json, model.pth, vocab.json and speakers_xtts.pth into a folder.

    Args:
        folder: Made when it is not there.
        sizes: See `XttsSizes`.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(PYTHON), "-W", "ignore", str(Path(__file__)), str(folder)]
    subprocess.run([*command, json.dumps(asdict(sizes))], check=True, cwd=ROOT)
    return folder


def build_xtts_once(folder: Path, sizes: XttsSizes = XttsSizes()) -> Path:
    """Build as `build_xtts`, unless another process has done it or does so just now.

    Args:
        folder: The same for all who share it; their sizes must be the same too.
        sizes: See `XttsSizes`.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".built").exists():
            build_xtts(folder, sizes)
            (folder / ".built").touch()
    return folder


def _write(folder: Path, sizes: XttsSizes) -> None:
    import torch
    from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
    from TTS.tts.models.xtts import Xtts, _legacy_safe_globals

    text_tokens = _write_vocabulary(folder / "vocab.json", sizes.text_tokens)
    config = XttsConfig(
        model_args=XttsArgs(
            gpt_layers=sizes.layers,
            gpt_n_model_channels=sizes.width,
            gpt_n_heads=sizes.heads,
            gpt_number_text_tokens=text_tokens,
            gpt_start_text_token=3,
            gpt_stop_text_token=0,
            gpt_num_audio_tokens=1026,
            gpt_start_audio_token=1024,
            gpt_stop_audio_token=1025,
            gpt_use_perceiver_resampler=True,
            decoder_input_dim=sizes.width,
        ),
        languages=list(LANGUAGES),
        temperature=0.75,
        repetition_penalty=5.0,
        gpt_cond_len=30,
        max_ref_len=30,
    )
    (folder / "config.json").write_text(json.dumps(config.to_dict()), encoding="utf-8")
    torch.manual_seed(1)
    model = Xtts(config)
    with torch.no_grad():
        _teach_to_listen(model.gpt, sizes)
        _teach_to_stop(model.gpt, sizes)
    # As published: the configuration is in there as an object of the class's old name.
    with _legacy_safe_globals():
        checkpoint = {"model": model.state_dict(), "config": config}
        torch.save(checkpoint, folder / "model.pth")
    if sizes.speakers:
        torch.save(_speakers(sizes.width), folder / "speakers_xtts.pth")


def _write_vocabulary(path: Path, size: int) -> int:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    words = [*_SPECIAL_TOKENS, *(f"[{language}]" for language in LANGUAGES)]
    special = len(words)
    words += [chr(code) for start, end in _ALPHABETS for code in range(start, end)]
    words += [f"<{n}>" for n in range(size - len(words))]
    tokenizer = Tokenizer(
        BPE(vocab={word: n for n, word in enumerate(words)}, merges=[], unk_token="[UNK]")
    )
    tokenizer.add_special_tokens(words[:special])
    tokenizer.save(str(path))
    return len(words)


def _teach_to_listen(gpt: Any, sizes: XttsSizes) -> None:
    """Let what is said depend on text and voice: weights as initialised hardly look at either."""
    for block in gpt.gpt.h:
        block.attn.c_attn.weight *= sizes.attention
        block.attn.c_proj.weight *= sizes.attention


def _teach_to_stop(gpt: Any, sizes: XttsSizes) -> None:
    """Let the logit of the stop token grow with the position, whatever was said before."""
    import torch

    stop = gpt.stop_audio_token
    gpt.mel_head.bias[stop] = -1e4
    if not sizes.stop_after:
        return
    direction = torch.nn.functional.normalize(torch.randn(sizes.width), dim=0)
    positions = gpt.mel_pos_embedding.emb.weight
    steps = (torch.arange(len(positions)) - sizes.stop_after) / sizes.stop_spread
    positions += 2.0 * steps.clamp(-3, 3)[:, None] * direction
    gpt.mel_head.weight[stop] = 3.0 * direction
    gpt.mel_head.bias[stop] = 0.0


def _speakers(width: int) -> dict[str, dict[str, Any]]:
    import torch

    return {
        name: {
            "gpt_cond_latent": torch.randn(1, 32, width),
            "speaker_embedding": torch.nn.functional.normalize(torch.randn(1, 512, 1), dim=1),
        }
        for name in SPEAKERS
    }


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("sizes", type=json.loads)
    options = parser.parse_args()
    _write(options.folder, XttsSizes(**options.sizes))


if __name__ == "__main__":
    _main()
