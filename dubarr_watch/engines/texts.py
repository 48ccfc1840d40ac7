"""What a translator is asked and what it knows of a film: text, never sound."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Address(StrEnum):
    """How somebody is spoken to, where a language tells it apart: du or Sie, tu or vous."""

    INFORMAL = "informal"
    FORMAL = "formal"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Character:
    """Somebody who speaks in a film.

    Attributes:
        name: As the film calls them.
        gender: As far as the words tell.
        speaker: The number that diarization gave them, where it is known.
        manner: How they speak, in a few words: curt, flowery, slang.
        address: How they speak to most others.
        except_to: Names of those to whom they speak the other way.
    """

    name: str
    gender: Literal["female", "male", "unknown"] = "unknown"
    speaker: int | None = None
    manner: str = ""
    address: Address = Address.UNKNOWN
    except_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Term:
    """A name or word that is to sound the same throughout a film.

    Attributes:
        source: As the original has it.
        target: What the dub says: the same, another spelling that a voice of the target language
            reads out well, or the one translation to use.
    """

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class FilmContext:
    """What is known of a whole film before any line of it is translated.

    Attributes:
        summary: What happens, in a few sentences.
        characters: Who speaks, the most talkative first.
        glossary: Names and words, for one target language.
    """

    summary: str = ""
    characters: tuple[Character, ...] = ()
    glossary: tuple[Term, ...] = ()


EMPTY_FILM = FilmContext()
"""Nothing is known."""


@dataclass(frozen=True, slots=True)
class SpokenText:
    """One piece of what is said in a film, whole sentences wherever possible.

    Attributes:
        id: Unique in its request.
        text: In the source language.
        speaker: Who says it.
        reference: What subtitles in the source language have at its time; empty where there are
            none. They may say more or less than is spoken.
    """

    id: int
    text: str
    speaker: int
    reference: str = ""


@dataclass(frozen=True, slots=True)
class AnalysisRequest:
    """A whole film, to be understood before it is translated.

    Attributes:
        source: ISO 639-1 code.
        target: ISO 639-1 code of the language that its glossary is for.
        texts: All that is said, in order.
        title: What the film is called, as far as its file's name tells.
        earlier: What earlier episodes of a series decided; its people have no voice numbers.
    """

    source: str
    target: str
    texts: tuple[SpokenText, ...]
    title: str = ""
    earlier: FilmContext = EMPTY_FILM


@dataclass(frozen=True, slots=True)
class CorrectionRequest:
    """A transcript to be corrected where its words were misheard.

    Attributes:
        source: ISO 639-1 code of transcript and references.
        texts: What was heard; those without a reference are context for the others.
    """

    source: str
    texts: tuple[SpokenText, ...]


@dataclass(frozen=True, slots=True)
class SourceText:
    """One piece of text to translate, whole sentences wherever possible.

    Attributes:
        id: Unique in its batch; comes back with the translation.
        text: In the source language.
        speaker: Who says it.
        max_chars: Character budget of the translation, from the time it may take to say.
        shorter: Asks for another wording of the text just before it, which is the same: the first
            shorter one, the second. 0: a text of its own.
    """

    id: int
    text: str
    speaker: int
    max_chars: int
    shorter: int = 0


@dataclass(frozen=True, slots=True)
class TranslationRequest:
    """A batch of texts to translate together.

    Attributes:
        source: ISO 639-1 code.
        target: ISO 639-1 code.
        texts: What to translate.
        before: Source texts just before the batch, as context, oldest first.
        after: Source texts just after the batch, as context, in order.
        film: What is known of the whole film.
    """

    source: str
    target: str
    texts: tuple[SourceText, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    film: FilmContext = EMPTY_FILM


@dataclass(frozen=True, slots=True)
class ShortenRequest:
    """A translation whose speech does not fit.

    Attributes:
        id: Unique in its batch.
        source_text: What the original says.
        text: The translation that is too long.
        max_chars: What would fit.
        speaker: Who says it, where that is known.
    """

    id: int
    source_text: str
    text: str
    max_chars: int
    speaker: int | None = None


ACCOUNT: ContextVar[str] = ContextVar("account", default="")
"""Who is charged with what is asked of a translator that several share: a language of a job."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a translator has cost the `ACCOUNT` of now since it was made.

    Attributes:
        requests: Answered by the model.
        retries: Sent again after a refusal or a fault.
        tokens_in: Sent.
        tokens_out: Received.
        busy_s: Seconds in which at least one request was under way.
        usd: Price at the rates that the user gave; 0 without rates.
    """

    requests: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    busy_s: float = 0.0
    usd: float = 0.0

    @property
    def tokens_per_s(self) -> float:
        """Tokens received in a second of all requests together."""
        return self.tokens_out / self.busy_s if self.busy_s > 0 else 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.requests + other.requests,
            self.retries + other.retries,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.busy_s + other.busy_s,
            self.usd + other.usd,
        )
