"""Which loudspeaker each channel is for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SURROUND_WEIGHT = 1.41
"""Loudness of channels beside and behind the listener (ITU-R BS.1770, as ffmpeg's ebur128 has it
for all of them)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """An order of channels.

    Attributes:
        name: ffmpeg's name of it.
        channels: ffmpeg's short name of each channel, in the order of WAV and FLAC.
    """

    name: str
    channels: tuple[str, ...]

    @property
    def centre(self) -> int | None:
        """Index of the channel of dialogue, where there is one."""
        return self.channels.index("FC") if "FC" in self.channels else None

    @property
    def low_frequency(self) -> int | None:
        """Index of the channel of low-frequency effects, where there is one."""
        return self.channels.index("LFE") if "LFE" in self.channels else None

    @property
    def weights(self) -> NDArray[np.float64]:
        """How much each channel counts in loudness: float64, shape (channels,)."""
        return np.array([_weight(channel) for channel in self.channels])


def _weight(channel: str) -> float:
    if channel == "LFE":
        return 0.0
    return 1.0 if channel in {"FL", "FR", "FC"} else SURROUND_WEIGHT


STEREO = Layout("stereo", ("FL", "FR"))
_SIDES = ("SL", "SR")
_LAYOUTS = {
    layout.name: layout
    for layout in (
        STEREO,
        Layout("3.0", ("FL", "FR", "FC")),
        Layout("quad", ("FL", "FR", "BL", "BR")),
        Layout("5.0", ("FL", "FR", "FC", "BL", "BR")),
        Layout("5.1", ("FL", "FR", "FC", "LFE", "BL", "BR")),
        Layout("6.1", ("FL", "FR", "FC", "LFE", "BC", *_SIDES)),
        Layout("7.1", ("FL", "FR", "FC", "LFE", "BL", "BR", *_SIDES)),
    )
}
# What has as many channels in another order, or fewer of a kind, becomes the nearest of the above.
_NEAREST = {"2.1": "stereo", "4.0": "5.0", "3.1": "5.1", "4.1": "5.1", "6.0": "6.1", "7.0": "7.1"}
_BY_COUNT = {len(layout.channels): layout for layout in _LAYOUTS.values()}


def layout_of(channels: int, name: str = "") -> Layout:
    """Return the layout in which sound is worked on and published.

    Args:
        channels: How many the source has; mono becomes stereo, more than eight become 7.1.
        name: ffmpeg's name of the source's layout, which decides between layouts of one count.
    """
    plain = name.partition("(")[0]
    if plain in _NEAREST:
        return _LAYOUTS[_NEAREST[plain]]
    if channels <= 2:
        return STEREO
    return _BY_COUNT[min(channels, max(_BY_COUNT))]
