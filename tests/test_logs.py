"""Logs: one event a line, no secret in any of them, whatever carries it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from dubarr_watch.errors import NoAudio
from dubarr_watch.logs import configure_logging
from dubarr_watch.settings import Settings, load_settings

SECRET = "sk-open-sesame"
URL = "tgram://123456:bot-token-sesame/99887766"


@dataclass
class Carrier:
    """An object that shows its secret when it is turned into text."""

    key: str


class Terminal(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def _settings(tmp_path: Path, **more: Any) -> Settings:
    return load_settings(
        config_dir=tmp_path, openai_api_key=SECRET, notify_urls=URL, **{"log_format": "json"} | more
    )


def _logged(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def _say_everything() -> None:
    """Log the secrets in every way there is."""
    log = structlog.get_logger("test").bind(bound=f"bound {SECRET}")
    structlog.contextvars.bind_contextvars(context=SECRET)
    log.info(
        f"event {SECRET}",
        text=f"a{SECRET}b{SECRET}c",
        deep=[{"a": ({SECRET}, frozenset({f"x{SECRET}"}))}, {SECRET: 1}],
        path=Path("/v") / SECRET,
        error=ValueError(SECRET),
        raw=SECRET.encode(),
        other=Carrier(SECRET),
        inside=[Carrier(SECRET), Path(SECRET), SECRET.encode()],
        url=f"POST https://api.telegram.org/bot123456:bot-token-sesame/sendMessage to {URL}",
        **{SECRET: "as a key"},
    )
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            raise RuntimeError(f"first {SECRET}\nsecond {URL}") from error
    except RuntimeError as error:
        log.exception("failed")
        log.error("failed again", exc_info=error)
        log.error("with the stack", stack_info=True)
        logging.getLogger("some.library").exception("library %s", SECRET)
    logging.getLogger("some.library").warning("retrying %s", f"https://x/bot{URL[8:]}")


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_no_secret_is_ever_written(
    tmp_path: Path, log_format: str, stream: type[io.StringIO]
) -> None:
    """In no field at any depth, no object, no exception, no traceback, no library's warning."""
    out = stream()
    configure_logging(_settings(tmp_path, log_format=log_format), stream=out)
    _say_everything()
    written = out.getvalue()
    assert "sesame" not in written
    assert "99887766" not in written
    assert written.count("***") > 20
    assert written.count("Traceback") >= 3


def test_json_is_one_object_a_line_with_its_fields(tmp_path: Path) -> None:
    """Level, time in UTC, event and what was bound; a traceback is one field."""
    out = io.StringIO()
    configure_logging(_settings(tmp_path), stream=out)
    _say_everything()
    lines = _logged(out)
    assert [line["level"] for line in lines] == ["info", *["error"] * 4, "warning"]
    first = lines[0]
    assert (first["event"], first["bound"]) == ("event ***", "bound ***")
    assert first["text"] == "a***b***c"
    assert first["deep"] == [{"a": [["***"], ["x***"]]}, {"***": 1}]
    assert first["path"] == "/v/***"
    assert first["timestamp"].endswith("Z")
    assert "RuntimeError: first ***\nsecond ***" in lines[1]["exception"]
    assert lines[-1]["logger"] == "some.library"


def test_numbers_and_nothing_stay_what_they_are(tmp_path: Path) -> None:
    """Who reads the JSON can reckon with them."""
    out = io.StringIO()
    configure_logging(_settings(tmp_path), stream=out)
    structlog.get_logger().info("e", n=3, f=0.5, yes=True, none=None, many=(1, 2))
    (line,) = _logged(out)
    assert {k: line[k] for k in ("n", "f", "yes", "none", "many")} == {
        "n": 3, "f": 0.5, "yes": True, "none": None, "many": [1, 2],
    }  # fmt: skip


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_hostile_name_forges_no_line(tmp_path: Path, log_format: str) -> None:
    """A line break, an escape sequence or a byte that is no UTF-8 stays in its field."""
    out = io.StringIO()
    configure_logging(_settings(tmp_path, log_format=log_format), stream=out)
    name = "a\n2026-11-22 [error] forged\x1b[2J caf\udce9\ud800.mkv"
    structlog.get_logger().info(
        name, path=Path(name[:-10]), text=name, error=NoAudio("No.", path=Path(name[:-10]))
    )
    written = out.getvalue()
    assert written.count("\n") == 1
    assert "\x1b" not in written
    written.encode()


def test_the_form_fits_the_stream(tmp_path: Path) -> None:
    """Colours for a terminal, JSON for everything else, unless told."""
    terminal, pipe = Terminal(), io.StringIO()
    for out in (terminal, pipe):
        configure_logging(_settings(tmp_path, log_format="auto"), stream=out)
        structlog.get_logger().info("started", job=3)
    assert "\x1b[" in terminal.getvalue()
    (line,) = _logged(pipe)
    assert (line["event"], line["job"]) == ("started", 3)


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("WARNING", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_is_obeyed(tmp_path: Path, level: str, heard: list[str]) -> None:
    """What is less severe is not written."""
    out = io.StringIO()
    configure_logging(_settings(tmp_path, log_level=level), stream=out)
    for name in ("debug", "info", "warning", "error"):
        getattr(structlog.get_logger(), name)("event")
    assert [line["level"] for line in _logged(out)] == heard


def test_libraries_that_show_urls_stay_silent(tmp_path: Path) -> None:
    """Even at LOG_LEVEL=debug; other libraries' warnings are heard, their chatter is not."""
    out = io.StringIO()
    configure_logging(_settings(tmp_path, log_level="debug"), stream=out)
    for name in (
        "apprise",
        "apprise.plugins.telegram",
        "httpx",
        "httpx2",
        "httpcore2.http11",
        "openai",
    ):
        logging.getLogger(name).error("loud")
    logging.getLogger("other").info("chatter")
    logging.getLogger("other").warning("heard")
    assert [line["event"] for line in _logged(out)] == ["heard"]


def test_configuring_again_replaces_the_first(tmp_path: Path) -> None:
    """A line is written once, to the last stream."""
    first, second = io.StringIO(), io.StringIO()
    for out in (first, second):
        configure_logging(_settings(tmp_path), stream=out)
    structlog.get_logger().info("ours")
    logging.getLogger("library").warning("theirs")
    assert first.getvalue() == ""
    assert [line["event"] for line in _logged(second)] == ["ours", "theirs"]
