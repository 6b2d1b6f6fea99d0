"""Is a caption in the language that was asked for? Told by script and by the commonest words. Pure, no dependency.

Small words tell languages of one script apart well once there are a dozen words (Dunning 1994 does it with less); the
lists hold what is frequent in descriptions and rare in the others.
"""

from __future__ import annotations

import re

_LATIN = {
    "en": "the a an of and is are with in on to at his her its their as from by while into over under through who "
    "this that it he she they wearing behind toward towards",
    "de": "der die das und ist ein eine einen einem einer mit auf den dem im von zu sich vor nicht auch wird sind "
    "steht während hinter über unter sie er es",
    "fr": "le la les un une des et est dans avec sur du au aux par qui en se pour elle il sont vers ses son devant "
    "derrière porte tandis que",
    "es": "el la los las un una y es en con de del al se por que su sus hacia sobre está mientras lleva para una como",
    "it": "il lo la gli le un una e è di del della con in su al alla che si per sono mentre verso dei nel nella sullo",
    "pt": "o a os as um uma e é em com de do da no na que se por para seu sua está enquanto ao à dos das",
    "nl": "de het een en is van in op met te zijn naar voor die dat aan door over terwijl haar hij zij ze",
    "pl": "i w na z się jest do nie to że jak przez po od za która który pod nad obok",
}
WORDS = {name: frozenset(words.split()) for name, words in _LATIN.items()}
SCRIPTS = {  # language -> ranges of its own characters
    "zh": ((0x3400, 0x9FFF),),
    "ja": ((0x3040, 0x30FF), (0x3400, 0x9FFF)),
    "ko": ((0xAC00, 0xD7AF), (0x1100, 0x11FF)),
    "ru": ((0x0400, 0x04FF),),
}
LANGUAGES = (*WORDS, *SCRIPTS)
MAX_FOREIGN = 0.15  # share of letters of other scripts: a sign in the picture may be read out
MIN_WORDS = 10
_KANA = re.compile("[぀-ヿ]")


def looks_foreign(text: str, language: str) -> bool:
    """Is the text clearly not in `language` (a key of LANGUAGES)? Short or undecided texts are not."""
    letters = [ord(character) for character in text if character.isalpha()]
    if not letters:
        return False
    own = SCRIPTS.get(language, ((0x0041, 0x024F), (0x1E00, 0x1EFF)))
    strange = sum(not any(low <= letter <= high for low, high in own) for letter in letters) / len(letters)
    if language in SCRIPTS:
        chinese = language == "ja" and len(letters) >= 20 and not _KANA.search(text)
        japanese = language == "zh" and len(_KANA.findall(text)) > 0.1 * len(letters)
        return strange > 0.5 or chinese or japanese  # Latin names and numbers are common in them
    if strange > MAX_FOREIGN:
        return True
    words = re.findall(r"[^\W\d_]+", text.lower())
    if len(words) < MIN_WORDS:
        return False
    counts = {name: sum(word in known for word in words) for name, known in WORDS.items()}
    best = max(counts, key=lambda name: (counts[name], name == language))
    return best != language and counts[best] >= 0.15 * len(words) and counts[best] > 1.5 * counts[language]
