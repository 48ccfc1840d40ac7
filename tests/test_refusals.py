"""The daemon, the speech process and the language model let nobody in, and lead nobody out."""

from __future__ import annotations

from pathlib import Path

from tests.refusals import ask_for_what_is_forbidden


def test_all_that_is_forbidden_is_refused_and_nobody_else_can_ask(tmp_path: Path) -> None:
    found = ask_for_what_is_forbidden(tmp_path)
    assert found.let_in == []
    assert found.strangers == []
    assert set(found.refused) == {
        "nobody", "wrong key", "wrong password", "another site", "webhook", "jobs", "upload",
        "hidden paths", "speech process", "language model",
    }  # fmt: skip
    assert sum(found.refused.values()) > 200
