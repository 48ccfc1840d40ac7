"""The page: HTML made here, kept up to date by small scripts, readable without them.

rendering.py  templates into answers; one region of a page alone, when a script asks for it
words.py      values as people read them
errors.py     problems in words, for whoever asked for a page
queue.py library.py jobs.py machine.py   a room a view
actions.py    forms that change something, each one call of the desk
../templates  Jinja2; each `block` of a view that is a region has the region's id
../static     our own styles and scripts, nothing from elsewhere
"""

from __future__ import annotations

from dubarr_watch.web.page.mounting import mount

__all__ = ["mount"]
