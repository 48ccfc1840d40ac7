"""The quality report as one page that needs nothing else: no server, no other file, no network."""

from __future__ import annotations

from dubarr_watch.dubbing.page.making import SOUND_BUDGET_BYTES, Sources, make_page

__all__ = ["SOUND_BUDGET_BYTES", "Sources", "make_page"]
