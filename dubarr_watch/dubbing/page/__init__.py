"""The quality report as one page that needs nothing else: no server, no other file, no network."""

from __future__ import annotations

from dubarr_watch.dubbing.page.making import SOUND_BUDGET_BYTES, Sources, make_page, stretch
from dubarr_watch.dubbing.page.sound import cut

__all__ = ["SOUND_BUDGET_BYTES", "Sources", "cut", "make_page", "stretch"]
