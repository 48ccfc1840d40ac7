"""`dubarr-watch models`: what a profile is made of."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

import typer
from rich.filesize import decimal
from rich.table import Table

from dubarr_watch.cli.common import err, out, print_json, ready_settings, told_as_json
from dubarr_watch.cli.pull_progress import shown_progress
from dubarr_watch.engines import catalog
from dubarr_watch.engines.catalog import (
    FileCheck,
    FileState,
    Model,
    ModelList,
    ModelState,
    ModelStatus,
)
from dubarr_watch.errors import ExitCode, printable
from dubarr_watch.settings import Settings

_NAMES = typer.Argument(
    None, metavar="[NAME...]", help="Which models; those of the profile unless told."
)
_JSON = typer.Option(False, "--json", help="Print one JSON document.")
_COLOURS = {"ready": "green", "ok": "green", "damaged": "red", "missing": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="The models of the profile in use.")
    group.command("list")(list_models)
    group.command("pull")(pull)
    group.command("verify")(verify)
    app.add_typer(group, name="models")


def list_models(json_: bool = _JSON) -> None:
    """Show each model: what it does, how large it is, its licence, and whether it is there."""
    with told_as_json(json_):
        settings = ready_settings()
        known = catalog.status(settings.models_dir, models=catalog.models_of(settings))
        if json_:
            folder = printable(settings.models_dir)
            print_json({"models_dir": folder, "models": [_as_json(one) for one in known]})
            return
        out.print(_table(known))
        out.print(f"Folder: {settings.models_dir}", markup=False)
        _tell_what_is_left_out({one.model.name: one.left_out for one in known})
        _tell_what_is_asked([one.model for one in known if one.state is not ModelState.READY])
        if any(one.state is not ModelState.READY for one in known):
            out.print("Get what is missing: [bold]dubarr-watch models pull[/bold]")


def pull(names: list[str] | None = _NAMES, json_: bool = _JSON) -> None:
    """Fetch the models that are not there yet, verified; go on where an earlier pull stopped."""
    with told_as_json(json_):
        settings = ready_settings()
        models = _models(settings, names)
        token = settings.hf_token.get_secret_value() if settings.hf_token else None
        agreed = ["COQUI_TOS_AGREED"] if settings.coqui_tos_agreed else []
        with shown_progress(err) as progress:
            pulled = catalog.pull(
                names or None,
                settings.models_dir,
                progress,
                models=models,
                hf_token=token,
                agreed=agreed,
            )
        if json_:
            print_json({"models": [asdict(one) | {"folder": one.folder} for one in pulled]})
            return
        for one in pulled:
            how = f"fetched in {one.took_s:.0f} s" if one.fetched else "was there already"
            out.print(f"[green]ready[/green]  {one.model}  {how}")
        ready = {one.model.name: one.left_out for one in catalog.status(settings.models_dir,
                                                                        models=models)}  # fmt: skip
        _tell_what_is_left_out({one.model: ready[one.model] for one in pulled})


def verify(names: list[str] | None = _NAMES, json_: bool = _JSON) -> None:
    """Hash every file again and compare: ok, missing or damaged.

    Exit code 1 when something is damaged, 4 when something is missing.
    """
    with told_as_json(json_):
        settings = ready_settings()
        models = _models(settings, names)
        wanted = models.select(names or None)  # a wrong name ends it before anything is hashed
        known = catalog.status(settings.models_dir, models=models)
        left_out = {(one.model.name, path) for one in known for path in one.left_out}
        with shown_progress(err) as progress:
            checks = catalog.verify(names or None, settings.models_dir, progress, models=models)
        found = [
            _verified(model, [check for check in checks if check.model == model.name], left_out)
            for model in wanted
        ]
        if json_:
            print_json({"models": found})
        else:
            _tell_what_was_found(found)
        states = {one["state"] for one in found}
        if "damaged" in states:
            raise typer.Exit(ExitCode.FAILED)
        if "missing" in states:
            raise typer.Exit(ExitCode.USER_MUST_PROVIDE)


def _models(settings: Settings, names: list[str] | None) -> ModelList:
    """Return the profile's models; every model that there is where one of those is asked for."""
    models, every = catalog.models_of(settings), catalog.all_models()
    if names and not set(names) <= set(models.names()) and set(names) <= set(every.names()):
        return every
    return models


def _table(known: list[ModelStatus]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("State", "Model", "Size", "Licence"):
        table.add_column(title, no_wrap=title != "Model")
    for one in known:
        model, colour = one.model, _COLOURS[one.state.value]
        state = f"[{colour}]{one.state.value}{'*' if one.left_out else ''}[/{colour}]"
        what = f"{model.name}\n[dim]{model.role}; from {_source(model)}[/dim]"
        table.add_row(state, what, decimal(model.size_bytes), model.licence)
    return table


def _source(model: Model) -> str:
    """Return where a model comes from: its hub, and what carries it besides."""
    hubs = {urlsplit(file.url).hostname for file in model.files if file.url}
    clients = {part.package.client for file in model.files for recipe in file.recipes
               for part in recipe}  # fmt: skip
    named = sorted(host for host in hubs if host)
    named += [f"{client} packages" for client in sorted(clients)]
    return ", or ".join(named)


def _as_json(one: ModelStatus) -> dict[str, Any]:
    return {
        "name": one.model.name,
        "role": one.model.role,
        "size_bytes": one.model.size_bytes,
        "licence": one.model.licence,
        "homepage": one.model.homepage,
        "gated": one.model.gated,
        "agreement": one.model.agreement,
        "source": _source(one.model),
        "state": one.state.value,
        "left_out": list(one.left_out),
        "folder": one.folder,
    }


def _tell_what_is_left_out(left_out: dict[str, tuple[str, ...]]) -> None:
    for name, files in left_out.items():
        if files:
            shown = ", ".join(files[:4]) + (f" and {len(files) - 4} more" if len(files) > 4 else "")
            out.print(
                f"* {name} works without {shown}: no source had "
                "them. `dubarr-watch models pull` tries again."
            )


def _tell_what_is_asked(missing: list[Model]) -> None:
    for model in missing:
        if model.gated:
            out.print(
                f"{model.name} needs HF_TOKEN, of an account that accepted the conditions at "
                f"{model.homepage}",
                markup=False,
            )
        if model.agreement:
            out.print(f"{model.name} is under {model.terms}: {model.agreement}=true accepts that.")


def _verified(
    model: Model, checks: list[FileCheck], left_out: set[tuple[str, str]]
) -> dict[str, Any]:
    files = [
        {
            "path": check.file.path,
            "state": "left_out"
            if check.state is FileState.MISSING and (check.model, check.file.path) in left_out
            else check.state.value,
            "want_sha256": check.file.sha256,
            "got_sha256": check.got_sha256,
        }
        for check in checks
    ]
    states = {file["state"] for file in files}
    state = next((worst for worst in ("damaged", "missing") if worst in states), "ok")
    return {"name": model.name, "state": state, "files": files}


def _tell_what_was_found(found: list[dict[str, Any]]) -> None:
    for one in found:
        colour = _COLOURS[one["state"]]
        out.print(f"[{colour}]{one['state']:8}[/{colour}]{one['name']}")
        for file in one["files"]:
            if file["state"] in ("damaged", "missing"):
                out.print(f"          {file['path']}: {file['state']}")
    if any(one["state"] != "ok" for one in found):
        out.print("Fetch them again: [bold]dubarr-watch models pull[/bold]")
