"""From a raw caption to the one text that is shown, written, encoded and trained on. Pure.

The text is brought to a fixed point of the cleaning that diffusers' Wan pipelines do, so that cleaning it once more
(the pipeline will) changes nothing: what one reads in a caption file is what the text encoder sees.
"""

from __future__ import annotations

import functools
import html
import re

from wanprep.patterns import later, plainly_clean

PLACEHOLDER = "[trigger]"
_PLACEHOLDER = later(re.escape(PLACEHOLDER), re.IGNORECASE)
_JOINTS = " ,.;:|-–—，。、；："  # what people put between a trigger and the sentence after it, and between its words
_DENSE = r"\u2e80-\u9fff\uac00-\ud7a3"  # scripts without spaces, before which cleaning leaves "," for "，"
_JOINT = rf"(?:[,.;:|–—-]|--)(?=[\s{_DENSE}]|$)|[，。、；：]"  # what may end the trigger: no "'s", no "-like"
_END = rf"(?=\s|$|{_JOINT})"
_BETWEEN = re.escape(_JOINTS)
_LEADING = later(rf"(?:\s|{_JOINT})*")


def clean(text: str) -> str:
    """diffusers' `prompt_clean` (ftfy, html.unescape twice, strip, white space collapsed), repeated until it rests.

    Source: diffusers/pipelines/wan/pipeline_wan.py, `basic_clean` and `whitespace_clean`. One pass is enough for all
    but nested HTML entities; each further pass only shortens the text, so the loop ends.
    """
    if (plain := plainly_clean(text)) is not None:
        return plain
    import ftfy

    while True:
        passed = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
        passed = re.sub(r"\s+", " ", passed).strip()
        if passed == text:
            return text
        text = passed


def final_text(raw: str, trigger: str | None, separator: str = " ", *, class_word: str | None = None) -> str:
    """The caption to train on: cleaned, trigger first exactly once.

    raw: any text. trigger: put first with `separator` behind it; a repetition of it at the start of `raw` (other case,
    joints or separator) is taken away first. It is one only where white space, a joint and white space, or the end
    follow: "TRIGGER's", "TRIGGER-like", "(TRIGGER:1.2)" are words of the caption, which all stay, as mentions further
    in do. `[trigger]` becomes the trigger.
    Without a trigger `[trigger]` becomes `class_word`, or goes. Idempotent. ValueError if the trigger or the class
    word contains the placeholder.
    """
    trigger, said, lead = _cleaned(trigger or "", separator, class_word or "")
    text = clean(raw)
    if "[" in text:  # few have one
        text = _fill_placeholder(text, said)
    if not trigger:
        return text
    body = _without_lead(text, trigger, separator)
    if not body:  # no dangling comma; the words of the separator stay
        bare = lead.rstrip(_JOINTS)
        return clean(bare if len(bare) > len(trigger) else trigger)
    return clean(lead + body)


@functools.lru_cache(maxsize=64)  # a whole table has the same
def _cleaned(trigger: str, separator: str, class_word: str) -> tuple[str, str, str]:
    """(trigger, what stands for the placeholder, what stands before a caption)."""
    for value in (trigger, class_word):
        if _PLACEHOLDER.search(value):
            raise ValueError(f'"{value}" contains {PLACEHOLDER}, which stands for the trigger')
    trigger = clean(trigger)
    return trigger, trigger or clean(class_word), re.sub(r"\s+", " ", trigger + separator)


def begins_with(text: str, trigger: str, separator: str) -> int:
    """How many characters at the start of a cleaned text repeat the (cleaned) trigger, in any case; 0 for none."""
    match = _lead_pattern(trigger, separator).match(_without_joints(text))
    return match.end() if match else 0


def without_exactly(text: str, trigger: str, separator: str) -> str | None:
    """A cleaned text without the trigger that it begins with, letter for letter, and without the separator's words
    after it; None when it begins otherwise."""
    body = _after(text, clean(trigger))
    if body is None:
        return None
    tail = clean(separator).strip(_JOINTS)
    rest = _after(body, tail) if tail else None
    return body if rest is None else rest


def _after(text: str, start: str) -> str | None:
    found = re.match(re.escape(start) + _END, text)
    return _without_joints(text[found.end() :]) if found else None


def _without_joints(text: str) -> str:
    return text if text[:1].isalnum() else _LEADING.sub("", text, count=1)


def _fill_placeholder(text: str, replacement: str) -> str:
    """Replace every `[trigger]`; what an empty replacement leaves at the front (", a girl") goes too."""
    filled = text
    while _PLACEHOLDER.search(filled):
        filled = clean(_PLACEHOLDER.sub(lambda _: replacement, filled))
    return _without_joints(filled) if filled != text and not replacement else filled


def _without_lead(text: str, trigger: str, separator: str) -> str:
    """`text` without any leading repetition of the trigger and without joints at its start."""
    pattern = _lead_pattern(trigger, separator)
    while True:
        match = pattern.match(text)
        rest = _without_joints(text[match.end() :] if match else text)
        if rest == text:
            return text
        text = rest


@functools.cache
def _lead_pattern(trigger: str, separator: str) -> re.Pattern[str]:
    """The trigger at the start of a text, joints between its words or not, then the separator's words or not."""
    exact = re.escape(re.sub(r"\s+", " ", trigger + separator).rstrip())  # what we write ourselves: ":" may end it
    ours = exact + ("" if separator and not separator[-1].isspace() else _END)
    tail = _loose(separator)
    more = rf"(?:[{_BETWEEN}]*{tail})?" if tail else ""
    either = "|".join(filter(None, (re.escape(trigger), _loose(trigger))))
    return re.compile(rf"{ours}|(?:{either}){more}{_END}", re.IGNORECASE)


def _loose(phrase: str) -> str:
    """A pattern for the words of `phrase` (whatever stands between joints) with any joints between them."""
    words = re.split(rf"[{_BETWEEN}]+", phrase.strip(_JOINTS))
    return rf"[{_BETWEEN}]+".join(map(re.escape, words)) if words != [""] else ""
