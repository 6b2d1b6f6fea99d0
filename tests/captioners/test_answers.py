"""Answers that are no captions: models that saw nothing, chat tokens, data, thoughts, talk to the reader. And captions
that merely look like them, which stay as they are."""

import pytest

from wanprep.captioners.checks import check

BEACH = "A man walks along a beach at sunset while waves roll in behind him."

NO_CAPTION = [
    ("I don't see any images attached. Could you please upload the video?", "refusal"),
    ("It seems that no images were provided. Please upload the frames so that I can describe them.", "refusal"),
    ("As a text-based model, I don't have the ability to view videos.", "refusal"),
    ("I'm a text-only model and cannot see images. Please describe the scene for me.", "refusal"),
    ("There is no image in your message. Please attach the frames.", "refusal"),
    ("I'd be happy to help! However, I don't see any frames in your message.", "refusal"),
    (f"It looks like you've shared a series of frames, but I can't identify people in them. {BEACH}", "refusal"),
    ("Without seeing the video, I can only guess: a man walks along a beach.", "refusal"),
    ("Hello! How can I help you today?", "refusal"),
    ("No visual input detected.", "refusal"),
    ("Error: CUDA out of memory", "refusal"),
    ('{"error": {"message": "model not found"}}', "refusal"),
    ("null", "empty"),
    ("None", "empty"),
    ("N/A", "empty"),
    ("[Your caption here]", "empty"),
    ("User safety: safe", "empty"),
    ("Okay, so the user wants me to describe the clip. I see a man on a beach. He walks.", "unfinished_thought"),
    ("We need to describe the clip. The frames show a man. Let's write: A man walks.", "unfinished_thought"),
    ("Here's a thinking process: 1. Analyze the request. 2. Identify the subject.", "unfinished_thought"),
    ("Got it, let's tackle this. The user wants one paragraph of 80 to 100 words.", "unfinished_thought"),
    ("Alright, let me look at the frames. There is a man.", "unfinished_thought"),
]


@pytest.mark.parametrize(("answer", "flag"), NO_CAPTION)
def test_what_is_no_caption_leaves_no_text(answer, flag):
    found = check(answer)
    assert (found.text, found.serious) == ("", (flag,))


@pytest.mark.parametrize(
    ("answer", "flag"),
    [
        ("The provided images are completely black, so nothing can be described.", "preamble"),
        ("Frame 1: a man on a beach. Frame 2: the man nearer. Frame 3: only waves.", "list"),
        ("The first frame shows a man. The second frame shows a man nearer.", "list"),
        ('{"main_content": "A man walks.", "camera": "static"}', "list"),
    ],
)
def test_what_needs_a_look_is_flagged_and_not_cut_up(answer, flag):
    found = check(answer)
    assert (found.text, found.flags) == (answer, (flag,))
    assert "list" in check('{"caption": "A man walks along', finished=False).flags  # data that ends midway


@pytest.mark.parametrize(
    ("answer", "flags"),
    [
        (f"<|im_start|>assistant\n{BEACH}<|im_end|>", ()),
        (f"<|start_header_id|>assistant<|end_header_id|>\n\n{BEACH}<|eot_id|>", ()),
        (f"<s>[INST] Describe it. [/INST] {BEACH}</s>", ()),
        (f"{BEACH}<end_of_turn>\n<start_of_turn>user\nDescribe another.", ()),
        (f"<caption>{BEACH}</caption>", ("markdown_stripped",)),
        (f"<think>A beach.</think>\n<answer>\n{BEACH}\n</answer>", ("think_stripped", "markdown_stripped")),
        (f'{{"caption": "{BEACH}"}}', ("markdown_stripped",)),
        (f'```json\n{{"caption": "{BEACH}"}}\n```', ("markdown_stripped",)),
        (f"'{BEACH}'", ("preamble_stripped",)),
        (f"{BEACH} Let me know if you would like me to change anything!", ("closing_stripped",)),
        (f"{BEACH}\n\nIs there anything else you would like to know about this clip?", ("closing_stripped",)),
        (f"{BEACH}\n\nNote: I could not tell the exact location from the frames provided.", ("closing_stripped",)),
        (f"{BEACH} (Word count: 95)", ("closing_stripped",)),
        (f"{BEACH} I hope this helps! Feel free to ask for more.", ("closing_stripped",)),
        ("A man\u202e walks\u200b along a\u2066 beach\ufeff.", ()),
    ],
)
def test_what_stands_around_a_caption_is_taken_away(answer, flags):
    found = check(answer)
    assert found.text == (BEACH if BEACH in answer else "A man walks along a beach.")
    assert found.flags == flags


