"""Which recordings a voice may be taken from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from tts_sidecar.engines.xtts_device import is_out_of_memory, is_same_gpu, memory_errors
from tts_sidecar.engines.xtts_references import Recording, choose, read
from tts_sidecar.errors import BadRequest, ForbiddenReference, OutOfMemory, UnusableReference


def voice(seconds: float, rate: int = 24000, hz: float = 150.0, level: float = 0.2) -> np.ndarray:
    time_s = np.arange(round(seconds * rate)) / rate
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * time_s)
    return (level * swell * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = 24000) -> Path:
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


@pytest.mark.parametrize("seconds", [3.0, 12.0, 30.0])
def test_three_to_thirty_seconds_are_taken_whole(tmp_path: Path, seconds: float) -> None:
    recording = read(write(tmp_path / "a.wav", voice(seconds)))
    assert recording.duration_s == pytest.approx(seconds, abs=0.03)
    assert recording.sample_rate == 24000


def test_of_more_only_the_first_thirty_seconds_are_used(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.wav", voice(45))).duration_s == 30.0


def test_less_is_refused_with_its_length(tmp_path: Path) -> None:
    with pytest.raises(UnusableReference, match=r"2\.9 s of voice; 3 s are needed"):
        read(write(tmp_path / "a.wav", voice(2.9)))


def test_silence_around_the_voice_does_not_count(tmp_path: Path) -> None:
    pause = np.zeros(48000, np.float32)
    long = read(write(tmp_path / "a.wav", np.concatenate([pause, voice(3.5), pause])))
    assert long.duration_s == pytest.approx(3.5, abs=0.05)
    with pytest.raises(UnusableReference, match="s of voice"):
        read(write(tmp_path / "b.wav", np.concatenate([pause, voice(2.0), pause])))


def test_words_far_apart_are_too_little_voice(tmp_path: Path) -> None:
    pause = np.zeros(3 * 24000, np.float32)
    with pytest.raises(UnusableReference, match="silent most of the time"):
        read(write(tmp_path / "a.wav", np.concatenate([voice(0.4), pause, voice(0.4)])))


@pytest.mark.parametrize("level", [0.0, 0.0005])
def test_silence_is_no_voice(tmp_path: Path, level: float) -> None:
    with pytest.raises(UnusableReference, match="silent"):
        read(write(tmp_path / "a.wav", voice(5, level=level)))


@pytest.mark.parametrize(("rate", "good"), [(16000, True), (15999, False), (48000, True)])
def test_the_sample_rate_has_a_lower_limit(tmp_path: Path, rate: int, good: bool) -> None:
    path = write(tmp_path / "a.wav", voice(4, rate), rate)
    if good:
        assert read(path).sample_rate == rate
    else:
        with pytest.raises(UnusableReference, match="15999 samples a second; 16000"):
            read(path)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all" * 100])
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(UnusableReference, match=r"a\.wav cannot be read"):
        read(path)
    with pytest.raises(UnusableReference, match="cannot be read"):
        read(tmp_path / "none.wav")


def test_channels_become_one(tmp_path: Path) -> None:
    left = voice(4)
    recording = read(write(tmp_path / "a.wav", np.stack([left, np.zeros_like(left)], axis=1)))
    assert float(np.max(recording.samples)) == pytest.approx(float(np.max(left)) / 2, abs=0.001)


def test_the_same_recording_is_known_by_its_sound(tmp_path: Path) -> None:
    one = read(write(tmp_path / "a.wav", voice(4)))
    again = read(write(tmp_path / "b.wav", voice(4)))
    other = read(write(tmp_path / "c.wav", voice(4, hz=151)))
    assert one.digest == again.digest != other.digest


def names(groups: list[list[Recording]], paths: list[Path]) -> list[list[str]]:
    known = {read(path).digest: path.stem for path in paths}
    return [[known[recording.digest] for recording in group] for group in groups]


def test_short_recordings_are_joined_until_there_is_enough(tmp_path: Path) -> None:
    lengths = {"a": 4, "b": 3, "c": 7, "d": 8}
    paths = [
        write(tmp_path / f"{name}.wav", voice(seconds, hz=100 + n))
        for n, (name, seconds) in enumerate(lengths.items())
    ]
    a, b, c, d = paths
    assert names(choose([a, b, c, d], [tmp_path]), paths) == [["a", "b"], ["c"]]
    assert names(choose([c, a], [tmp_path]), paths) == [["c"], ["a"]]
    assert names(choose([a, b], [tmp_path]), paths) == [["a", "b"]]
    assert names(choose([d], [tmp_path]), paths) == [["d"]]


def test_unusable_recordings_are_passed_over_while_there_is_a_better_one(tmp_path: Path) -> None:
    short, good = write(tmp_path / "s.wav", voice(1)), write(tmp_path / "g.wav", voice(8))
    assert names(choose([short, good], [tmp_path]), [good]) == [["g"]]
    with pytest.raises(UnusableReference, match=r"s\.wav.*none\.wav") as caught:
        choose([short, tmp_path / "none.wav"], [tmp_path])
    assert "built-in voice" in caught.value.hint


def test_no_recording_is_a_bad_request() -> None:
    with pytest.raises(BadRequest, match="needs a recording"):
        choose([], [Path("/")])


def test_nothing_outside_the_folders_is_read(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    secret = write(outside / "s.wav", voice(4))
    good = write(inside / "g.wav", voice(4))
    (inside / "link.wav").symlink_to(secret)
    for path in (secret, inside / ".." / "out" / "s.wav", inside / "link.wav"):
        with pytest.raises(ForbiddenReference, match="outside"):
            choose([good, path], [inside])
    with pytest.raises(ForbiddenReference):
        choose([good], [])
    assert choose([secret, good], [inside, outside])


UUID = "12345678-1234-1234-1234-123456789abc"


@pytest.mark.parametrize(
    ("given", "seen", "visible", "same"),
    [
        (f"GPU-{UUID}", UUID, "", True),
        (f"GPU-{UUID}", UUID.upper(), "", True),
        (f"GPU-{UUID}", UUID.replace("c", "d"), "", False),
        (f"MIG-{UUID}", UUID, "", True),
        (f"MIG-{UUID}", UUID.replace("c", "d"), f"MIG-{UUID}", True),
        (f"MIG-{UUID}", UUID.replace("c", "d"), "0", False),
        (f"GPU-{UUID}", UUID.replace("c", "d"), f"GPU-{UUID}", False),
    ],
)
def test_a_gpu_is_known_by_its_uuid(given: str, seen: str, visible: str, same: bool) -> None:
    assert is_same_gpu(given, seen, visible) is same


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
    ],
)
def test_every_library_runs_out_of_memory_in_its_own_words(error: Exception) -> None:
    assert is_out_of_memory(error)
    with pytest.raises(OutOfMemory, match="Too much"), memory_errors("Too much."):
        raise error


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory_errors("Too much."):
        raise RuntimeError("shape mismatch")
