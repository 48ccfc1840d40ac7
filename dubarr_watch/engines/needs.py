"""What the engines of the full profile need of a device, known without importing them."""

from __future__ import annotations

from dubarr_watch.engines.base import Need

DEMUCS_NEED = Need("demucs htdemucs", 3000)
"""One stereo segment of 7.8 s at a time. Demucs's README asks for 3 GB of GPU memory at least."""
