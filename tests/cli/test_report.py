"""`dubarr-watch report` and `redo`, on a job that `dub` made with mock engines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.store import Store
from dubarr_watch.store.records import JobState
from tests.cli.conftest import Call, Home
from tests.composing import make_talk


@pytest.fixture
def film(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOCK_MODE", "true")
    monkeypatch.setenv("THREADS", "1")
    monkeypatch.setenv("LOG_LEVEL", "error")
    monkeypatch.setenv("COLUMNS", "200")
    home.videos.mkdir(parents=True)
    return make_talk(home.videos / "Film.mkv")


def flag(home: Home, index: int, heard: str) -> None:
    """Make a line of the report one to check, as if something else had been heard."""
    path = home.config / "reports" / "1.es.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    found["lines"][index] |= {"check": True, "outcome": "misspoken", "wer": 1.0, "heard": heard}
    path.write_text(json.dumps(found), encoding="utf-8")


def test_a_report_is_read_listened_to_and_mended(
    call: Call, home: Home, film: Path, store: Store, tmp_path: Path
) -> None:
    """A table with the lines to check first, the page, and a line made anew."""
    assert call("dub", film, "--lang", "es").exit_code == 0
    flag(home, 1, "[bold]otra[/bold] cosa")
    shown = call("report", film)
    assert shown.exit_code == 0
    words = shown.stdout
    assert words.index("misspoken") < words.index(" ok ")
    assert "[bold]otra[/bold]" in " ".join(words.split())
    (document,) = call("report", "1", "--json").document
    assert [line["index"] for line in document["lines"]] == [0, 1, 2]
    page = tmp_path / "page.html"
    assert call("report", "1", "--html", page).exit_code == 0
    assert 'id="line-1"' in page.read_text(encoding="utf-8")

    said = call("redo", "1", "--line", "1", "--text", "Otra frase.", "--json")
    assert said.exit_code == 0, said
    made = said.document
    assert list(made) == ["job", "language", "state", "reason", "line", "tracks", "report"]
    assert (made["line"]["text"], made["line"]["outcome"]) == ("Otra frase.", "ok")
    (document,) = call("report", "1", "--json").document
    assert document["lines"][1]["text"] == "Otra frase."
    (result,) = store.jobs.results(1)
    assert json.loads(result.summary)["lines_to_check"] == 0
    assert store.jobs.get(1).state is JobState.DONE
    told = call("redo", film, "--line", "0")
    assert "Line 0 now says:" in told.stdout

    film.with_name("Film.Dubarr.es.mka").unlink()
    gone = call("report", "1", "--html", page)
    assert (gone.exit_code, "track is gone" in gone.stderr) == (2, True)


def test_media_servers_are_to_look_at_a_dub_and_again_at_a_line_made_anew(
    call: Call, film: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept for the daemon, which tells them."""
    monkeypatch.setenv("KODI_URL", "http://kodi.example")

    def pending() -> list[int]:
        rows = store.notifications.pending(looks=True)
        assert {row.event for row in rows} <= {"look:kodi"}
        return [row.id for row in rows]

    assert call("dub", film, "--lang", "es").exit_code == 0
    (first,) = pending()
    store.notifications.settle([first], "sent", "", 1)
    assert call("redo", film, "--line", "0").exit_code == 0
    (second,) = pending()
    assert second != first


def test_of_several_languages_one_is_named(
    call: Call, home: Home, film: Path, tmp_path: Path
) -> None:
    """For a page and for a line; the table shows them all."""
    assert call("dub", film, "--lang", "es", "--lang", "fr", "--mode", "mux").exit_code == 0
    shown = call("report", "1").stdout
    assert "Spanish: lines" in shown
    assert "French: lines" in shown
    refused = call("report", "1", "--html", tmp_path / "page.html")
    assert (refused.exit_code, "--lang es or --lang fr" in refused.stderr) == (2, True)
    assert call("report", "1", "--html", tmp_path / "p.html", "--lang", "fr").exit_code == 0
    refused = call("redo", "1", "--line", "0")
    assert (refused.exit_code, "--lang es or --lang fr" in refused.stderr) == (2, True)
    refused = call("redo", "1", "--line", "0", "--lang", "de")
    assert (refused.exit_code, "no track in German" in refused.stderr) == (2, True)
    assert call("redo", "1", "--line", "0", "--lang", "French", "--text", "Oui.").exit_code == 0
    assert "Oui." in call("report", "1", "--lang", "fr").stdout
    assert "Oui." not in call("report", "1", "--lang", "es").stdout


def test_what_is_not_there_is_said(call: Call, home: Home, film: Path) -> None:
    """No job, no report, no text, no work kept."""
    assert call("report", "7").exit_code == 2
    assert call("dub", film, "--lang", "es").exit_code == 0
    assert "no report in German" in call("report", "1", "--lang", "de").stderr
    assert call("redo", "1", "--line", "0", "--text", " ").exit_code == 2
    assert "no line 99" in call("redo", "1", "--line", "99").stderr
    (home.config / "work" / "1" / "dub.es.kept.json").write_text("{}")
    refused = call("redo", "1", "--line", "0", "--json")
    assert (refused.exit_code, "KEEP_WORK_DAYS" in refused.document["hint"]) == (2, True)
    (home.config / "reports" / "1.es.json").write_text("[]")
    assert call("report", "1").exit_code == 1
    (home.config / "reports" / "1.es.json").unlink()
    assert call("report", "1").exit_code == 2


def test_a_line_that_says_another_name_than_the_rest_is_told_so(call: Call, film: Path) -> None:
    """The name stays decided: one line is no reason for others."""
    assert call("dub", film, "--lang", "es").exit_code == 0
    (document,) = call("report", film, "--json").document
    name = document["lines"][0]["source_text"].split()[0]
    assert call("glossary", film, "-l", "es", "--set", f"{name}=Invernalia").exit_code == 0
    told = " ".join(call("redo", film, "--line", "0", "--text", "Otra frase.").stdout.split())
    assert f"'Invernalia' is decided for '{name}' and stays so" in told
    told = call("redo", film, "--line", "0", "--text", "De Invernalia.").stdout
    assert "is decided for" not in told
    (term,) = call("glossary", film, "--json").document
    assert term["spoken"] == "Invernalia"
