"""/docs and /openapi.json: the API described, by a page of our own that needs no other host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse, JSONResponse

from dubarr_watch.web.page.rendering import renderer
from dubarr_watch.web.problems import MEDIA_TYPE

router = APIRouter(include_in_schema=False)

_PROBLEM = {"$ref": "#/components/schemas/Problem"}


@dataclass(frozen=True, slots=True)
class Operation:
    """What /docs shows of one operation."""

    method: str
    path: str
    summary: str
    description: str
    parameters: list[dict[str, Any]]
    body: list[tuple[str, dict[str, Any]]]
    answers: list[tuple[str, str]]


@router.get("/openapi.json")
def openapi_document(request: Request) -> JSONResponse:
    """The OpenAPI document."""
    base = request.scope.get("root_path", "")
    return JSONResponse(openapi(request.app) | ({"servers": [{"url": base}]} if base else {}))


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """The same for people."""
    document = openapi(request.app)
    groups: dict[str, list[Operation]] = {}
    for tag, operation in _operations(document):
        groups.setdefault(tag, []).append(operation)
    return renderer(request).show(request, "docs", groups=groups, info=document["info"])


def openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of an app, made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes,
                               description=app.description)  # fmt: skip
        for path in document["paths"].values():
            for operation in path.values():
                refused = operation["responses"]["4XX"]
                refused["content"] = {MEDIA_TYPE: {"schema": _PROBLEM}}
        document["components"]["securitySchemes"] = {
            "basic": {"type": "http", "scheme": "basic"},
            "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        }
        document["security"] = [{"basic": []}, {"key": []}]
        document["paths"]["/health"]["get"]["security"] = []
        app.openapi_schema = document
    return app.openapi_schema


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, Operation]]:
    for path, methods in document["paths"].items():
        for method, found in methods.items():
            body = found.get("requestBody", {}).get("content", {})
            yield (
                (found.get("tags") or ["other"])[0],
                Operation(
                    method.upper(),
                    path,
                    found.get("summary", ""),
                    found.get("description", ""),
                    found.get("parameters", []),
                    [
                        (kind, _resolved(one.get("schema", {}), document))
                        for kind, one in body.items()
                    ],
                    [(code, one["description"]) for code, one in found["responses"].items()],
                ),
            )


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found
