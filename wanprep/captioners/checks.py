"""What is wrong with a caption that a model wrote: mended where that loses nothing, else flagged. Pure.

A mended caption is good; a flag in SERIOUS says that the caption should be asked for again, and looked at by a person
if that does not help. A refusal or an empty answer leaves no text at all: the clip then trains on its trigger alone,
never on "I'm sorry".
"""

from __future__ import annotations

import functools
import re
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from wanprep.captioners.language import LANGUAGES, looks_foreign
from wanprep.captioners.phrases import (
    is_about_the_video,
    is_refusal,
    is_thinking,
    without_closing,
    without_preamble,
    without_quotations,
)
from wanprep.captioners.unwrap import is_data, says_nothing, unwrapped, visible
from wanprep.patterns import later

VERSION = 3  # raise it whenever the same answer is judged otherwise: captions are then judged anew, never asked anew
MAX_TOKENS = 512  # of Wan's text encoder; the rest of a longer caption is never seen

SERIOUS = (
    "empty",  # no words at all, or a program's word for nothing
    "refusal",  # the model will not, or says that it cannot or saw nothing
    "unfinished_thought",  # a <think> block that never ends, or thinking aloud
    "loop",  # the same words again and again
    "list",  # points or labelled parts instead of prose
    "preamble",  # talks about the video or to the reader, and cannot be cut cleanly
    "cut_off",  # ends midway and has no full sentence to end with
    "wrong_language",
    "too_long",  # more than MAX_TOKENS
)
MENDED = ("think_stripped", "preamble_stripped", "closing_stripped", "markdown_stripped", "cut_off_trimmed")


@dataclass(frozen=True, kw_only=True)
class Checked:
    """text: what may be trained on, "" for none; flags: of SERIOUS and MENDED."""

    text: str
    flags: tuple[str, ...]

    @property
    def serious(self) -> tuple[str, ...]:
        return tuple(flag for flag in self.flags if flag in SERIOUS)


def check(
    raw: str,
    *,
    language: str = "en",
    finished: bool | None = None,
    style: str = "prose",
    tokens: Callable[[str], int] | None = None,
) -> Checked:
    """Judge one answer. language: a key of `language.LANGUAGES`, "" for any. finished: as in `RawCaption`.

    style: "prose" or "tags" (comma-separated, no sentences). tokens: counts the text encoder's tokens; an estimate
    without it.
    """
    flags: list[str] = []
    text = _unwrapped(_without_thoughts(visible(raw), flags), flags)
    text = _without_closing(text, flags)
    if is_thinking(text):
        return Checked(text="", flags=(*flags, "unfinished_thought"))
    if is_told_by_frames(text):
        flags.append("list")
    else:
        text = _unwrapped(_without_preamble(text, flags), flags)
    if says_nothing(text):
        return Checked(text="", flags=(*flags, "empty"))
    if is_refusal(text):
        return Checked(text="", flags=(*flags, "refusal"))
    if is_list(text):
        flags.append("list")
    text = _without_markup(text, flags)
    if is_loop(text):
        flags.append("loop")
    text = _ended(text, finished, style, flags)
    if not re.search(r"[^\W_]", text):
        missing = () if "unfinished_thought" in flags else ("empty",)
        return Checked(text="", flags=(*flags, *missing))
    if language and looks_foreign(text, language):
        flags.append("wrong_language")
    if (tokens or estimated_tokens)(text) > MAX_TOKENS:
        flags.append("too_long")
    return Checked(text=text, flags=tuple(dict.fromkeys(flags)))


def check_language(language: str) -> str:
    """The language itself; ValueError for one that is not known."""
    if language and language not in LANGUAGES:
        raise ValueError(f'language {language!r} is unknown; use one of {", ".join(LANGUAGES)}, or "" for any')
    return language


def stamp(language: str, style: str = "prose") -> str:
    """What a stored verdict depends on besides the answer; another stamp means: judge again."""
    return f"{VERSION}:{language}:{style}"


