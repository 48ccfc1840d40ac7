"""Which codec a dub is encoded with: by where it goes and how many channels it has."""

from __future__ import annotations

from dataclasses import dataclass

from dubarr_watch.dubbing.layouts import STEREO, Layout, layout_of
from dubarr_watch.media import Probe

_LOSSLESS = {"flac", "alac", "truehd", "mlp", "tta", "wavpack", "ape"}

# Bits per second by number of channels. AAC, MP3: transparent in listening tests of stereo at 192k.
# AC-3 and E-AC-3: 5.1 at 640k, the most that discs carry. Opus: 160k and 64k for each further
# channel pair and more, as its own recommendations for music have it.
_BIT_RATES_K = {
    "aac": {2: 192, 3: 256, 4: 320, 5: 384, 6: 448, 7: 512, 8: 576},
    "mp3": {2: 192},
    "ac3": {3: 320, 4: 448, 5: 512, 6: 640},
    "eac3": {3: 320, 4: 448, 5: 512, 6: 640},
    "opus": {2: 160, 3: 224, 4: 256, 5: 320, 6: 384, 7: 448, 8: 512},
}
_LOSSLESS_BYTES_PER_S = 48_000 * 8 * 2 / 2
"""7.1 in 16 bits, halved by FLAC."""

_ENCODERS = {"mp3": "libmp3lame", "opus": "libopus"}


@dataclass(frozen=True, slots=True)
class TrackCodec:
    """How a track is encoded.

    Attributes:
        name: ffmpeg's name of the codec, as ffprobe says it.
        layout: In which layout, which may have fewer channels than the mix.
        bit_rate: Bits per second, 0 for lossless.
    """

    name: str
    layout: Layout
    bit_rate: int

    @property
    def arguments(self) -> list[str]:
        """Arguments of the encoder."""
        return self.arguments_for("a")

    def arguments_for(self, stream: str) -> list[str]:
        """Return arguments of the encoder of one output stream, e.g. `a:0`."""
        words = [f"-c:{stream}", _ENCODERS.get(self.name, self.name)]
        if self.name == "flac":
            return [*words, f"-sample_fmt:{stream}", "s16"]
        words += [f"-b:{stream}", str(self.bit_rate)]
        return [*words, f"-mapping_family:{stream}", "1"] if self.name == "opus" else words


def track_codec(layout: Layout, *, muxer: str = "matroska", source: str = "") -> TrackCodec:
    """Return how a dub is encoded.

    Stereo is AAC, surround sound up to 5.1 is E-AC-3, which every receiver decodes. No encoder of
    E-AC-3 here has more channels: 7.1 is FLAC when the source is lossless (such films carry several
    times as much already), else AAC. 6.1 is FLAC: decoded from AAC, nobody knows its layout.
    MPEG-TS and AVI hold AC-3, and 5.1 at most; AVI holds MP3 for stereo. QuickTime holds no FLAC,
    WebM nothing but Opus.

    Args:
        layout: Of the mix.
        muxer: ffmpeg's name of the container that the track goes to.
        source: Codec of the original's sound.
    """
    count = len(layout.channels)
    if muxer == "webm":
        name = "opus"
    elif count <= 2:
        name = "mp3" if muxer == "avi" else "aac"
    elif muxer in {"avi", "mpegts"}:
        name, layout = "ac3", layout_of(min(count, 6))
    elif count <= 6 or (count == 7 and muxer == "mov"):
        name, layout = "eac3", layout if count <= 6 else layout_of(6)
    else:
        lossless = source in _LOSSLESS or source.startswith("pcm_")
        name = "flac" if count == 7 or (lossless and muxer != "mov") else "aac"
    rate_k = _BIT_RATES_K.get(name, {}).get(len(layout.channels), 0)
    return TrackCodec(name, layout, rate_k * 1000)


def fits(muxer: str, codec: str) -> bool:
    """Tell whether a container holds a codec as it is."""
    if muxer == "webm":
        return codec in {"opus", "vorbis"}
    if muxer == "avi":
        return codec in {"mp3", "ac3"}
    if muxer == "mpegts":
        return codec in {"aac", "ac3", "mp3"}
    if muxer == "mov":
        return codec != "flac"
    return True


def fallback(muxer: str, channels: int) -> TrackCodec:
    """Return how a track is encoded again for a container that does not hold it."""
    return track_codec(STEREO if channels <= 2 else layout_of(channels), muxer=muxer)


def most_bytes(video: Probe, *, stereo: bool) -> int:
    """Return how much space a dub of a video takes at most, as a file beside it.

    Args:
        video: The video.
        stereo: STEREO.
    """
    rates = [0.0]
    for stream in video.of_kind("audio"):
        layout = STEREO if stereo else layout_of(stream.channels, stream.layout)
        rates.append(track_codec(layout, source=stream.codec).bit_rate / 8 or _LOSSLESS_BYTES_PER_S)
    return round(max(rates) * video.duration_s)
