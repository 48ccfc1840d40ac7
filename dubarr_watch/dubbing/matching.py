"""Pairs of two groups that are worth most together, each member in one pair at most."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def assign(worth: npt.NDArray[np.float64]) -> dict[int, int]:
    """Return the pairs (row, column) of greatest total worth; those worth nothing are left out.

    The Hungarian method by shortest augmenting paths (Jonker and Volgenant 1987), in the time of
    rows² x columns. `scipy.optimize` has it too, for 35 MiB of memory in a daemon.

    Args:
        worth: Of each pair, shape (rows, columns); below 0 for pairs that are not to be.
    """
    rows, columns = worth.shape
    # A column of its own for each row: to be left alone is worth nothing.
    cost = np.hstack([-np.maximum(worth, 0.0), np.zeros((rows, rows))])
    row_of = np.full(columns + rows, -1)
    by_row, by_column = np.zeros(rows), np.zeros(columns + rows)
    for start in range(rows):
        nearest = np.full(columns + rows, np.inf)
        before = np.full(columns + rows, -1)
        done = np.zeros(columns + rows, dtype=bool)
        row, at = start, -1
        while True:
            if at >= 0:
                done[at] = True
            reduced = cost[row] - by_row[row] - by_column
            shorter = ~done & (reduced < nearest)
            nearest[shorter] = reduced[shorter]
            before[shorter] = at
            step_to = int(np.where(done, np.inf, nearest).argmin())
            step = nearest[step_to]
            by_row[start] += step
            by_row[row_of[done]] += step
            by_column[done] -= step
            nearest[~done] -= step
            at = step_to
            if row_of[at] < 0:
                break
            row = int(row_of[at])
        while at >= 0:
            previous = int(before[at])
            row_of[at] = row_of[previous] if previous >= 0 else start
            at = previous
    return {
        int(row): column
        for column, row in enumerate(row_of[:columns])
        if row >= 0 and worth[row, column] > 0
    }
