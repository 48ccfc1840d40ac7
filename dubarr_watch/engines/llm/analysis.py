"""A whole film, understood in parts: each part is read for itself, then the parts are put together.

People and terms are put together here, by voice number and name; only the summary goes back to
the model. What it says is held against the film: voices that nobody has, terms that nobody says
and answers out of bounds are dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, cast

from dubarr_watch.engines.llm.answers import (
    json_object,
    obeys_the_film,
    only_objects,
    only_text,
)
from dubarr_watch.engines.texts import Address, Character, FilmContext, SpokenText, Term
from dubarr_watch.engines.translation_checks import in_script, normalised

_NAME_CHARS = 60
_MANNER_CHARS = 120
_SUMMARY_CHARS = 1500
_MOST_CHARACTERS = 40
_MOST_TERMS = 120
_GENDERS = ("female", "male", "unknown")


def film_of(
    content: str, texts: Sequence[SpokenText], *, target: str, rules: str
) -> FilmContext | None:
    """Return what an answer says of a part of a film; None when it is no usable answer.

    Args:
        content: The answer.
        texts: The part.
        target: ISO 639-1 code of the glossary's language.
        rules: The system message, which no answer may repeat.
    """
    found = json_object(content)
    said = "\n".join(text.text for text in texts)
    summary = only_text(found, "summary", _SUMMARY_CHARS)
    if not summary or not in_script(summary, "en") or obeys_the_film(summary, said, rules):
        return None
    speakers = {text.speaker for text in texts}
    people = [_character(one, speakers) for one in only_objects(found, "characters")]
    terms = [_term(one, said, target) for one in only_objects(found, "glossary")]
    return FilmContext(
        summary,
        tuple(one for one in people if one is not None)[:_MOST_CHARACTERS],
        tuple(one for one in terms if one is not None)[:_MOST_TERMS],
    )


def summary_of(content: str, parts: Sequence[str], *, rules: str) -> str:
    """Return the summary in an answer; empty when it is no usable one."""
    summary = only_text(json_object(content), "summary", _SUMMARY_CHARS)
    leaks = obeys_the_film(summary, " ".join(parts), rules)
    return "" if leaks or not in_script(summary, "en") else summary


def put_together(
    parts: Sequence[FilmContext], texts: Sequence[SpokenText], summary: str
) -> FilmContext:
    """Return one context for a film of what its parts say; the most talkative people come first."""
    lines = Counter(text.speaker for text in texts)
    people = _people([one for part in parts for one in part.characters])
    people.sort(key=lambda one: -lines[one.speaker] if one.speaker is not None else 0)
    targets: dict[str, Counter[str]] = {}
    spelled: dict[str, str] = {}
    for term in (term for part in parts for term in part.glossary):
        key = term.source.casefold()
        spelled.setdefault(key, term.source)
        targets.setdefault(key, Counter())[term.target] += 1
    terms = [Term(spelled[key], found.most_common(1)[0][0]) for key, found in targets.items()]
    return FilmContext(summary, tuple(people[:_MOST_CHARACTERS]), tuple(terms[:_MOST_TERMS]))


def _people(found: Iterable[Character]) -> list[Character]:
    """Make one of all that have a voice in common, or a name where no voice tells them apart."""
    groups: list[list[Character]] = []
    for one in found:
        for group in groups:
            if _same(one, group):
                group.append(one)
                break
        else:
            groups.append([one])
    return [_merged(group) for group in groups]


def _same(one: Character, group: Sequence[Character]) -> bool:
    voices = {other.speaker for other in group} - {None}
    if one.speaker is not None and voices:
        return one.speaker in voices
    return normalised(one.name) in {normalised(other.name) for other in group}


def _merged(group: Sequence[Character]) -> Character:
    exceptions = dict.fromkeys(name for one in group for name in one.except_to)
    return Character(
        name=Counter(one.name for one in group).most_common(1)[0][0],
        gender=cast(
            'Literal["female", "male", "unknown"]',
            _most([one.gender for one in group], "unknown"),
        ),
        speaker=next((one.speaker for one in group if one.speaker is not None), None),
        manner=next((one.manner for one in group if one.manner), ""),
        address=Address(_most([one.address for one in group], Address.UNKNOWN)),
        except_to=tuple(exceptions),
    )


def _most(values: Sequence[str], unknown: str) -> str:
    known = Counter(value for value in values if value != unknown)
    return known.most_common(1)[0][0] if known else unknown


def _character(values: Mapping[str, object], speakers: set[int]) -> Character | None:
    name = only_text(values, "name", _NAME_CHARS)
    if not name:
        return None
    speaker = values.get("speaker")
    known = isinstance(speaker, int) and not isinstance(speaker, bool) and speaker in speakers
    gender = values.get("gender")
    others = values.get("except_to")
    return Character(
        name=name,
        gender=cast(
            'Literal["female", "male", "unknown"]', gender if gender in _GENDERS else "unknown"
        ),
        speaker=cast(int, speaker) if known else None,
        manner=only_text(values, "manner", _MANNER_CHARS),
        address=_address(values.get("address")),
        except_to=tuple(
            " ".join(other.split())[:_NAME_CHARS]
            for other in (others if isinstance(others, list) else [])[:_MOST_CHARACTERS]
            if isinstance(other, str) and other.strip()
        ),
    )


def _address(value: object) -> Address:
    return next((one for one in Address if one.value == value), Address.UNKNOWN)


def _term(values: Mapping[str, object], said: str, target: str) -> Term | None:
    """Return a term that occurs in the film and whose target could be spoken in its place."""
    source, spoken = only_text(values, "source", _NAME_CHARS), only_text(values, "target", 2**10)
    if not source or not spoken or source.casefold() not in said.casefold():
        return None
    if len(spoken) > 3 * len(source) + 10 or len(spoken.split()) > 2 * len(source.split()) + 3:
        return None
    return Term(source, spoken) if spoken == source or in_script(spoken, target) else None
