"""How models refuse, and how they talk about a video instead of what is in it: patterns with their word lists. Pure."""

from __future__ import annotations

import re

from wanprep.patterns import later


def _any(words: str) -> str:
    """Alternatives, one for each |-separated phrase; a space stands for any white space."""
    return "(?:" + "|".join(part.strip().replace(" ", r"\s+") for part in words.split("|")) + ")"


_NOT = _any(
    "can['’]?t | cannot | can not | won['’]?t | will not | couldn['’]?t | don['’]?t | didn['’]?t | do not | did not "
    "| am unable | must decline"
)
_PICTURES = _any("visual input | videos? | images? | frames? | clips? | pictures? | footage | visual content")
_SPEAKER = _any("i[’']?m | i am | we[’']?re")
_GIVEN = _any(
    "provided | attached | uploaded | given | included | available | to describe | detected | found | received"
)
_REFUSALS = [
    rf"{_SPEAKER}\s+{_any('very |so |really |truly |')}\s*"
    rf"{_any('sorry | afraid | unable | not able | not comfortable')}\b",
    rf"{_any('sorry | unfortunately | apologies | my apologies')}\b(?=[,.!:]|\s+{_any('but | for | i | we | there')}\b)"
    rf"[^.]{{0,40}}\b{_any('i | we | you | there')}\b",
    rf"{_any('as | being')}\s+an?\s+{_any('ai | artificial intelligence | (?:large )?language model')}\b",
    rf"{_any('i | we')}\s+(?:{_NOT}|apologi[sz]e)\b",
    rf"(?:there\s+{_any('is | are | was | were')}\s+)?no\s+{_PICTURES}\b[^.]{{0,40}}\b{_GIVEN}\b",
    rf"{_any('please | could you | kindly')}\s+(?:please\s+)?{_any('provide | upload | attach | share | send')}\b",
    rf"{_any('this | the')}\s+{_any('request | content | image | video')}\s+"
    rf"{_any('violates | goes against | may violate | appears to violate')}\b",
    rf"{_any('request | content | response')}\s+{_any('blocked | filtered | denied')}\b",
    r"(?:\w+\s){0,2}\w*(?:error|exception)\W{0,2}:|internal\s+server\s+error|traceback\b",
    "抱歉|对不起|很抱歉|我无法|我看不到|作为(?:一个|一名)?(?:AI|人工智能)|申し訳",
]
# What is said before coming to the point, be that a caption or not.
_INTERJECTION = _any(
    "okay | ok | sure | got it | al(?:l )?right | well | hmm+ | so | hello | hi(?: there)? | let['’]s see"
)
_OPENING = (
    rf"\W*(?:{_INTERJECTION}\b[\s,.!:—–-]+|it\s+{_any('seems | appears | looks')}\s+(?:{_any('like | that')}\s+)?)*"
)
_OPENS = later(_OPENING, re.IGNORECASE)
_REFUSAL = later(rf"{_OPENING}(?:{'|'.join(_REFUSALS)})", re.IGNORECASE)

# A sentence with one word of each kind is about the task: captions have no reader, and their "I" holds a torch.
_PERSONS = later(r"\b(?:i|me|my|you|your|we|us|our|let['’]s)\b", re.IGNORECASE)
_TASKS = later(
    r"\b(?:(?:the|this|these|any|your|no)\s+(?:\w+\s+)?(?:videos?|images?|frames|clips?|footage|request|message|prompt)"
    r"|videos|images|frames|caption\w*|descri(?:be|bing|ption)\w*|upload\w*|attach\w*|help\s+(?:you|with)|\d+\s+words"
    r"|language\s+model|user\s+(?:wants|asks|asked|needs))\b",
    re.IGNORECASE,
)
_THOUGHT = later(
    rf"{_OPENING}(?:(?:the\s+)?user\s+{_any('want | ask | is asking | has | provided | need | would')}\w*\b"
    rf"|(?:here(?:['’]s|\s+is)\s+)?(?:{_any('a | my | the')}\s+)?(?:thinking|thought|reasoning)\s+process\s*:"
    r"|(?:the|my)\s+task\s+is\b)",
    re.IGNORECASE,
)
_PLANS = later(rf"\b(?:let\s+me|let['’]s|i['’]ll|{_any('need to | should | must | have to')})\b", re.IGNORECASE)
_QUOTED = later(r"""["“][^"“”]*["”]|(?<!\w)['‘](?:[^'‘’]|(?<=\w)['’](?=\w))*['’]""")


def without_quotations(text: str) -> str:
    """`text` without what stands in quotation marks: what people say and signs read is no fault of a caption."""
    return _QUOTED.sub(" ", text)


def is_refusal(text: str) -> bool:
    """Does the answer begin with the model speaking of itself or to its reader: that it will not, cannot, was given
    nothing, would like to help? Or with the error of a program?

    Only the beginning counts, so that people in a clip may be sorry.
    """
    return _REFUSAL.match(text[:300]) is not None or bool(_talk(text))


def is_thinking(text: str) -> bool:
    """Does the answer begin with thoughts about the task ("The user wants ...", "I need to look at the frames")?"""
    return any(map(_THOUGHT.match, _first_two(text))) or _PLANS.search(_talk(text)) is not None


def _talk(text: str) -> str:
    """Those of the first two sentences in which somebody speaks of the task; "" where nobody does."""
    return " ".join(one for one in _first_two(text) if _PERSONS.search(one) and _TASKS.search(one))


def _first_two(text: str) -> list[str]:
    start = _OPENS.sub("", without_quotations(text[:400]), count=1)
    return re.split(r"(?<=[.!?:])\s+|\n+", start)[:2]


