"""Engines that do odd things, for the tests of the host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import soundfile

from dubarr_watch.engines.base import Progress, Span, Transcript, Turn, no_progress
from dubarr_watch.engines.fakes import FakeTranscriber
from dubarr_watch.errors import NoAudio

POISONED_S = 7.0


class PoisonedTranscriber(FakeTranscriber):
    """Dies of any video that is longer than `POISONED_S`, as a decoder does of a damaged one."""

    def transcribe(
        self, audio: Path, *, language: str | None = None, progress: Progress = no_progress
    ) -> Transcript:
        """See `Transcriber`."""
        if soundfile.info(audio).duration > POISONED_S:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().transcribe(audio, language=language, progress=progress)


class OddDiarizer:
    """Does what the name of the audio file says."""

    def __init__(self, *, load_s: float = 0.0) -> None:
        time.sleep(load_s)

    def diarize(
        self, audio: Path, voice: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Turn]:
        """See `Diarizer`; a turn's speaker carries the process id."""
        act = getattr(self, f"_{audio.name}", None)
        if act is not None:
            act(audio, progress)
        return [Turn(0.0, 1.0, os.getpid())]

    def _environment(self, audio: Path, progress: Progress) -> None:
        (audio.parent / "environment.txt").write_text("\n".join(os.environ), encoding="utf-8")

    def _refuse(self, audio: Path, progress: Progress) -> None:
        raise NoAudio("There is no sound.", hint="Bring some.", path=audio)

    def _stumble(self, audio: Path, progress: Progress) -> None:
        raise ZeroDivisionError("nothing is left")

    def _exit(self, audio: Path, progress: Progress) -> None:
        sys.stderr.write("the last straw\n")
        sys.stderr.flush()
        os._exit(7)

    def _talk(self, audio: Path, progress: Progress) -> None:
        sys.stdout.write("hello from inside\n\xff\n")
        os.write(2, b"raw \xff bytes\n")

    def _crawl(self, audio: Path, progress: Progress) -> None:
        for step in range(8):
            progress(step, 8)
            time.sleep(0.3)

    def _pretend(self, audio: Path, progress: Progress) -> None:
        """Say the same again and again, which is no progress."""
        while True:
            progress(1, 8)
            time.sleep(0.2)

    def _spawn(self, audio: Path, progress: Progress) -> None:
        child = subprocess.Popen(["sleep", "600"])
        (audio.parent / "grandchild.txt").write_text(str(child.pid), encoding="ascii")
        time.sleep(600)

    def _grow(self, audio: Path, progress: Progress) -> None:
        block = bytearray(150 * 2**20)
        for at in range(0, len(block), 4096):
            block[at] = 1

    def _thread(self, audio: Path, progress: Progress) -> None:
        """Leave a thread behind that would keep an ordinary process alive."""
        threading.Thread(target=time.sleep, args=(600,)).start()
