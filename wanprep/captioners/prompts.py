"""What a captioner is asked, for each goal of a LoRA.

The rule behind all of them: what the caption names, the prompt of the user can move later; what it leaves out, the LoRA
ties to its trigger. So a character's face is left out and its clothes are named; a style is either named (and stays
steerable) or left out (and becomes the trigger's meaning); a motion is described first, because it is the point.

The trigger is no part of any prompt: models drop or bend it, and changing it would caption everything anew. Code adds
it (`text.final_text`). A line with a field that is not known for a clip is left out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wanprep.captioners.template import PICTURE
from wanprep.ids import key_of
from wanprep.stage import UsageError

FIELDS = ("kind", "class", "camera", "seconds")  # see `template.FIELDS`
_FIELD = re.compile(r"\{([A-Za-z_]*)\}")

_MANNER = """\
Write one paragraph of {length} words in plain, concrete English, in the present tense.
Name only what can be seen. Do not guess names, titles, thoughts or what happens before or after.
Start with the subject itself: no opening such as "The video shows". No lists, no headings, no remarks to the reader."""

_CAMERA = "Measured on the frames, the camera movement is: {camera}. Use this instead of guessing."

GENERAL = """\
Describe this clip for someone who has to film it again. Cover four points, in this order:
the main content (who or what is there and what it does); the environment and the light; the shot type and the camera;
the atmosphere."""

CHARACTER = """\
Describe this clip, in which the main subject is a {class}. Call that subject "the {class}" and nothing else.
The main subject is a person or creature that the reader knows; call it by a plain word such as "woman", "man" or "dog".
Leave out what always belongs to it: face, eyes, skin, hair colour, build, age.
Describe everything that may change: clothes and what is carried, pose and gestures, expression and gaze, action.
Then the setting, other people, the light, the shot type and the camera."""

STYLE_LOOK = """\
Describe this clip with its look in the foreground.
Begin with the medium and technique (photograph, cel animation, watercolour, 3D render, film stock), then line and
shading, palette and contrast, texture and grain, light and composition.
Then say in one or two sentences who or what is seen, what it does and how the camera moves."""

STYLE_CONTENT = """\
Describe only the content of this clip, as if it were ordinary live-action footage: who or what is seen, what it does,
the place, the time of day, the framing and the camera movement.
Say nothing of the look: no word on style, medium, technique, drawing, rendering, palette, grain or mood of the image,
and no names of artists, studios or genres."""

MOTION = """\
Describe the movement in this clip.
Begin with the movement itself: what moves, how (direction, speed, rhythm, weight), from what first state over which
phases to what last state. Then how the camera moves relative to it.
Name the subject and the surroundings in a few plain words only; their looks do not matter here."""

DOMAIN = """\
Describe this clip precisely, in the words that specialists of what is shown would use.
Name the objects, parts, materials, tools, species or procedures that can be recognised with certainty, how they are
arranged and what happens to them; then the surroundings, the light, the viewpoint and the camera.
Use a general word where you are not certain."""

MOTION_STILL = """\
Describe this picture, in which a movement is caught.
Begin with the movement itself, as far as it can be seen: what moves, which way, its pose or phase, its force.
Name the subject and the surroundings in a few plain words only; their looks do not matter here."""

# A still is asked about as what it is. Everything else of a prompt stays, so that captions of both speak alike.
_OF_A_STILL = (
    ("this clip", "this picture"),
    ("to film it again", "to photograph it again"),
    ("the shot type and the camera", "the shot type and the camera angle"),
    ("the light, the viewpoint and the camera", "the light and the viewpoint"),
    ("ordinary live-action footage", "an ordinary photograph"),
    (", what it does and how the camera moves", " and what it does"),
    ("the framing and the camera movement", "the framing and the camera angle"),
    ('"The video shows"', '"The picture shows"'),
)

REWRITE_PROSE = """\
Rewrite the description of a picture or video clip below as one paragraph of {length} words.
Keep every fact and every name as it is; add nothing that the description does not say or directly imply.
Order: main content, environment and light, shot type and camera, atmosphere. Plain, concrete, present tense.
Answer with the paragraph alone: no opening, no list, no quotation marks.

