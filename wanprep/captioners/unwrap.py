"""The words of an answer without what came around them: unseen characters, chat tokens, JSON, tags. Pure.

Servers without a chat template leave tokens in, other models answer in the form of a program's data, and some say a
program's word for nothing. None of that is to be trained on.
"""

from __future__ import annotations

import json
import re
from typing import Any

from wanprep.patterns import later

# Soft hyphens, zero-width and bidirectional signs. Joiners have work to do in emoji and in scripts from Hebrew on.
_UNSEEN = later(
    "[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]|(?<![^\u0000-\u058f])[\u200c\u200d]+"
)
_TOKEN = r"(?:<[|｜][\w▁ -]{1,40}[|｜]>|</?s>|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>|\[INST\].*?\[/INST\])"
_END = later(r"<[|｜](?:im_end|eot_id|end|endoftext|end▁of▁sentence)[|｜]>|</s>|<end_of_turn>|<eos>")
_TURN = later(rf"{_TOKEN}\s*(?:(?:system|user|assistant|model)\s*(?={_TOKEN}|\n|$))?")
_FENCE = later(r"\s*```\w*\s*(.*?)\s*```\s*", re.DOTALL)
_TAG = later(r"\s*<([A-Za-z_]+)>\s*(.*?)\s*</\1>\s*", re.DOTALL)
_LIKE_JSON = later(r'[{\[]\s*[{\[]?\s*"')
_VERDICT = r"(?:safe|unsafe(?:\s+s\d+)?|yes|no|true|false|ok|okay|null|none|nil|nan|undefined|n/?a)"
_PLACEHOLDER = r"(?:\[[^\[\]\"]*\]|<[^<>]*>|\{[^{}\"]*\})"
_NOTHING = later(rf"\W*(?:[\w ]{{1,40}}:\s*)?{_VERDICT}\W*|\s*{_PLACEHOLDER}\W*", re.IGNORECASE)
_PLACEHOLDER_WORDS = 8


def visible(raw: str) -> str:
    """`raw` without characters that nobody sees, without the tokens of a chat and the names of its turns, and without
    what follows the token that ends an answer."""
    turns = (_TURN.sub(" ", turn) for turn in _END.split(_UNSEEN.sub("", raw)))
    return next((turn for turn in turns if turn.strip()), "")


def unwrapped(text: str) -> str:
    """The one text that data (JSON, in a code fence or not) or a pair of tags hold; any other answer as it is."""
    tagged = _TAG.fullmatch(text)
    if tagged and f"<{tagged[1]}>" not in tagged[2]:
        return unwrapped(tagged[2])
    fenced = _FENCE.fullmatch(text)
    inner = (fenced[1] if fenced else text).strip()
    if not _LIKE_JSON.match(inner) or re.match(r'\{\s*"error', inner):
        return text
    try:
        found = _texts(json.loads(inner, strict=False))
    except ValueError:  # cut off, or never valid
        return text
    return found[0] if len(found) == 1 else text


def is_data(text: str) -> bool:
    """Is it a program's data, of which `unwrapped` could make no single text?"""
    return _LIKE_JSON.match(text.lstrip(" `\njson")) is not None


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict | list):
        return [text for one in (value.values() if isinstance(value, dict) else value) for text in _texts(one)]
    return [value] if isinstance(value, str) and value.strip() else []


def says_nothing(text: str) -> bool:
    """Is it a word for nothing ("null"), a verdict ("User safety: safe"), or a place left open ("[caption here]")?"""
    return bool(_NOTHING.fullmatch(text)) and len(text.split()) <= _PLACEHOLDER_WORDS
