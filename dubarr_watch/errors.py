"""Every error that a user can meet, in one tree.

DubarrError
├── WrongUsage                exit code 2: a setting, an option or a marker is wrong
│   ├── SettingsInvalid
│   └── UnknownLanguage
├── CannotDub                 exit code 3: this input cannot be dubbed, trying again will not help
│   ├── LeadsOut
│   ├── NotAVideo
│   ├── NoAudio
│   └── VideoChanged          the video was replaced or deleted during its job
├── UserMustProvide           exit code 4: something that only the user can provide is missing
│   ├── KeyMissing
│   ├── ToolMissing
│   ├── ModelMissing
│   └── NotWritable
├── ModelError                a model could not be fetched or does not verify
│   ├── ModelUnreachable
│   └── ModelHashMismatch
├── EngineError               a model process failed
│   ├── EngineCrashed
│   ├── EngineStuck
│   ├── OutOfMemory           it asked a device for more memory than there was
│   ├── ServiceBusy           a service of others refused for now: rate limit, quota, fault
│   ├── TranslationIncomplete
│   └── SynthesisFailed
├── ProofFailed               too many takes of a track do not say their text
├── LeaseError                no device can hold what was asked for
│   └── DeviceError           a GPU, or its driver, does not answer as it should
├── ClusterError              the scheduler of a cluster does not answer, or lets nobody in
├── MediaError                ffmpeg or ffprobe failed
│   └── MediaInterrupted      somebody ended it, or it hung
├── PublishError              a finished track could not be put beside its video
│   └── DiskFull
├── StoreError                the database cannot be read or written
│   ├── StoreCorrupt          it is damaged, deleted, or no database at all
│   ├── StoreTooNew           a newer version of the program wrote it
│   ├── StoreUnreachable      the database server does not answer
│   ├── NotInStore            nothing is known by that id or path
│   ├── IllegalTransition     a job cannot go from its state to the one asked for
│   └── ClaimLost             another worker was given the job meanwhile
└── JobCancelled              the user asked for it; never a failure

Each says what failed, on which file where there is one, and what the user can do (`hint`).
"""

from __future__ import annotations

import os
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """What the command line returns to the shell."""

    DONE = 0
    FAILED = 1
    WRONG_USAGE = 2
    CANNOT_DUB = 3
    USER_MUST_PROVIDE = 4


def printable(path: Path | str) -> str:
    """Return a path as text that any terminal, log and JSON file can hold.

    Bytes that are no UTF-8 and control characters come out as escapes, so that a file name can
    neither break an encoder nor forge a log line.
    """
    return "".join(ch if ch.isprintable() else _escaped(ch) for ch in os.fspath(path))


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as os.fsdecode keeps it
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


class DubarrError(Exception):
    """Something failed that the user should hear about.

    Args:
        message: What failed, in one plain sentence.
        hint: What the user can do about it; empty when there is nothing to do.
        path: The file it happened on.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "", path: Path | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.path = path

    def __str__(self) -> str:
        where = f" ({printable(self.path)})" if self.path is not None else ""
        way_out = f" {self.hint}" if self.hint else ""
        return f"{self.message}{where}{way_out}"

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments would not survive the pipe from an engine's process.
        return (_rebuild, (type(self), self.message, self.hint, self.path))


def _rebuild(kind: type[DubarrError], message: str, hint: str, path: Path | None) -> DubarrError:
    return kind(message, hint=hint, path=path)


class WrongUsage(DubarrError):
    """A setting, an option or a marker says something that has no meaning."""

    exit_code = ExitCode.WRONG_USAGE


class SettingsInvalid(WrongUsage):
    """One or more settings have bad values; the message has a line for each."""


class UnknownLanguage(WrongUsage):
    """A word names no language; the hint names the nearest known ones."""


class CannotDub(DubarrError):
    """This input cannot be dubbed; trying again will not help."""

    exit_code = ExitCode.CANNOT_DUB


class LeadsOut(CannotDub):
    """A link in the library leads out of it."""


class NotAVideo(CannotDub):
    """ffprobe finds no media in the file, or nothing of a plausible length."""


class NoAudio(CannotDub):
    """The video has no audio stream."""


class VideoChanged(CannotDub):
    """The video was replaced, moved away or deleted while its job ran."""


class UserMustProvide(DubarrError):
    """Something is missing that only the user can provide."""

    exit_code = ExitCode.USER_MUST_PROVIDE


class KeyMissing(UserMustProvide):
    """A key or token that the chosen profile needs is not set."""


class ToolMissing(UserMustProvide):
    """A program such as ffmpeg is not there or too old."""


class ModelMissing(UserMustProvide):
    """A model has not been pulled yet."""


class NotWritable(UserMustProvide):
    """A folder that must be written to is read-only."""


class ModelError(DubarrError):
    """A model could not be fetched or does not verify."""


class ModelUnreachable(ModelError):
    """Neither the model's hub nor the package registry could deliver it."""


class ModelHashMismatch(ModelError):
    """A fetched file is not the file that was pinned."""


class EngineError(DubarrError):
    """A model process failed."""


class EngineCrashed(EngineError):
    """The process ended in the middle of a call."""


class EngineStuck(EngineError):
    """The process made no progress for too long and was ended."""


class OutOfMemory(EngineError):
    """The engine asked a device for more memory than there was; the message has the figures."""


class ServiceBusy(EngineError):
    """A service of others refused for now, even when asked again: rate limit, quota, fault."""


class TranslationIncomplete(EngineError):
    """The translator left lines out, even when asked for them one by one."""


class SynthesisFailed(EngineError):
    """The speech process refused or failed a line."""


class ProofFailed(DubarrError):
    """Too many takes of a track do not say their text; another run would make the same."""


class LeaseError(DubarrError):
    """No device can hold what was asked for; the message has the figures."""


class DeviceError(LeaseError):
    """A GPU, or its driver, does not answer as it should."""


class ClusterError(DubarrError):
    """The scheduler of a cluster does not answer, or does not let this machine in."""


class MediaError(DubarrError):
    """ffmpeg or ffprobe failed; the message carries its last words."""


class MediaInterrupted(MediaError):
    """ffmpeg or ffprobe was ended by a signal or made no progress: it may go well next time."""


class PublishError(DubarrError):
    """A finished track could not be put beside its video."""


class DiskFull(PublishError):
    """There is not enough space for what has to be written."""


class StoreError(DubarrError):
    """The database cannot be read or written."""


class StoreCorrupt(StoreError):
    """The database is damaged, was deleted while in use, or is no database at all."""


class StoreTooNew(StoreError):
    """The database was written by a newer version of the program."""


class StoreUnreachable(StoreError):
    """The database server does not answer."""


class NotInStore(StoreError):
    """Nothing is known by that id or path."""

    exit_code = ExitCode.WRONG_USAGE


class IllegalTransition(StoreError):
    """A job cannot go from the state it is in to the one asked for."""

    exit_code = ExitCode.WRONG_USAGE


class ClaimLost(StoreError):
    """Another worker was given the job meanwhile; what this one makes of it is refused."""


class JobCancelled(DubarrError):
    """The user cancelled the job; never counted as a failure."""


def worth_another_try(error: DubarrError) -> bool:
    """Tell whether the same work may go well another time.

    A process may have been unlucky; a bad file or a full disk stays what it is.
    """
    return isinstance(error, (EngineError, MediaInterrupted, StoreUnreachable)) and not isinstance(
        error, TranslationIncomplete
    )
