"""The tree of errors: what users read, and what the shell gets."""

from __future__ import annotations

import inspect
import json
import pickle
import re
from pathlib import Path

import pytest

from dubarr_watch import errors
from dubarr_watch.errors import (
    CannotDub,
    DubarrError,
    ExitCode,
    JobCancelled,
    KeyMissing,
    NoAudio,
    NotInStore,
    SettingsInvalid,
    printable,
)

ALL = [
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, DubarrError)
]


def test_the_tree_is_drawn_as_it_is() -> None:
    """The drawing at the top of the module shows every class below its parent, and no other."""
    drawn, above = {}, dict[int, str]()
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^([│├└─ ]*)([A-Z]\w+)(?:$| {2,})", line)
        if found:
            depth = len(found[1]) // 4
            above[depth] = found[2]
            drawn[found[2]] = above[depth - 1] if depth else "Exception"
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in ALL}


@pytest.mark.parametrize("kind", ALL)
def test_every_error_crosses_a_process_boundary(kind: type[DubarrError]) -> None:
    """Message, hint and path survive the pipe from an engine's process."""
    error = kind("It failed.", hint="Do that.", path=Path("/v/\udcff.mkv"))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.message, again.hint, again.path) == (error.message, error.hint, error.path)
    assert str(again) == str(error)


def test_an_error_says_what_where_and_what_to_do() -> None:
    """Whatever of it there is."""
    assert str(NoAudio("It has no audio.")) == "It has no audio."
    assert (
        str(NoAudio("It has no audio.", hint="Take another.")) == "It has no audio. Take another."
    )
    full = NoAudio("It has no audio.", hint="Take another.", path=Path("/v/a.mkv"))
    assert str(full) == "It has no audio. (/v/a.mkv) Take another."


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (DubarrError, 1),
        (JobCancelled, 1),
        (SettingsInvalid, 2),
        (NotInStore, 2),
        (CannotDub, 3),
        (NoAudio, 3),
        (KeyMissing, 4),
    ],
)
def test_what_the_shell_gets(kind: type[DubarrError], code: int) -> None:
    """The exit codes are public."""
    assert kind.exit_code == code


def test_the_exit_codes_are_the_documented_ones() -> None:
    """0 done, 1 failed, 2 wrong usage, 3 cannot be dubbed, 4 the user must provide something."""
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0, "FAILED": 1, "WRONG_USAGE": 2, "CANNOT_DUB": 3, "USER_MUST_PROVIDE": 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain name (2026) – ¿qué? 日本 🎬.mkv",) * 2,
        ("a\nFAILED b", r"a\nFAILED b"),
        ("tab\tesc\x1b[31m\x7f", r"tab\tesc\x1b[31m\x7f"),
        ("caf\udce9", r"caf\xe9"),
        ("\ud800", r"\ud800"),
        ("right\u202eleft", r"right\u202eleft"),
        ("", ""),
    ],
)
def test_a_path_is_shown_on_one_harmless_line(name: str, shown: str) -> None:
    """No name breaks an encoder, forges a line or colours a terminal."""
    assert printable(name) == shown
    json.dumps(printable(name)).encode()
    printable(name).encode()


def test_a_path_object_is_shown_like_its_text() -> None:
    """Paths and text give the same."""
    assert printable(Path("/v/caf\udce9\n")) == r"/v/caf\xe9\n"
