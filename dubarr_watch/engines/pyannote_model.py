"""pyannote's gated model: whether it is there, and what to say when it is not."""

from __future__ import annotations

from pathlib import Path

from dubarr_watch.errors import ModelMissing

PYANNOTE_PAGE = "https://huggingface.co/pyannote/speaker-diarization-community-1"

PYANNOTE_FILES = (
    "config.yaml",
    "segmentation/pytorch_model.bin",
    "embedding/pytorch_model.bin",
    "plda/xvec_transform.npz",
    "plda/plda.npz",
)

FALLBACK_NOTE = (
    "Speakers were told apart by a small model, which is worse at it: pyannote's model is not "
    "there, and DIARIZATION_FALLBACK=true allows this."
)
"""For the report of a job whose diarizer stood in."""


def pyannote_ready(folder: Path) -> bool:
    """Tell whether the whole model lies in a folder."""
    return all((folder / name).is_file() for name in PYANNOTE_FILES)


def not_pulled(folder: Path) -> ModelMissing:
    """Return the error for a folder without the whole model."""
    return ModelMissing(
        "The model that tells speakers apart has not been pulled.",
        hint=f"Agree to its conditions at {PYANNOTE_PAGE}, set HF_TOKEN and run `dubarr-watch "
        "models pull`; or set DIARIZATION_FALLBACK=true to use a small model.",
        path=folder,
    )
