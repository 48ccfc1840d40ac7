"""Everything that can go wrong, as one tree.

SidecarError (500)
├── EngineFailed (500)      the engine itself broke
├── EngineUnavailable (503) a model or library is missing or damaged
├── OutOfMemory (507)       the device has no room for this take
├── WrongDevice (409)       not the GPU that was given, or none at all
├── LicenceNotAgreed (403)  only the user can agree
├── TooManyRequests (429)
├── TextTooLong (413)
├── BadRequest (422)        empty text, wrong speed
│   ├── UnusableReference     a recording from which no voice can be taken
│   └── ForbiddenReference    a file outside the folders that may be read
├── UnknownLanguage (404)
└── UnknownVoice (404)

Each carries the HTTP status it becomes, what failed, and a hint: what the caller can do.
"""

from __future__ import annotations


class SidecarError(Exception):
    """Base of all errors that a caller is meant to read.

    Args:
        message: What failed, one sentence.
        hint: What the caller can do about it.
    """

    status = 500

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class EngineFailed(SidecarError):
    """The engine was ready but produced no speech."""


class EngineUnavailable(SidecarError):
    """A model file or a library that the engine needs is missing or damaged."""

    status = 503


class OutOfMemory(SidecarError):
    """The device has no room for this take, even alone."""

    status = 507


class WrongDevice(SidecarError):
    """The process sees another GPU than it was given, or none at all."""

    status = 409


class LicenceNotAgreed(SidecarError):
    """The model's licence must be agreed to by the user, and nobody has."""

    status = 403


class TooManyRequests(SidecarError):
    """More takes wait than the process keeps."""

    status = 429


class TextTooLong(SidecarError):
    """The text has more characters than one request may have."""

    status = 413


class BadRequest(SidecarError):
    """The request is understood but cannot be spoken: nothing to say, or a speed out of range."""

    status = 422


class UnusableReference(BadRequest):
    """A recording is too short, too quiet or unreadable to take a voice from."""


class ForbiddenReference(BadRequest):
    """A recording lies outside the folders that the process may read."""


class UnknownLanguage(SidecarError):
    """No engine here speaks the language."""

    status = 404


class UnknownVoice(SidecarError):
    """The language has no voice of that name."""

    status = 404