_CLOSINGS = [
    r"let\s+me\s+know\b",
    r"(?:i\s+)?hope\s+(?:this|that|it)\b",
    r"feel\s+free\s+to\b",
    rf"please\s+{_any('let | feel | note | tell')}\b",
    rf"{_any('would | do')}\s+you\s+{_any('like | want | need')}\b",
    r"is\s+there\s+anything\b",
    rf"if\s+you(?:['’]d|\s+{_any('would | need | have any | prefer')})\b",
    r"note\W{0,3}:",
    r"word\s+count\b|\W*\d+\s+words\W*$",
    rf"this\s+{_any('caption | description | prompt')}\b",
]
_CLOSING = later(rf"[\W_]*(?:{'|'.join(_CLOSINGS)})", re.IGNORECASE)


def without_closing(text: str) -> str:
    """`text` without what it says to its reader at the end: "Let me know if ...", "Note: ...", "(Word count: 95)"."""
    pieces = re.split(r"(?<=[.!?…)\]\"”])(\s+)|(\n+)", text.rstrip())
    parts = [part for part in pieces if part]
    while len(parts) > 2 and _CLOSING.match(parts[-1]) and "".join(parts[:-1]).count('"') % 2 == 0:
        parts = parts[:-1]
        while parts and not parts[-1].strip():
            parts.pop()
    return "".join(parts) if len(parts) < sum(map(bool, pieces)) else text


_KIND = _any(
    "short | brief | animated | entire | whole | first | opening | black[- ]and[- ]white | video | film | movie "
    "| provided | given | attached | uploaded"
)
_NAME = _any(
    "videos? | clips? | footage | film | movie | scene | sequence | images? | pictures? | photos? | photographs? "
    "| frames? | shot | animation | gif | still"
)
_THING = rf"(?:{_KIND}\s+)*{_NAME}(?:\s+(?:clip|sequence|frame))?(?:\s+of\s+(?:frames|images|pictures|stills))?"
_SHOWS = _any(
    "shows? us | shows? | depicts? | features? | captures? | presents? | displays? | showcases? | portrays? | "
    "illustrates? | opens with | begins with | starts with | consists of | contains? | focuses on"
)
_SURE = _any("sure | certainly | of course | okay | ok | absolutely | great")
_NOUN_AHEAD = (  # what may follow a cut: the beginning of a noun phrase, so that what is left is a caption
    r"(?=(?:an?|the|two|three|four|five|several|some|many|various|another|one|his|her|their|close-up|close|aerial)"
    r"\b|(?-i:[A-Z])[a-z]+)"
)
_TOLD = _any(
    "caption | captions | description | paragraph | summary | prompt | answer | output | text | response | version "
    "| json | what | breakdown | analysis"
)
_MARK = r"(?:\*\*|__)?"
_CUTS = [
    rf"{_any('based on | looking at | judging by | from')}\s+(?:the|these|this|your)\s+{_THING}[^,.]{{0,30}},\s*"
    rf"(?=(?:i|we|you)\b|(?:the|this|these)\s+{_THING}\b)",
    rf"{_SURE}\b[,!.:]*\s+(?=here\b|this\s+is\b|(?:in\s+)?(?:the|this)\s+{_THING}\b)",
    rf"{_SURE}\b[!.:]+\s*",
    rf"here(?:['’]s|\s+is|\s+are)\b[^.:\n]{{0,80}}\b{_TOLD}\b[^.:\n]{{0,80}}:\s*",
    rf"{_MARK}{_any('video |image |scene |final |raw |')}\s*"
    rf"{_any('caption | description | prompt | answer | output | summary')}{_MARK}\s*:\s*{_MARK}\s*",
    rf"(?:in|throughout|within)\s+(?:this|the)\s+{_THING},\s+(?:we\s+(?:can\s+)?see\s+)?",
    rf"(?:the|this|these)\s+{_THING}(?:\s+(?:provided|given|above))?\s+{_SHOWS}\s+{_NOUN_AHEAD}",
    rf"{_any('i | we | you | one | the viewer | viewers?')}\s+(?:(?:can|could|may|are|is)\s+)?"
    rf"(?:sees?|seeing|watching|looking\s+at)\s+{_NOUN_AHEAD}",
]
_CUT = later("|".join(_CUTS), re.IGNORECASE)

_SAYS = _any(
    "is | are | was | appears? | seems? | takes place | revolves | follows | provides? | gives? | ends "
    "| did | didn['’]t | could | couldn['’]t | cannot | can['’]t | don['’]t | do not"
)
# Only right behind its name: "The video game arcade is ..." and "The photograph on the desk shows ..." are scenes, and
# so are "The scene is a market" and "The footage shows its age".
_ABOUT = later(
    rf"{_OPENING}(?!(?:the|this)\s+(?:scene|shot|frame)\s+(?:is|was)\b)(?:the|this|these)\s+{_THING}\b(?:,[^,.]{{0,40}},)?"
    rf"(?:\s+(?:\w+ly|provided|given|above|itself|also|then))*\s+(?:{_SHOWS}|{_SAYS})\b(?!\s+(?:its|on|at)\b)"
    r"|(?:in|throughout)\s+(?:this|the)\s+(?:video|clip|footage|image)\s+"
    r"(?:an?|the|two|three|several|some|there|it|we|you|i|he|she|they|is|are)\b"
    rf"|(?:{_any('as you can see | as we can see | let me | i can see | i see | i will')}\b|i['’]ll\b)(?!-)",
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
