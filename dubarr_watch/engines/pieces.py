"""Pieces of time, searched without looking at all of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import Generic, Protocol, TypeVar


class _Piece(Protocol):
    @property
    def start_s(self) -> float: ...

    @property
    def end_s(self) -> float: ...


Piece = TypeVar("Piece", bound=_Piece)


class Timeline(Generic[Piece]):
    """Pieces of time in order of start; they may overlap."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces = sorted(pieces, key=lambda piece: piece.start_s)
        self._starts = [piece.start_s for piece in self._pieces]
        self._ends = list(accumulate((piece.end_s for piece in self._pieces), max))

    def touching(self, start_s: float, end_s: float) -> list[Piece]:
        """Return what shares more than a point with a stretch."""
        near = self._pieces[bisect_right(self._ends, start_s) : bisect_left(self._starts, end_s)]
        return [piece for piece in near if piece.end_s > start_s]

    def around(self, start_s: float, end_s: float) -> list[Piece]:
        """Return what touches a stretch, and the neighbours on both sides of it."""
        first = max(bisect_right(self._ends, start_s) - 1, 0)
        return self._pieces[first : bisect_left(self._starts, end_s) + 1]
