"""What the sidecar's tests share."""

from __future__ import annotations

import io
import re
import subprocess
import wave
from dataclasses import dataclass

import httpx
import numpy as np
from numpy.typing import NDArray

TOKEN = "a-token-for-tests"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A running sidecar and a client that knows its token."""

    process: subprocess.Popen[str]
    client: httpx.Client
    port: int

    @classmethod
    def listening(cls, process: subprocess.Popen[str]) -> Sidecar:
        """Wait for the line that says where it listens."""
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"tts_sidecar listening on 127\.0\.0\.1:(\d+)\n", line)
        if found is None:
            process.kill()
            raise AssertionError(f"unexpected {line!r}; {process.communicate()[1]}")
        port = int(found[1])
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=120,
            trust_env=False,
        )
        return cls(process, client, port)


@dataclass(frozen=True, slots=True)
class Take:
    """A WAV answer; samples are float32, mono, full scale at 1.0."""

    samples: NDArray[np.float32]
    sample_rate: int
    headers: httpx.Headers

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.sample_rate

    @property
    def rms(self) -> float:
        return float(np.sqrt(np.mean(np.square(self.samples))))

    @property
    def silence_s(self) -> tuple[float, float]:
        """Seconds before the first and after the last sample above -44 dB of the peak."""
        loud = np.flatnonzero(np.abs(self.samples) > 0.006 * np.max(np.abs(self.samples)))
        return (
            float(loud[0]) / self.sample_rate,
            float(len(self.samples) - 1 - loud[-1]) / self.sample_rate,
        )

    @property
    def pitch_hz(self) -> float:
        """Median of the autocorrelation's peak in voiced frames of 40 ms, 65 to 350 Hz."""
        size = int(0.04 * self.sample_rate)
        low, high = self.sample_rate // 350, self.sample_rate // 65
        found = []
        for start in range(0, len(self.samples) - size, size // 2):
            frame = self.samples[start : start + size]
            frame = frame - frame.mean()
            if float(np.sqrt(np.mean(frame**2))) < 0.2 * self.rms:
                continue
            correlation = np.correlate(frame, frame, "full")[size - 1 :]
            lag = low + int(np.argmax(correlation[low:high]))
            if correlation[lag] > 0.5 * correlation[0]:
                found.append(self.sample_rate / lag)
        return float(np.median(found))


def ask(client: httpx.Client, **body: object) -> httpx.Response:
    """Send a synthesis request; Spanish when no language is given."""
    return client.post("/synthesize", json={"language": "es", **body})


def speak(client: httpx.Client, **body: object) -> Take:
    """Send a synthesis request that must succeed and read its WAV."""
    answer = ask(client, **body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(answer.content)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        rate = file.getframerate()
    return Take(pcm.astype(np.float32) / np.float32(32768), rate, answer.headers)