def estimated_tokens(text: str) -> int:
    """About as many tokens as UMT5 makes of a text: 1.45 a word of a spaced script, 0.8 a character of others."""
    dense = 0 if text.isascii() else sum(ord(character) >= 0x2E80 for character in text)
    return round(1.45 * len(text.split()) + 0.8 * dense) + 1


# Thoughts


def _without_thoughts(raw: str, flags: list[str]) -> str:
    """Without <think> blocks. Some chat formats open the block, so that the answer only ends it."""
    thoughtless = re.sub(r"(?is)<(think|thinking|reasoning)>.*?</\1>", " ", raw)
    thoughtless = re.sub(r"(?is)^.*</(think|thinking|reasoning)>", " ", thoughtless)
    opened = re.split(r"(?i)<(?:think|thinking|reasoning)>", thoughtless, maxsplit=1)
    if len(opened) > 1:
        flags.append("unfinished_thought")
        return opened[0].strip()
    if thoughtless != raw:
        flags.append("think_stripped")
    return thoughtless.strip()


# Preambles and closings


def _unwrapped(text: str, flags: list[str]) -> str:
    plain = unwrapped(text)
    if plain != text:
        flags.append("markdown_stripped")
    return plain


def _without_closing(text: str, flags: list[str]) -> str:
    shorter = without_closing(text)
    if shorter != text:
        flags.append("closing_stripped")
    return shorter


def _without_preamble(text: str, flags: list[str]) -> str:
    """Without openings such as "The video shows" and quotation marks around it all; what is left of them is flagged."""
    start = text.lstrip()
    text = without_preamble(start)
    unquoted = re.fullmatch(r"""["“](?P<said>[^"“”]*)["”]|['‘](?P<put>(?:[^'‘’]|(?<=\w)['’](?=\w))*)['’]""", text)
    if unquoted:
        text = (unquoted["said"] or unquoted["put"] or "").strip()
    if text != start:
        flags.append("preamble_stripped")
        text = text[:1].upper() + text[1:]
    if is_about_the_video(text):
        flags.append("preamble")
    return text.strip()


# Lists and markup

_POINT = later(r"(?m)^\s*(?:[-*•–+]|\(?\d{1,2}[.)]|[a-h][.)])\s+\S")
_LABEL = later(
    r"(?:^|[.!?\n])[\s*_#>-]*([A-Z][A-Za-z]+(?:[ /&]+(?:and |type )?[A-Za-z]+){0,3}(?: \d{1,3})?)\**\s*:\**\s"
)
_HEADING = later(r"(?m)^\s*#{1,6}\s+\S")
_NUMBER = r"\(?(\d{1,2})[.)]\s"
# "a bus waits, 2) a car comes" is a sentence, and "1. eggs 2. milk" stands on a note in the picture.
_IN_A_ROW = later(rf"(?:^|(?<![,;\s])\s+){_NUMBER}\s*(?=\S+\s+(?!\(?\d{{1,2}}[.)]\s)\S)")
_FRAME = later(r"\b((?:first|second|third|fourth|fifth|next|last|final)\s+(?:frame|image)|(?:frame|image)\s+\d+)\b")


def is_list(text: str) -> bool:
    """Points on lines of their own, points in a row (1. … 2. … 3. …), headings, labelled parts (two at the beginning
    or three anywhere), or a program's data."""
    if is_data(text) or len(_POINT.findall(text)) >= 2 or len(_HEADING.findall(text)) >= 2:
        return True
    numbers = [int(number) for number in _IN_A_ROW.findall(text)]
    if any(numbers[i : i + 3] == [1, 2, 3] for i in range(len(numbers))):
        return True
    labels = len(_LABEL.findall(text))
    return labels >= 3 or (labels == 2 and _LABEL.match(text) is not None)


def is_told_by_frames(text: str) -> bool:
    """Does it tell one frame after the other, of which the reader of a caption knows nothing?"""
    return len({" ".join(found.split()) for found in _FRAME.findall(text.lower())}) >= 2


