"""What a model answered, taken apart: JSON wherever it is, and what makes it no answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from dubarr_watch.engines.texts import SpokenText
from dubarr_watch.engines.translation_checks import normalised

_THOUGHTS = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_MOST_BRACES = 100
"""Where an object may begin: what has more braces before it was made to be slow."""
_LEAKED_WORDS = 7
_KEPT_WORDS = 1 / 3
_LONGER, _LONGER_CHARS = 1.5, 12
_REFUSAL = re.compile(
    r"(?i)\bas an? (?:ai|artificial|large language|language model)\b|\blanguage model\b"
    r"|\bi(?:'m| am) (?:sorry|unable|not able),? (?:but )?(?:i|to) (?:can(?:no|')?t |cannot )?"
    r"(?:assist|help|comply|translate|fulfil)"
    r"|\bi can(?:no|['’])t (?:assist|help) with (?:that|this)\b"
)


def json_object(text: str) -> dict[str, object]:
    """Return the one JSON object in an answer; empty when there is none that can be trusted.

    Markdown around it, thoughts before it and words after it are passed over. An object with a
    key twice is none: nobody knows which value was meant.
    """
    text = _THOUGHTS.sub("", text)
    decoder = json.JSONDecoder(object_pairs_hook=_once_each)
    at = text.find("{")
    for _ in range(_MOST_BRACES):
        if at < 0:
            break
        try:
            found, _ = decoder.raw_decode(text, at)
        except _TwiceError:
            return {}
        except (ValueError, RecursionError):
            # Cut off, or a brace of the words before it.
            at = text.find("{", at + 1)
            continue
        return found if isinstance(found, dict) else {}
    return {}


def exact_texts(content: str, keys: Iterable[str]) -> dict[str, str]:
    """Return the texts of an answer by key; none when it has a key that nobody asked for.

    An answer with other keys does not fit the question, so the rest of it is not trusted either.
    Missing keys and values that are no text are only left out.
    """
    asked = set(keys)
    found = json_object(content)
    if len(found) == 1 and not asked & found.keys():
        (inner,) = found.values()  # {"lines": {...}}
        found = inner if isinstance(inner, dict) else {}
    if not found.keys() <= asked:
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str)}


def obeys_the_film(answer: str, source_text: str, rules: str) -> bool:
    """Tell whether an answer speaks as the model and not as the film.

    It does when it repeats the rules it was given, or speaks of itself as a model, and the film
    does not.

    Args:
        answer: What the model said in place of a line.
        source_text: The line.
        rules: The system message.
    """
    if _REFUSAL.search(answer) and not _REFUSAL.search(source_text):
        return True
    said, known = normalised(answer).split(), f" {normalised(rules)} "
    return any(f" {' '.join(run)} " in known for run in _runs(said, _LEAKED_WORDS))


def is_correction(answer: str, text: SpokenText) -> bool:
    """Tell whether a wording has only heard or written words, and is still what was heard."""
    words, heard = words_of([answer]), words_of([text.text])
    return (
        bool(words)
        and words <= words_of([text.text, text.reference])
        and len(words & heard) >= _KEPT_WORDS * len(heard)
        # What is only in the subtitle was shortened or belongs to another line.
        and len(answer) <= _LONGER * len(text.text) + _LONGER_CHARS
    )


def words_of(texts: Iterable[str]) -> set[str]:
    """Return all words and numbers of some texts, without regard to case."""
    return {word for text in texts for word in re.findall(r"\w+", text.casefold())}


def only_text(values: Mapping[str, object], key: str, longest: int) -> str:
    """Return a value as one line of text of a bounded length; empty when it is none."""
    value = values.get(key)
    return " ".join(value.split())[:longest].strip() if isinstance(value, str) else ""


def only_objects(values: Mapping[str, object], key: str) -> list[dict[str, object]]:
    """Return the objects of a list; empty when the value is no list."""
    value = values.get(key)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _runs(words: Sequence[str], length: int) -> Iterable[Sequence[str]]:
    return (words[n : n + length] for n in range(len(words) - length + 1))


class _TwiceError(Exception):
    pass


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError
    return found
