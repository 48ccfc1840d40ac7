"""README and docs/ name settings, commands, codes and fields: what they say is what is done."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from dubarr_watch.cli.app import app
from dubarr_watch.dubbing.fitting import Outcome
from dubarr_watch.dubbing.report import LineReport, Report, Summary
from dubarr_watch.engines.catalog import all_models
from dubarr_watch.engines.embedded_languages import embedded_language
from dubarr_watch.errors import ExitCode
from dubarr_watch.languages import parse_language
from dubarr_watch.library.markers import MarkerKind, parse_marker, parse_marker_name
from dubarr_watch.library.naming import sidecar_path, subtitles_path
from dubarr_watch.settings import WhisperModel, example_env
from dubarr_watch.store.records import JobState
from tests.programs import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROGRAM: Any = get_command(app)


@cache
def section(title: str) -> str:
    """Return a section's text."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^##? |\Z)", README, re.S | re.M)
    assert found, title
    return found[1]


def rows(title: str) -> list[list[str]]:
    """Return the cells of the first table of a section, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines[2:]]
    return [[cell.strip().replace("\\|", "|") for cell in row] for row in cells]


def words(text: str) -> list[str]:
    """Return what stands between back quotes; README may break its lines anywhere."""
    return re.findall(r"`([^`]+)`", " ".join(text.split()))


def settings_with_defaults() -> list[list[str]]:
    """Return name, default and meaning of each setting; another test holds the example file."""
    found = re.findall(r"^# (.*)\n#([A-Z_]+)=(.*)$", example_env(), re.M)
    return [[name, default, meaning] for meaning, name, default in found]


def test_the_table_of_settings_is_what_the_settings_are() -> None:
    """Every name, default and meaning, in the same order."""
    shown = [
        [name.strip("`"), default.strip("`"), text] for name, default, text in rows("All settings")
    ]
    assert shown == settings_with_defaults()


def test_the_settings_to_begin_with_are_some_of_them() -> None:
    known = {name: default for name, default, _ in settings_with_defaults()}
    shown = [[cell.strip("`") for cell in row[:2]] for row in rows("Settings")]
    assert len(shown) >= 8
    assert all(known[name] == default for name, default in shown)


def test_every_setting_that_is_mentioned_exists() -> None:
    """In README and the Makefile, with or without a value."""
    known = {name for name, _, _ in settings_with_defaults()}
    arguments = {"VIDEOS", "LANGS", "CONFIG", "MODELS", "FILE"}
    for word in words(README):
        for name in re.findall(r"\b[A-Z]+_[A-Z_]+\b", word):
            assert name in known | {"NAME_FILE", "JOB_OR_PATH"}, word
    for name in re.findall(r"^make \w+ (.*)$", README, re.M):
        assert {pair.split("=")[0] for pair in name.split()} <= arguments


def test_every_command_in_the_table_exists_with_its_options() -> None:
    """And every command of the program is in it."""
    shown = set()
    for cell, _ in rows("The command line"):
        names, _, usage = re.sub(r"[`,]", "", cell).partition("JOB_OR_PATH")
        first = words(cell)[0].split()[0]
        listed = names.split() if usage or cell.endswith("JOB_OR_PATH...`") else [first]
        for name in listed:
            assert name in PROGRAM.commands, cell
            options = {o for p in PROGRAM.commands[name].params for o in p.opts}
            assert set(re.findall(r"--[a-z]+", cell)) <= options, cell
        shown |= set(listed)
    assert shown == set(PROGRAM.commands)


def test_the_commands_of_models_are_those_shown() -> None:
    cell = next(cell for cell, _ in rows("The command line") if cell.startswith("`models"))
    assert set(words(cell)[0].split()[1].split("|")) == set(PROGRAM.commands["models"].commands)


def test_every_command_line_shown_is_one_that_the_program_takes() -> None:
    """`dubarr-watch NAME ...` anywhere in README."""
    shown = re.findall(r"dubarr-watch ([a-z]+)((?: --[a-z]+)*)", README)
    assert {"doctor", "retry"} <= {name for name, _ in shown}
    for name, options in shown:
        if name == "demo" or name in PROGRAM.commands:
            known = {o for p in PROGRAM.commands[name].params for o in p.opts}
            assert set(shlex.split(options)) <= known
        else:
            assert name == "is", name


def test_every_make_target_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.M))
    shown = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.M))
    assert {"demo", "run", "test", "setup"} <= shown <= targets


def test_exit_codes_are_those_of_the_program() -> None:
    """In README and in the help of the command line, in the same words."""
    text = " ".join(section("The command line").split())
    sentence = text.partition("Exit codes: ")[2].partition(".")[0]
    assert [int(code) for code in re.findall(r"\d", sentence)] == list(ExitCode)
    assert PROGRAM.epilog.rstrip(".") == f"Exit codes: {sentence}"


@pytest.mark.parametrize(
    ("before", "kind"), [("Each line has", LineReport), ("The summary has", Summary)]
)
def test_the_fields_of_a_report_are_those_in_the_file(before: str, kind: Any) -> None:
    """All of them, in the same order."""
    text = " ".join(section("The report").split()).partition(before)[2]
    names = [word for word in words(text.partition(". ")[0]) if word not in set(Outcome)]
    assert names[: len(fields(kind))] == [field.name for field in fields(kind)]


def test_a_report_and_the_outcomes_of_its_lines() -> None:
    text = " ".join(section("The report").split())
    shape = ", ".join(f'"{field.name}"' for field in fields(Report))
    assert (
        shape.replace('"lines"', '"lines": [...]').replace('"summary"', '"summary": {...}') in text
    )
    listed = text.partition("`outcome` (")[2].partition(")")[0]
    assert words(listed) == list(Outcome)


def test_the_states_of_a_job_are_all_told() -> None:
    text = section("What it leaves behind").partition("A job is")[2].partition("\n### ")[0]
    assert set(words(text)) == set(JobState)


def test_names_of_tracks_are_those_that_are_written() -> None:
    video = Path("Film.mkv")
    names = {sidecar_path(video, "<code>").name, subtitles_path(video, "<code>").name}
    assert names <= set(words(section("What it leaves behind")))
    assert sidecar_path(video, "es").name in section("Hear it in a few minutes")
    assert subtitles_path(video, "es").name in section("Hear it in a few minutes")


def test_every_marker_shown_is_one() -> None:
    """With the languages and options that README gives for it."""
    asks: list[str] = []
    forbids: list[str] = []
    for cell, _ in rows("Asking for something"):
        (forbids if "nodub" in cell else asks).extend(words(cell))
    for name in asks + forbids:
        kind = MarkerKind.NODUB if name in forbids else MarkerKind.DUB
        marker = parse_marker_name(name, ["Film.mkv"])
        assert marker is not None, name
        assert marker.kind is kind, name
        parse_marker(marker, b"")
    german = words(rows("Asking for something")[0][1])[:4]
    assert {parse_language(word).code for word in german} == {"de"}


def test_every_option_of_a_marker_shown_is_one() -> None:
    text = (
        section("Asking for something").partition("Further lines may say")[2].partition("When")[0]
    )
    shown = words(text)
    lines = [word for word in shown if ":" in word]
    assert [line.split(":")[0] for line in lines] == ["mode", "style", "again", "priority"]
    name = parse_marker_name("Film.mkv.dub", ["Film.mkv"])
    assert name is not None
    for line in [*lines, "mode: sidecar", "mode: both", "priority: low"]:
        parse_marker(name, line.encode())


def test_languages_said_to_be_good_are_those_that_the_profile_speaks_well() -> None:
    text = " ".join(section("Hear it in a few minutes").split())
    good = text.partition("translates fairly into ")[2].partition(". ")[0]
    bad = text.partition(f"{good}. ")[2].partition(" and others")[0]
    names = re.findall(r"[A-Z]\w+", good), re.findall(r"[A-Z]\w+", bad)
    assert all(names)
    for expected, listed in zip((True, False), names, strict=True):
        for name in listed:
            known = embedded_language(parse_language(name).code)
            assert known is not None, name
            assert known.well is expected, name


def test_every_file_linked_to_exists() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert target.startswith("https://") or (page.parent / target).exists(), (page, target)


def test_the_sizes_of_the_full_profile_s_models_are_theirs() -> None:
    """The table names the sizes of Whisper in the order of their names, then one size a model."""
    table = section("The full profile")

    def shown(*names: str) -> str:
        sizes = [all_models().find(name).size_bytes for name in names]
        return ", ".join(f"{s / 1e9:.1f} GB" if s >= 1e9 else f"{s / 1e6:.0f} MB" for s in sizes)

    sizes = [f"faster-whisper-{size.value}" for size in WhisperModel]
    assert f"| {shown(*sizes)} |" in table
    for name in (
        "speaker-diarization-community-1",
        "htdemucs",
        "gemma-3-12b-it-q4_k_m",
        "xtts-v2",
        "kokoro-82m-v1.0-int8",
    ):
        assert f"| {shown(name)} |" in table, name


def test_every_module_of_the_architecture_exists() -> None:
    text = section("Architecture")
    drawing = text.partition("```")[2].partition("```")[0]
    named = re.findall(r"\b([a-z_]+(?:\.py|/))", drawing)
    inline = [w for w in words(text.partition("```")[2].partition("```")[2])
              if re.fullmatch(r"[a-z_/]+(?:\.py|/|\.toml)", w)]  # fmt: skip
    assert {"daemon.py", "dubbing/", "errors.py"} <= set(named)
    for name in named + inline:
        package, module = ROOT / "dubarr_watch" / name, ROOT / name
        assert package.exists() or module.exists(), name