def _without_markup(text: str, flags: list[str]) -> str:
    """One paragraph without code fences, heading marks, emphasis and links."""
    plain = re.sub(r"(?m)^\s*```.*$", " ", text)
    plain = re.sub(r"(?m)^\s*(?:#{1,6}|>)\s+", "", plain)
    plain = re.sub(r"!?\[([^\]\n]+)\]\([^)\s]+\)", r"\1", plain)
    plain = re.sub(r"(\*\*|__|`)(?=\S)(.+?)(?<=\S)\1", r"\2", plain)
    plain = re.sub(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])", r"\1", plain)
    if plain != text:
        flags.append("markdown_stripped")
    return re.sub(r"\s+", " ", plain).strip()


# Loops

_MIN_WORDS = 24  # below this shares and ratios say nothing; consecutive repetition still does


@functools.lru_cache(maxsize=1024)
def is_loop(text: str) -> bool:
    """The same words again and again: a phrase several times in a row, many equal runs of five words, or a text that
    compresses far better than any prose does (English of 50 to 150 words: by 1.3 to 2.0)."""
    words = _words(text)
    unquoted = _words(without_quotations(text))  # a crowd may shout "Go! Go! Go! Go! Go!"
    if any(_in_a_row(unquoted, period) for period in range(1, min(40, len(unquoted) // 2) + 1)):
        return True
    if len(words) >= _MIN_WORDS:
        runs = Counter(zip(*(words[k:] for k in range(5))))
        repeated = sum(count - 1 for count in runs.values())
        if repeated / (len(words) - 4) > 0.25:
            return True
    tags = [tag.strip().lower() for tag in text.split(",")]
    if len(tags) >= 8 and len(set(tags)) == len(tags) and all(len(tag.split()) <= 4 for tag in tags):
        return False  # each of them something else, though all share a few words
    data = text.encode()
    return len(data) >= 200 and len(data) / len(zlib.compress(data, 9)) > 3.0


def _words(text: str) -> list[str]:
    words = re.findall(r"[^\W_]+|[^\w\s]", text.lower())
    return [word for word in words if word[0].isalnum()] or words


def _in_a_row(words: list[str], period: int) -> bool:
    """Do `period` words come 6 times in a row (6 or more words: 3 times; 3 to 5: 4 times)?"""
    times = 6 if period < 3 else 4 if period < 6 else 3
    run, wanted = 0, period * (times - 1)
    for before, after in zip(words, words[period:]):
        run = run + 1 if before == after else 0
        if run >= wanted:
            return True
    return False


# Ends

_SENTENCE_END = later(r"[.!?…][\"'”’)\]]*(?=\s|$)|[。！？][」』”’）]*")
_ABBREVIATION = later(r"(?:^|\s)(?:mr|mrs|ms|dr|st|vs|no|etc|e\.g|i\.e|[A-Za-z])\.$", re.IGNORECASE)
_DANGLING = set(
    re.findall(
        r"\w+",
        "a an the of and or but with without in on at to from for by as into onto over under near its their his her "
        "this that these those is are was were be while who which whose where when than then through behind between",
    )
)
_CAMERA_IN = later(r"\b(zoom|push|dolly|dollie)(s|es|ed|d|ing)? in$", re.IGNORECASE)  # a whole movement


def _ended(text: str, finished: bool | None, style: str, flags: list[str]) -> str:
    """The text up to its last full sentence, where the answer was cut off midway."""
    if style == "tags":
        if finished is False and "," in text:
            flags.append("cut_off_trimmed")
            return text.rsplit(",", 1)[0].strip()
        return text
    ends = [m.end() for m in _SENTENCE_END.finditer(text) if not _ABBREVIATION.search(text[: m.start() + 1])]
    if not text or (ends and ends[-1] == len(text)):
        return text
    last = re.findall(r"[^\W_]+", text[-40:].lower())
    ends_open = bool(last and last[-1] in _DANGLING) and not _CAMERA_IN.search(text)
    dangling = text[-1] in ",;:-–—(" or ends_open
    if finished is not False and not dangling:
        return text  # it ended by itself, without a full stop: short captions do
    kept = text[: ends[-1]] if ends else ""
    if len(kept) >= 0.4 * len(text) or len(kept.split()) >= 25:
        flags.append("cut_off_trimmed")
        return kept
    flags.append("cut_off")
    return text