GOOD = (
    "The video game arcade is packed with teenagers; neon signs flash as the camera tracks through the aisle.",
    "The scene is a crowded fish market at dawn; men in rubber boots drag crates over wet stone.",
    "The photograph on the desk shows a soldier; a hand picks it up and turns it over slowly.",
    "The footage shows its age: scratches, dust and gate weave over a street of horse carriages.",
    "In this image-obsessed studio a model poses before a ring light, adjusting her collar.",
    "In the video store a clerk stacks tapes while a girl reads the covers.",
    "Sure, the dog is small, but it pulls a full-grown man along the icy pavement.",
    "Here is the harbour at dawn: cranes, mist, a tug pulling out.",
    "A crowd chants 'Go! Go! Go! Go! Go!' as a runner in white crosses the finish line with her arms raised.",
    "A man does ten push-ups: down, up, down, up, down, up, down, up, down, up; then he rolls onto his back.",
    ", ".join(
        f"{colour} {thing}"
        for colour in ("red", "blue", "white", "black", "green", "gold", "grey")
        for thing in ("ribbon", "shoes", "dress", "gloves", "hat", "belt", "earrings", "scarf", "bag")
    ),
    "Subject walks forward. Camera: dolly in. Light: golden hour. A woman with an umbrella crosses an empty bridge.",
    "A hand writes: 1. eggs 2. milk 3. bread on a yellow note stuck to a fridge door, camera close and handheld.",
    "A bird's-eye view of a roundabout: 1) cars enter from the north, 2) a bus waits, 3) a cyclist crosses.",
    "As a large dog leaps over a fence, a boy drops his ice cream.",
    "You walk through a dark corridor, a torch in your hand, first-person view, handheld.",
    "Let's dance, reads the neon sign above the bar where two couples sway.",
    'A screen says "Error: file not found" and a man slams his laptop shut.',
    '"Let me know when it\'s over," says a girl with her hands over her eyes.',
    "A man says \"I'm sorry, I can't see the video anymore\" into the phone and hangs up.",
    "The user interface of a spaceship glows blue; a gloved hand taps a switch.",
    "A hand feels its way along a wall. Feel free, the mural says.",
    "The first image on the strip is of a girl, and she tears it off and laughs.",
    "<lora:frung:0.8>, frung, portrait, rim light, (freckles:1.2), [hat], masterpiece",
    "{red|blue} dress, a dancer spins in an empty hall",
    "None of the swimmers look back; the water is dark green.",
    "A family \U0001f468\u200d\U0001f469\u200d\U0001f467 painted on a wall in the sun.",
)


@pytest.mark.parametrize("text", GOOD)
def test_captions_that_look_like_faults_are_left_alone(text):
    found = check(text)
    assert (found.text, found.flags) == (text, ())


def test_loops_in_the_same_forms_are_still_found():
    assert check("A crowd chants Go! Go! Go! Go! Go! Go! Go!").flags == ("loop",)
    assert check("A man does push-ups: down, up, down, up, down, up, down, up, down, up, down, up").flags == ("loop",)
    assert check(", ".join(["red ribbon", "red shoes", "red dress"] * 12)).flags == ("loop",)
