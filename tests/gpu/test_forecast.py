"""How long a film hour takes, from made-up stage times on described cards."""

from __future__ import annotations

import pytest

from dubarr_watch.errors import WrongUsage
from dubarr_watch.gpu.forecast import cards_from, forecast, one_more
from dubarr_watch.gpu.plan import Plan, StageNeed, make_plan
from dubarr_watch.settings import load_settings

SECONDS = {"extract": 60.0, "transcribe": 240.0, "translate": 600.0, "synthesize": 900.0,
           "mix": 100.0}  # fmt: skip
NEEDS = (
    StageNeed("transcriber", "whisper", 3000),
    StageNeed("translator", "gemma", 10_000),
    StageNeed("synthesizer", "xtts", 4000),
)


def planned(cards: str) -> Plan:
    return make_plan(cards_from(cards) if cards else [], NEEDS, load_settings())


def test_without_a_card_each_film_waits_for_the_one_before() -> None:
    found = forecast(planned(""), SECONDS)
    assert (found.film_s, found.next_language_s) == (1900.0, 1600.0)
    assert found.queue_s == 1900.0


def test_on_one_card_what_needs_none_costs_a_queue_nothing() -> None:
    """Mixing one film goes on beside the models of the next."""
    found = forecast(planned("12GB"), SECONDS)
    assert found.film_s == 1900.0
    assert found.queue_s == 240 + 600 + 900
    assert found.bottleneck == "GPU 0 (12 GB)"


def test_a_second_card_is_as_good_as_what_moves_there() -> None:
    """Two jobs at a time cannot be faster than half of one."""
    two = planned("12GB,8GB")
    assert two.side_by_side
    found = forecast(two, SECONDS)
    assert found.queue_s == max(240 + 900, 1900 / 2)
    assert found.bottleneck == "GPU 1 (8 GB)"


def test_one_more_card_is_like_the_largest() -> None:
    assert [gpu.total_mib for gpu in one_more(cards_from("8GB,12GB"))] == [8192, 12288, 12288]
    assert [gpu.index for gpu in one_more(cards_from("8GB,12GB"))] == [0, 1, 2]
    assert [gpu.total_mib for gpu in one_more([])] == [12288]


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("12GB,8GB", [12288, 8192]),
        (" 2x24 gb ", [24576, 24576]),
        ("11.5GiB, 6144MiB", [11776, 6144]),
    ],
)
def test_cards_are_described_as_people_do(text: str, sizes: list[int]) -> None:
    assert [gpu.total_mib for gpu in cards_from(text)] == sizes


@pytest.mark.parametrize("text", ["", ",", "12", "GB", "12GB;8GB", "-1GB", "65x8GB", "12GB 8GB"])
def test_what_describes_no_card_says_how(text: str) -> None:
    with pytest.raises(WrongUsage):
        cards_from(text)
