"""Templates into answers."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from dubarr_watch.web.page import words

REGIONS_HEADER = "x-regions"
"""Names of the blocks that a script wants anew, instead of the whole page."""


class Renderer:
    """Makes pages.

    Args:
        base: URL_BASE.
        version: Of this program.
    """

    def __init__(self, base: str, version: str) -> None:
        self.base = base
        self._environment = Environment(
            loader=PackageLoader("dubarr_watch.web", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(words.FILTERS)
        self._environment.globals.update(base=base, version=version)
        self._environment.globals["ui"] = self._environment.get_template("ui.html.j2").module

    def show(self, request: Request, name: str, *, code: int = 200, **context: Any) -> HTMLResponse:
        """Return a page, or of it only the regions that the request names.

        Args:
            request: What is answered.
            name: Of the template, without its ending.
            code: HTTP's status.
            **context: What the template shows.
        """
        template = self._environment.get_template(f"{name}.html.j2")
        wanted = request.headers.get(REGIONS_HEADER, "").split()
        if not wanted:
            return HTMLResponse(template.render(context), code)
        scope = template.new_context(context)
        parts = [template.blocks[one](scope) for one in wanted if one in template.blocks]
        return HTMLResponse("".join("".join(part) for part in parts), code)


def renderer(request: Request) -> Renderer:
    """Return what makes the pages of the app that a request came to."""
    found: Renderer = request.app.state.renderer
    return found
