"""`dubarr-watch glossary`: what names and terms are called in the dubs of a series or film."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.markup import escape

from dubarr_watch.cli.common import opened_store, out, print_json, ready_settings, told_as_json
from dubarr_watch.dubbing.series_memory import SeriesMemory
from dubarr_watch.errors import NotInStore, WrongUsage
from dubarr_watch.languages import parse_language
from dubarr_watch.library.naming import has_video_ending
from dubarr_watch.settings import Settings
from dubarr_watch.store.glossary import Glossary, TermRecord


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("glossary")(glossary)


def glossary(
    path: Path = typer.Argument(..., help="A video, or the folder of a series."),
    lang: str = typer.Option(
        "", "--lang", "-l", help="Language of the dub. Default: TARGET_LANGS, if that is one."
    ),
    set_: list[str] = typer.Option(
        [], "--set", "-s", help='What the dub says for a name or word: "Winterfell=Invernalia".'
    ),
    forget: list[str] = typer.Option([], "--forget", help="A term that is not decided any more."),
    json_: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Show or change the names and terms that stay the same through a series or film.

    Later dubs keep to them; a dub that is there already stays as it is.
    """
    with told_as_json(json_):
        settings = ready_settings()
        with opened_store(settings) as store:
            scope = _scope(path.absolute(), settings, store.glossary)
            for pair in set_:
                source, spoken = _pair(pair)
                store.glossary.set(scope, _language(lang, settings), source, spoken)
            for term in forget:
                code = parse_language(lang).code if lang else None
                if not store.glossary.forget(scope, term, code):
                    raise NotInStore(f"There is no term '{term}'.", hint="Without --forget the "
                                     "command lists those that there are.")  # fmt: skip
            code = parse_language(lang).code if lang else None
            _show(store.glossary.terms(scope, code), as_json=json_)


def _scope(path: Path, settings: Settings, kept: Glossary) -> str:
    """Return whose terms are meant: those of a video's series, or of a folder's only one."""
    if not path.is_dir():
        if not has_video_ending(path.name):
            raise WrongUsage("This is neither a video nor a folder.", path=path)
        return SeriesMemory.of(path, settings.videos_dir.absolute(), kept).scope
    videos = (file for file in sorted(path.rglob("*")) if has_video_ending(file.name))
    found = {SeriesMemory.of(one, settings.videos_dir.absolute(), kept).scope for one in videos}
    if len(found) != 1:
        what = "several series or films" if found else "no video"
        raise WrongUsage(f"There is {what} in this folder.", hint="Name a video.", path=path)
    return found.pop()


def _language(lang: str, settings: Settings) -> str:
    if lang:
        return parse_language(lang).code
    if len(settings.target_langs) != 1:
        raise WrongUsage("Which language is it for?", hint="Say it with --lang.")
    return settings.target_langs[0].code


def _pair(text: str) -> tuple[str, str]:
    source, mark, spoken = (" ".join(part.split()) for part in text.partition("="))
    if not (source and mark and spoken):
        raise WrongUsage(f"'{text}' is no term.", hint='Write it as "Winterfell=Invernalia".')
    return source, spoken


def _show(terms: list[TermRecord], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "language": one.language,
                    "source": one.source,
                    "spoken": one.spoken,
                    "by_person": one.by_person,
                }
                for one in terms
            ]
        )
        return
    for one in terms:
        by = "  (set by a person)" if one.by_person else ""
        out.print(f"{one.language}  {escape(one.source)} = {escape(one.spoken)}{by}")
    if not terms:
        out.print("Nothing is decided yet.")
