"""XTTS v2 in memory: loading, the voices it knows, and texts into sound.

The only place that touches coqui-tts. It loads a local folder and nothing else.
"""

from __future__ import annotations

import gc
import logging
import os
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tts_sidecar.audio import Samples
from tts_sidecar.engines.xtts_device import check_device, is_out_of_memory, memory_errors
from tts_sidecar.engines.xtts_references import Recording
from tts_sidecar.errors import EngineUnavailable

FILES = ("config.json", "model.pth", "vocab.json")
_MAX_SEED = 2**63
_PULL = "Pull the models again: dubarr-watch models pull."


@dataclass(frozen=True, slots=True)
class Conditioning:
    """A speaker as the model sees one.

    Attributes:
        latent: Of the manner: a tensor of 1 x 32 x width, float32.
        embedding: Of the timbre: a tensor of 1 x 512 x 1, float32.
    """

    latent: Any
    embedding: Any


@dataclass(frozen=True, slots=True)
class Line:
    """One text of a batch; see `xtts_batch.Row`.

    Attributes:
        tokens: From `XttsModel.encode`.
        voice: Who speaks.
        most_s: Where it is cut when the model has not stopped, in seconds at speed 1.
        seed: Of its chances.
        speed: 1.0 is the voice's own rate.
    """

    tokens: Sequence[int]
    voice: Conditioning
    most_s: float
    seed: int
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Sound:
    """What became of a line.

    Attributes:
        samples: float32, mono, at `XttsModel.sample_rate`.
        codes: What the GPT chose, without its stop token.
        ended: Whether it stopped by itself.
    """

    samples: Samples
    codes: tuple[int, ...]
    ended: bool


class XttsModel:
    """A loaded model.

    Args:
        folder: Holds `FILES`, and speakers_xtts.pth for the built-in voices.
        device: `cpu`, `cuda` or `mps`.
        uuid: Of the GPU that `cuda` must be; empty when any will do.
        threads: CPU threads.

    Raises:
        EngineUnavailable: The folder or a library is missing or damaged.
        WrongDevice: The device is not there, or another one is.
        OutOfMemory: It does not fit.
    """

    def __init__(self, folder: Path, *, device: str, uuid: str, threads: int) -> None:
        _check_files(folder)
        _prepare_environment(device)
        import torch

        torch.set_num_threads(threads)
        check_device(device, uuid)
        self._device = torch.device(device)
        # On a Mac the vocoder's long convolutions are what Metal refuses ("Output channels >
        # 65536"); the GPT, which takes most of the time, it does well.
        self._sound_device = torch.device("cpu" if device == "mps" else device)
        with memory_errors("The model does not fit into the memory of the device."):
            self._model = _load(folder)
            self._model.gpt.to(self._device)
            self._model.hifigan_decoder.to(self._sound_device)
            self.speakers = self._built_in()
        config = self._model.config
        from tts_sidecar.engines.xtts_batch import Sampling

        self._sampling = Sampling(
            config.temperature, config.top_k, config.top_p, config.repetition_penalty
        )
        self.sample_rate = int(self._model.args.output_sample_rate)

    def read(self, text: str, language: str) -> str:
        """Return the text as the model is given it: lower case, numbers in words, romanised."""
        read: str = self._model.tokenizer.preprocess_text(text.strip().lower(), language)
        return read

    def encode(self, text: str, language: str) -> list[int]:
        """Return the tokens of a text; at most `most_tokens` can be spoken."""
        tokens: list[int] = self._model.tokenizer.encode(text.strip().lower(), language)
        return tokens

    @property
    def most_tokens(self) -> int:
        """How many tokens a text may have."""
        return int(self._model.args.gpt_max_text_tokens) - 1

    def condition(self, recordings: Sequence[Recording]) -> Conditioning:
        """Take a voice from recordings: their mean for the timbre, all of them for the manner."""
        import torch
        from torchaudio.functional import resample

        model, config = self._model, self._model.config
        with memory_errors("A speaker's recording does not fit into the memory."):
            voices, embeddings = [], []
            for recording in recordings:
                samples = torch.from_numpy(recording.samples)[None]
                voices.append(resample(samples, recording.sample_rate, 22050))
                heard = resample(samples, recording.sample_rate, 16000)
                embeddings.append(self._embed(heard))
            latent = model.get_gpt_cond_latents(
                torch.cat(voices, dim=-1),
                22050,
                length=config.gpt_cond_len,
                chunk_length=config.gpt_cond_chunk_len,
            )
        return Conditioning(latent.to(self._device), torch.stack(embeddings).mean(dim=0))

    def speak(self, lines: Sequence[Line]) -> list[Sound]:
        """Speak lines together.

        Raises:
            OutOfMemory: There is no room for so many, or not even for one.
        """
        import torch

        from tts_sidecar.engines.xtts_batch import CODES_PER_S, Row, choose_codes, latents_of

        gpt = self._model.gpt
        rows = [
            Row(
                line.tokens,
                line.voice.latent,
                line.voice.embedding,
                max(1, round(line.most_s * CODES_PER_S)),
                line.seed % _MAX_SEED,
                line.speed,
            )
            for line in lines
        ]
        message = f"{len(lines)} lines at once do not fit into the memory."
        with memory_errors(message), torch.inference_mode():
            codes = choose_codes(gpt, rows, self._sampling)
            latents = latents_of(gpt, rows, codes)
            waves = [self._vocode(*pair) for pair in zip(latents, rows, strict=True)]
        stop = gpt.stop_audio_token
        return [
            Sound(wave, tuple(code for code in row if code != stop), row[-1] == stop)
            for wave, row in zip(waves, codes, strict=True)
        ]

    def close(self) -> None:
        """Give the memory back."""
        del self._model
        self.speakers = {}
        self.free()

    def free(self) -> None:
        """Hand memory that nothing uses back to the device."""
        import torch

        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _embed(self, samples: Any) -> Any:
        import torch

        encoder = self._model.hifigan_decoder.speaker_encoder
        with torch.inference_mode():
            return encoder.forward(samples.to(self._sound_device), l2_norm=True).unsqueeze(-1)

    def _vocode(self, latent: Any, row: Any) -> Samples:
        import torch

        latent = latent.to(self._sound_device)
        if row.speed != 1.0:
            latent = torch.nn.functional.interpolate(
                latent.transpose(1, 2), scale_factor=1 / row.speed, mode="linear"
            ).transpose(1, 2)
        wave = self._model.hifigan_decoder(latent, g=row.embedding.to(self._sound_device))
        samples: Samples = wave.flatten().float().cpu().numpy().astype(np.float32)
        return samples

    def _built_in(self) -> dict[str, Conditioning]:
        manager = self._model.speaker_manager
        known = manager.speakers if manager is not None else {}
        return {
            name: Conditioning(
                voice["gpt_cond_latent"].to(self._device).float(),
                voice["speaker_embedding"].to(self._sound_device).float(),
            )
            for name, voice in known.items()
        }


