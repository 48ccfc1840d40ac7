"""Sound of a file as samples, piece by piece."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dubarr_watch.media.arguments import input_arguments
from dubarr_watch.media.holding import handles_in
from dubarr_watch.media.running import ends_with_us, widen_pipe
from dubarr_watch.media.tools import ffmpeg_path
from dubarr_watch.media.words import failed
from dubarr_watch.settings import child_environment


def decode_samples(
    path: Path,
    *,
    channels: int,
    rate: int,
    block: int,
    start_s: float = 0.0,
    duration_s: float | None = None,
) -> Iterator[bytes]:
    """Yield the first audio stream of a file, decoded.

    Args:
        path: The file.
        channels: How many it has; none are mixed.
        rate: Sample rate in Hz.
        block: Frames at a time; only the last piece is shorter.
        start_s: Where to begin.
        duration_s: How much at most; nothing: up to the end.

    Yields:
        32-bit floats in this machine's order, channels interleaved.

    Raises:
        MediaError: ffmpeg failed; MediaInterrupted when a signal ended it.
    """
    part = ["-ss", f"{start_s:.3f}"] if start_s else []
    part += ["-t", f"{duration_s:.3f}"] if duration_s is not None else []
    command = [
        *ends_with_us(), ffmpeg_path(), "-hide_banner", "-nostdin", "-loglevel", "error",
        *input_arguments(path, *part), "-map", "0:a:0", "-ac", str(channels), "-ar", str(rate),
        "-f", "f32le", "pipe:1",
    ]  # fmt: skip
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=child_environment(),
            pass_fds=handles_in(command),
            start_new_session=True,
        )
        try:
            stdout = process.stdout
            widen_pipe(stdout)
            while stdout is not None and (piece := stdout.read(block * channels * 4)):
                yield piece
            if process.wait() != 0:
                errors.seek(0)
                raise failed(process.returncode, errors.read(), path)
        finally:
            if process.stdout is not None:
                process.stdout.close()
            if process.poll() is None:
                process.kill()
            process.wait()
