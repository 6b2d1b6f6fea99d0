"""How models refuse, and how they talk about a video instead of what is in it: patterns with their word lists. Pure."""

from __future__ import annotations

import re


def _any(words: str) -> str:
    """Alternatives, one for each |-separated phrase; a space stands for any white space."""
    return "(?:" + "|".join(part.strip().replace(" ", r"\s+") for part in words.split("|")) + ")"


_NOT = _any(
    "can['’]?t | cannot | can not | won['’]?t | will not | could ?n['’]?t | do ?n['’]?t | am unable | must decline"
)
_PICTURES = _any("video | image | images | frames? | clip | picture | footage | visual content")
_SPEAKER = _any("i[’']?m | i am | we[’']?re")
_GIVEN = _any("provided | attached | uploaded | given | included | available | to describe | here")
_REFUSALS = [
    rf"{_SPEAKER}\s+{_any('very |so |really |truly |')}\s*"
    rf"{_any('sorry | afraid | unable | not able | not comfortable')}\b",
    rf"{_any('sorry | unfortunately | apologies | my apologies')}\b[^.]{{0,40}}\b{_any('i | we | you | there')}\b",
    rf"{_any('as | being')}\s+an?\s+{_any('ai | artificial | language | vision | large')}\b",
    rf"{_any('i | we')}\s+(?:{_NOT}|apologi[sz]e)\b",
    rf"(?:there\s+{_any('is | are | was | were')}\s+)?no\s+{_PICTURES}\b[^.]{{0,40}}\b{_GIVEN}\b",
    rf"{_any('please | could you | kindly')}\s+(?:please\s+)?{_any('provide | upload | attach | share | send')}\b",
    rf"{_any('this | the')}\s+{_any('request | content | image | video')}\s+"
    rf"{_any('violates | goes against | may violate | appears to violate')}\b",
    rf"{_any('request | content | response')}\s+{_any('blocked | filtered | denied')}\b",
    "抱歉|对不起|很抱歉|我无法|作为(?:一个|一名)?(?:AI|人工智能)|申し訳",
]
_REFUSAL = re.compile(rf"\W*(?:{'|'.join(_REFUSALS)})", re.IGNORECASE)


def is_refusal(text: str) -> bool:
    """Does the answer begin with the model speaking of itself: that it will not, cannot, or was given nothing?

    Only the beginning counts, so that people in a clip may be sorry.
    """
    return _REFUSAL.match(text[:300]) is not None


_KIND = _any(
    "short | brief | animated | entire | whole | first | opening | black[- ]and[- ]white | video | film | movie"
)
_NAME = _any(
    "video | clip | footage | film | movie | scene | sequence | image | picture | photo | photograph | frames? | shot "
    "| animation | gif | still"
)
_THING = rf"(?:{_KIND}\s+)*{_NAME}(?:\s+(?:clip|sequence|frame))?"
_SHOWS = _any(
    "shows? us | shows? | depicts? | features? | captures? | presents? | displays? | showcases? | portrays? | "
    "illustrates? | opens with | begins with | starts with | consists of | contains? | focuses on"
)
_SURE = _any("sure | certainly | of course | okay | ok | absolutely | great")
_NOUN_AHEAD = (  # what may follow a cut: the beginning of a noun phrase, so that what is left is a caption
    r"(?=(?:an?|the|two|three|four|five|several|some|many|various|another|one|its?|his|her|their|close-up|close|aerial)"
    r"\b|(?-i:[A-Z])[a-z]+)"
)
_MARK = r"(?:\*\*|__)?"
_CUTS = [
    rf"{_SURE}\b[,!.:]*\s+(?=(?:here|in|the|this)\b)",
    rf"{_SURE}\b[!.:]+\s*",
    r"here(?:['’]s|\s+is|\s+are)\b[^.:\n]{0,120}:\s*",
    rf"{_MARK}{_any('video |image |scene |final |raw |')}\s*"
    rf"{_any('caption | description | prompt | answer | output | summary')}{_MARK}\s*:\s*{_MARK}\s*",
    rf"(?:in|throughout|within)\s+(?:this|the)\s+{_THING},\s+(?:we\s+(?:can\s+)?see\s+)?",
    rf"(?:the|this)\s+{_THING}(?:\s+(?:provided|given|above))?\s+{_SHOWS}\s+{_NOUN_AHEAD}",
    rf"{_any('we | you | one | the viewer | viewers?')}\s+(?:can\s+|could\s+|may\s+)?sees?\s+{_NOUN_AHEAD}",
]
_CUT = re.compile("|".join(_CUTS), re.IGNORECASE)

_REAL = _any("camera | lights? | lighting | crew | set | projector | poster | star | theat\\w* | screen | roll | reel")
_SAYS = _any("is | are | was | appears? | seems? | takes place | revolves | follows | provides? | gives? | ends")
_ABOUT = re.compile(
    rf"(?:the|this)\s+{_THING}\b(?!\s+(?:{_REAL}|studio|pans|tilts))[^.]{{0,30}}\b(?:{_SHOWS}|{_SAYS})\b"
    rf"|(?:in|throughout)\s+(?:this|the)\s+(?:video|clip|footage|image)\b"
    rf"|{_any('as you can see | as we can see | let me | i can see | i see | i will')}\b|i['’]ll\b",
    re.IGNORECASE,
)


def without_preamble(text: str) -> str:
    """`text` without openings such as "Sure! Here is the caption:" and "The video shows"; the rest begins a caption."""
    while True:
        text = text.lstrip()
        match = _CUT.match(text)
        if match is None or not match.end():
            return text
        text = text[match.end() :]


def is_about_the_video(text: str) -> bool:
    """Does the text begin by talking about the video itself? (A film projector may be in a clip.)"""
    return _ABOUT.match(text) is not None
