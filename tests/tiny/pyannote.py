"""A pyannote pipeline without training, in a local folder laid out as community-1 is.

The segmentation is biased so that it hears somebody; who, and what a voice is like, is random.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
import yaml  # type: ignore[import-untyped]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pyannote.audio import __version__ as pyannote_version
    from pyannote.audio.core.task import Problem, Resolution, Specifications
    from pyannote.audio.models.embedding import WeSpeakerResNet34, XVectorSincNet
    from pyannote.audio.models.segmentation import PyanNet

_WIDTH = 256  # of an embedding
_LDA = 128
_CONFIG = {
    "dependencies": {"pyannote.audio": "4.0.0"},
    "pipeline": {
        "name": "pyannote.audio.pipelines.SpeakerDiarization",
        "params": {
            "clustering": "VBxClustering",
            "segmentation": "$model/segmentation",
            "segmentation_batch_size": 32,
            "embedding": "$model/embedding",
            "embedding_batch_size": 32,
            "embedding_exclude_overlap": True,
            "plda": "$model/plda",
        },
    },
    "params": {
        "clustering": {"threshold": 0.6, "Fa": 0.07, "Fb": 0.8},
        "segmentation": {"min_duration_off": 0.0},
    },
}


@dataclass(frozen=True, slots=True)
class Shape:
    """Dimensions of the segmentation's LSTM, and which network embeds voices."""

    hidden: int = 16
    layers: int = 1
    wespeaker: bool = False


TINIEST = Shape()
COMMUNITY_1 = Shape(128, 4, wespeaker=True)
"""The real one embeds with WeSpeaker's ResNet34, a second of two cores for each 10 s heard."""


def build(folder: Path, shape: Shape = TINIEST, *, seed: int = 11) -> Path:
    """Write config.yaml, both checkpoints and the PLDA.

    Args:
        folder: Made when it is not there.
        shape: How large.
        seed: Of the weights.

    Returns:
        The folder.
    """
    torch.manual_seed(seed)
    for part in ("segmentation", "embedding", "plda"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(_CONFIG), encoding="utf-8")
    _save(_segmentation(shape), folder / "segmentation" / "pytorch_model.bin")
    _save(_embedding(shape), folder / "embedding" / "pytorch_model.bin")
    rng = np.random.default_rng(seed)
    np.savez(
        folder / "plda" / "xvec_transform.npz",
        mean1=np.zeros(_WIDTH),
        mean2=np.zeros(_LDA),
        lda=np.linalg.qr(rng.standard_normal((_WIDTH, _LDA)))[0],
    )
    np.savez(
        folder / "plda" / "plda.npz",
        mu=np.zeros(_LDA),
        tr=np.eye(_LDA) + 0.01 * rng.standard_normal((_LDA, _LDA)),
        psi=np.linspace(4.0, 0.1, _LDA),
    )
    return folder


def _segmentation(shape: Shape) -> Any:
    model = PyanNet(
        lstm={"hidden_size": shape.hidden, "num_layers": shape.layers},
        linear={"hidden_size": shape.hidden, "num_layers": 2},
    )
    model.specifications = Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=10.0,
        min_duration=None,
        warm_up=(0.0, 0.0),
        classes=["speaker#1", "speaker#2", "speaker#3"],
        powerset_max_classes=2,
        permutation_invariant=True,
    )
    model.setup()
    with torch.no_grad():
        model.classifier.weight *= 40  # what it hears changes with the sound
        model.classifier.bias[0] -= 4  # and nobody at all is the least likely
    return model


def _embedding(shape: Shape) -> Any:
    model = WeSpeakerResNet34() if shape.wespeaker else XVectorSincNet(dimension=_WIDTH)
    model.specifications = Specifications(
        problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=10.0, classes=[]
    )
    return model


def _save(model: Any, path: Path) -> None:
    checkpoint = {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "pytorch-lightning_version": lightning.__version__,
        "epoch": 0,
        "global_step": 0,
    }
    model.on_save_checkpoint(checkpoint)
    checkpoint["pyannote.audio"]["versions"]["pyannote.audio"] = pyannote_version
    torch.save(checkpoint, path)
