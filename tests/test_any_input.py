"""Whatever others write is read or refused, at once: no crash, no hang."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.any_input import PARSERS, SEEDS, take

LONGEST_S = 1.0


@pytest.mark.parametrize("kind", PARSERS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_bytes_are_read_or_refused_at_once(kind: str, data: st.DataObject) -> None:
    """Bytes from nowhere, and good ones that are cut, repeated and changed in places."""
    good = data.draw(st.sampled_from(SEEDS[kind]))
    at = data.draw(st.integers(0, len(good)))
    given_ = data.draw(
        st.binary(max_size=300)
        | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))
        | st.binary(max_size=20).map(lambda new: good[:at] + new + good[at + len(new) :])
        | st.integers(2, 200).map(lambda times: good[:at] * times)
    )
    begun = time.thread_time()
    take(kind, given_)
    assert time.thread_time() - begun < LONGEST_S


@pytest.mark.parametrize("kind", SEEDS)
def test_what_is_known_to_be_odd_is_read_or_refused(kind: str) -> None:
    """Among it there is something that is taken, so that a parser that refuses all is noticed."""
    assert set(SEEDS) == set(PARSERS)
    taken = [take(kind, data) for data in SEEDS[kind]]
    assert any(taken) or kind == "models"


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 50_000, b"{" * 200_000, b"\n" * 10**6],
                         ids=["brackets", "nested", "braces", "lines"])  # fmt: skip
@pytest.mark.parametrize("kind", PARSERS)
def test_much_of_it_takes_no_time(kind: str, data: bytes) -> None:
    begun = time.thread_time()
    take(kind, data)
    assert time.thread_time() - begun < 10 * LONGEST_S
