"""Prompts by goal: what each says and leaves out, and fields that are filled in or dropped."""

import re

import pytest

from wanprep.captioners.base import Sampling
from wanprep.captioners.prompts import GOALS, REWRITES, Prompt, prompt_for
from wanprep.captioners.rewrite import RewriteConfig, rewrite_key
from wanprep.stage import UsageError

FACTS = {"class": "woman", "camera": "slow pan left", "seconds": "2.5", "width": 640}


@pytest.mark.parametrize("goal", GOALS)
def test_every_goal_fills_in_what_is_known_and_drops_what_is_not(goal):
    prompt = prompt_for(goal, class_word="woman")
    full, bare = prompt.fill(FACTS), prompt.fill({})
    assert "slow pan left" in full
    assert "{" not in full + bare
    assert "Measured" not in bare
    assert "words in plain" in bare
    assert "trigger" not in full.lower()


def test_goals_say_what_the_lora_shall_learn():
    said = {goal: prompt_for(goal, class_word="woman").fill(FACTS) for goal in GOALS}
    assert len(set(said.values())) == len(GOALS)
    assert 'Call that subject "the woman"' in said["character"]
    assert "Leave out what always belongs to it: face" in said["character"]
    assert "Begin with the medium and technique" in said["style-look"]
    assert "Say nothing of the look" in said["style-content"]
    assert said["motion"].index("movement") < said["motion"].index("subject")
    assert "80 to 100 words" in said["general"]
    assert "Call that subject" not in prompt_for("character").fill({})


def test_only_used_and_known_fields_are_part_of_the_key():
    prompt = Prompt(text="A {class}.\nFor {seconds} s.")
    assert prompt.facts(FACTS) == {"class": "woman", "seconds": "2.5"}
    assert prompt.facts({"class": "", "camera": "pan"}) == {}
    assert prompt.fill({"class": "man"}) == "A man."
    assert prompt.digest != Prompt(text="A {class}.").digest


@pytest.mark.parametrize("goal", GOALS)
def test_a_still_is_asked_about_as_a_picture(goal):
    prompt = prompt_for(goal, class_word="woman")
    still = prompt.fill({"class": "woman", "kind": "picture"})
    about = re.compile(r"\b(clip|video|footage|film it|moves|camera movement)\b")
    assert about.search(prompt.fill(FACTS))  # what is looked for is there to be found
    found = set(about.findall(still)) - (
        {"moves"} if goal == "motion" else set()
    )  # "what moves" can be seen in a still
    assert not found
    assert "this picture" in still
    assert "{" not in still


def test_what_is_asked_of_stills_is_no_part_of_the_keys_of_clips():
    prompt = prompt_for("general")
    without = Prompt(text=prompt.text)
    clip = {"kind": "video clip", "camera": "pan"}
    assert prompt.digest == without.digest
    assert prompt.facts(clip) == without.facts(clip) == {"camera": "pan"}
    assert prompt.facts({"kind": "picture"})["asked"] != prompt_for("motion").facts({"kind": "picture"})["asked"]
    own = prompt_for("general", "Describe this {kind}.")
    assert own.fill({"kind": "picture"}) == "Describe this picture."
    assert own.facts({"kind": "picture"}) == {"kind": "picture"}


def test_own_prompts_are_taken_as_they_are():
    assert prompt_for("motion", "Name the colours.").fill(FACTS) == "Name the colours."
    with pytest.raises(UsageError, match=r'did you mean "\{camera\}"'):
        prompt_for("motion", "Look: {camra}")
    with pytest.raises(UsageError, match='did you mean "motion"'):
        prompt_for("motions")


def test_rewriting_asks_for_style_and_length_and_its_key_follows():
    base = RewriteConfig(by="local", model="models/Qwen2.5-7B-Instruct")
    assert "80 to 100 words" in base.instruction()
    tags = RewriteConfig(by="local", model="x", style="tags", length="5 to 9")
    assert "5 to 9 short comma-separated tags" in tags.instruction()
    assert all("{text}" in asked for asked, _ in REWRITES.values())
    key = rewrite_key("A dog.", base.identity(Sampling()))
    moved = RewriteConfig(by="local", model="/elsewhere/Qwen2.5-7B-Instruct/")
    assert rewrite_key("A dog.", moved.identity(Sampling())) == key
    others = [
        rewrite_key("A cat.", base.identity(Sampling())),
        rewrite_key("A dog.", base.identity(Sampling(seed=1))),
        rewrite_key("A dog.", tags.identity(Sampling())),
        rewrite_key("A dog.", RewriteConfig(by="local", model="other").identity(Sampling())),
    ]
    assert len({key, *others}) == 5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"by": "magic"}, "by 'magic'"),
        ({"by": "local"}, "model is not set"),
        ({"style": "verse"}, "style 'verse'"),
        ({"prompt": "Make it nice."}, r"no \{text\}"),
        ({"origins": ("human",)}, "human"),
    ],
)
def test_rewriting_settings_are_checked(values, message):
    with pytest.raises(UsageError, match=message):
        RewriteConfig(**values)