def _check_files(folder: Path) -> None:
    for name in FILES:
        if not (folder / name).is_file():
            raise EngineUnavailable(f"The model file {folder / name} is missing.", hint=_PULL)


def _prepare_environment(device: str) -> None:
    # All of them are read when the libraries are imported.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
    os.environ.setdefault("MPLBACKEND", "agg")
    # Threads that spin while they wait take the cores that the rest of a dub needs.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if device == "mps":
        os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")


def _load(folder: Path) -> Any:
    # It talks about settings that XTTS never uses; what matters raises.
    logging.getLogger("TTS").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from TTS.tts.configs.xtts_config import XttsConfig

            config = XttsConfig()
            config.load_json(str(folder / "config.json"))
            model = _read_only_xtts()(config)
            model.load_checkpoint(config, checkpoint_dir=str(folder), eval=True)
    except ImportError as error:
        raise EngineUnavailable(
            f"A library that XTTS needs is missing: {error}",
            hint="Install the environment of the full profile: make full.",
        ) from error
    except Exception as error:  # a damaged file makes the libraries raise almost anything
        if is_out_of_memory(error):
            raise
        raise EngineUnavailable(
            f"The model in {folder} cannot be loaded: {error!r}"[:500], hint=_PULL
        ) from error
    return model


def _read_only_xtts() -> Any:
    """Return the library's class without its habit of rewriting the published model.pth."""
    import torch
    from TTS.tts.models import xtts

    class ReadOnlyXtts(xtts.Xtts):  # type: ignore[misc]
        def _load_checkpoint(self, model_path: Path) -> Any:
            # The published file holds its configuration as objects of the library, which alone
            # may be unpickled here. Mapped, it is not in memory twice.
            with xtts._legacy_safe_globals():
                checkpoint = torch.load(
                    model_path,
                    map_location="cpu",
                    weights_only=True,
                    mmap=zipfile.is_zipfile(model_path),
                )
            return checkpoint["model"]

    return ReadOnlyXtts
