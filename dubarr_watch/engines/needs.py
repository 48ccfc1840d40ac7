"""What the engines of the full profile need of a device, known without importing them."""

from __future__ import annotations

from dubarr_watch.engines.base import Need

DEMUCS_NEED = Need("demucs htdemucs", 3000)
"""One stereo segment of 7.8 s at a time. Demucs's README asks for 3 GB of GPU memory at least."""

PYANNOTE_BATCH = 8
PYANNOTE_BATCH_MIB = 330
"""What one more window of 10 s takes in the embedding network, by what users of pyannote.audio 4
report of batches of 32 (9.5 to 12.6 GB, its issue 1963). Larger batches gain no speed."""

PYANNOTE_NEED = Need("pyannote community-1", 1000 + PYANNOTE_BATCH * PYANNOTE_BATCH_MIB)