Description:
{text}"""

REWRITE_TAGS = """\
Rewrite the description of a picture or video clip below as {length} short comma-separated tags in lower case, most
important first: subject, action, clothing or parts, setting, light, shot type, camera, atmosphere.
Keep every fact and every name as it is; add nothing that the description does not say.
Answer with the tags alone, on one line.

Description:
{text}"""

GOALS: Mapping[str, tuple[str, str]] = {  # goal -> (what is asked, words)
    "general": (GENERAL, "80 to 100"),
    "character": (CHARACTER, "50 to 80"),
    "style-look": (STYLE_LOOK, "60 to 90"),
    "style-content": (STYLE_CONTENT, "50 to 80"),
    "motion": (MOTION, "50 to 80"),
    "domain": (DOMAIN, "70 to 100"),
}
REWRITES: Mapping[str, tuple[str, str]] = {  # style -> (what is asked, how long)
    "prose": (REWRITE_PROSE, "80 to 100"),
    "tags": (REWRITE_TAGS, "15 to 25"),
}


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt with fields in braces; UsageError for one that does not exist. still: what is asked of stills instead,
    None for the same. It belongs to the keys of their captions alone."""

    text: str
    still: str | None = None

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise UsageError("the caption prompt is empty; leave it out to use the goal's")
        for name in _FIELD.findall(self.text):
            if name not in FIELDS:
                close = difflib.get_close_matches(name, FIELDS, n=1)
                hint = f'did you mean "{{{close[0]}}}"? ' if close else ""
                known = ", ".join(f"{{{field}}}" for field in FIELDS)
                raise UsageError(f'caption prompt: no field "{{{name}}}"; {hint}Fields: {known}')

    @property
    def digest(self) -> str:
        return key_of(prompt=self.text)

    def facts(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """What the prompt says of this clip, as far as it is known: part of a caption's key."""
        asked = self._asked(fields)
        used = dict.fromkeys(_FIELD.findall(asked))
        found = {name: fields[name] for name in used if fields.get(name) not in (None, "")}
        return found if asked == self.text else {**found, "asked": key_of(prompt=asked)}

    def fill(self, fields: Mapping[str, Any]) -> str:
        """The prompt for one clip; a line with an unknown field goes."""
        facts = self.facts(fields)
        lines = (line for line in self._asked(fields).splitlines() if set(_FIELD.findall(line)) <= facts.keys())
        return "\n".join(_FIELD.sub(lambda match: str(facts[match[1]]), line) for line in lines).strip()

    def _asked(self, fields: Mapping[str, Any]) -> str:
        return self.still if self.still is not None and fields.get("kind") == PICTURE else self.text


def prompt_for(goal: str, own: str | None = None, *, class_word: str | None = None) -> Prompt:
    """The prompt of a goal, or the user's own. class_word decides which of a character's two openings is used."""
    if own is not None:
        return Prompt(text=own)
    asked, words = GOALS[check_goal(goal)]
    if goal == "character":
        opening, unnamed, *rest = asked.splitlines()
        asked = "\n".join([opening, *rest] if class_word else ["Describe this clip.", unnamed, *rest])
    manner = _MANNER.replace("{length}", words)
    still = "\n".join((MOTION_STILL if goal == "motion" else asked, manner))
    for of_a_clip, of_a_still in _OF_A_STILL:
        still = still.replace(of_a_clip, of_a_still)
    return Prompt(text="\n".join((asked, _CAMERA, manner)), still=still)


def check_goal(goal: str) -> str:
    if goal not in GOALS:
        close = difflib.get_close_matches(goal, GOALS, n=1, cutoff=0.4)
        hint = f'did you mean "{close[0]}"? ' if close else ""
        raise UsageError(f'no caption goal "{goal}"; {hint}Goals: {", ".join(GOALS)}')
    return goal
