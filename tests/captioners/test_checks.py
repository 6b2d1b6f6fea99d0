"""Faults put into captions are caught, each under its own name; honest captions pass untouched."""

import itertools
import random

import pytest

from wanprep.captioners import alike
from wanprep.captioners.alike import near_identical
from wanprep.captioners.checks import SERIOUS, check, estimated_tokens

HONEST = (
    "A young woman in a grey raincoat crosses a narrow bridge, glances back once and walks on. Behind her, wet roofs "
    "and a pale morning sky. Soft side light, medium shot, the camera pans slowly left to keep her centred. Calm.",
    "A man says sorry to a crying child, kneels and ties its shoe. Warm light from a window, close-up, static camera.",
    "A kitchen table carries a loaf of bread, a knife, two cups, a jug of milk, a bowl of apples, a folded newspaper, "
    "a candle and a pair of glasses. Late sun from the left, wide shot, static camera.",
    "A shopping list lies on the counter: milk, eggs, bread. A hand picks it up.",
    "In the kitchen, a man peels potatoes. In the background, a woman reads.",
    "The camera pushes in on an old film projector that shows a flickering picture on the wall. Dust in the beam.",
    "The scene-shifters carry a painted forest across the stage while the light dims.",
    "Waves roll in, break and run out, again and again; gulls circle overhead. Aerial view, drifting forward.",
    "A long, long, long road leads to the horizon. A truck comes closer.",
    "A dog runs, runs, runs along the beach at dawn",
    "a man riding a horse on a beach",
    "Dr. Brown, as his badge says, opens a door at 3.30 p.m. by the wall clock. Handheld, cold light.",
    'A neon sign reads "出口" above a door. Rain. A woman in red waits under it, low angle, static camera.',
    "A café in the rue des Martyrs, the sign above the door says Chez Marie. A waiter sets the tables, wide shot.",
    "He counts on his fingers: one, two, three. Then the girl laughs. Close-up, warm light, static camera.",
    "A boy shakes his head, cannot stop laughing and falls onto the sofa. I ♥ NY is printed on his shirt.",
    "Step 1. is written on the board; a teacher points at it. Medium shot.",
    "The man on the left is tall. The man on the right is short. The man in the middle is bald. The man at the back is "
    "asleep. The woman in front is reading. Wide shot of a waiting room, flat light, static camera.",
)
dice = random.Random(0)
VARIED = ["The"] + ["".join(dice.choices("aeiourstlnmd", k=dice.randint(2, 9))) for _ in range(400)] + ["end."]
FAULTS = {
    "loop of a phrase": (
        "A man walks down the street, and the street, and the street, and the street, and the street",
        "loop",
    ),
    "loop of a word": ("A red red red red red red red balloon", "loop"),
    "loop of a sentence": ("A woman turns to the window. " * 5, "loop"),
    "loop with changes": (
        " ".join(f"The camera pans left to show the {thing} in a room." for thing in "abcde"),
        "loop",
    ),
    "loop without spaces": ("一个女人走过街道。" * 12, "loop"),
    "refusal": ("I'm sorry, but I can't help with describing this content.", "refusal"),
    "refusal, long form": ("As an AI language model, I do not have the ability to view videos.", "refusal"),
    "refusal for want of input": (
        "There is no video provided. Please upload the clip you would like described.",
        "refusal",
    ),
    "refusal, typographic": ("I’m unable to identify the person in this video.", "refusal"),
    "refusal after politeness": ("Unfortunately, I cannot describe people in images.", "refusal"),
    "refusal in Chinese": ("抱歉，我无法描述这个视频。", "refusal"),
    "empty": ("", "empty"),
    "nothing but marks": (" *** ... ---", "empty"),
    "numbered list": ("1. A woman stands.\n2. She turns.\n3. She leaves.", "list"),
    "points": ("- main content: a dog\n- light: soft", "list"),
    "list in one line": ("Seen are: 1. a dog 2. a cat 3. a bird on a fence.", "list"),
    "labelled parts": ("Main content: a dog runs. Environment: a beach. Atmosphere: calm.", "list"),
    "labelled parts, bold": ("**Main content**: a dog runs.\n\n**Light**: soft.", "list"),
    "talks about the video": ("The video is a short film about two friends who meet in a park.", "preamble"),
    "talks to the reader": ("As you can see, a dog runs along a beach.", "preamble"),
    "about the scene": ("The scene takes place in a dark forest at night.", "preamble"),
    "how, not what": ("The video shows how a potter shapes a bowl on a wheel.", "preamble"),
    "thought without end": ("<think>The user wants a caption. The clip has a dog", "unfinished_thought"),
    "German": ("Eine junge Frau geht über die Straße und schaut in ein Fenster, während es regnet.", "wrong_language"),
    "Spanish": ("Una mujer joven camina por la calle con un paraguas y mira los coches.", "wrong_language"),
    "French": ("Une femme marche dans la rue avec un parapluie et regarde les voitures.", "wrong_language"),
    "Chinese": ("一位年轻女子在雨中走过一座狭窄的桥，回头看了一眼。", "wrong_language"),
    "Russian": ("Девушка идёт по узкому мосту под дождём и оглядывается.", "wrong_language"),
    "half Chinese": ("A woman walks 在雨中走过一座狭窄的桥，回头看了一眼 slowly.", "wrong_language"),
    "too long": (" ".join(VARIED), "too_long"),
}
MENDED = {
    "thought": (
        "<think>\nLet me see. A dog.\n</think>\n\nA dog runs along a beach.",
        "A dog runs along a beach.",
        "think_stripped",
    ),
    "thought opened by the chat format": ("Okay, a dog.\n</think>\nA dog runs.", "A dog runs.", "think_stripped"),
    "The video shows": (
        "The video shows a dog running along a beach.",
        "A dog running along a beach.",
        "preamble_stripped",
    ),
    "In this video": ("In this video, a dog runs along a beach.", "A dog runs along a beach.", "preamble_stripped"),
    "This short clip depicts": (
        "This short video clip depicts two men at a table.",
        "Two men at a table.",
        "preamble_stripped",
    ),
    "Sure": ("Sure! Here is a one-paragraph caption for the clip:\n\nA dog runs.", "A dog runs.", "preamble_stripped"),
    "label": ("**Caption:** A dog runs along a beach.", "A dog runs along a beach.", "preamble_stripped"),
    "quotes": ('"A dog runs along a beach."', "A dog runs along a beach.", "preamble_stripped"),
    "we see": ("We see a dog that runs along a beach.", "A dog that runs along a beach.", "preamble_stripped"),
    "name": ("The video features Ponyo running on waves.", "Ponyo running on waves.", "preamble_stripped"),
    "bold": ("A **red** dog runs *fast* along `a beach`.", "A red dog runs fast along a beach.", "markdown_stripped"),
    "heading": ("# Dog\nA dog runs.", "Dog A dog runs.", "markdown_stripped"),
    "fence": ("```\nA dog runs.\n```", "A dog runs.", "markdown_stripped"),
    "cut sentence": (
        "A dog runs along a wide beach at dawn. Gulls rise before it. The camera follows the dog with a",
        "A dog runs along a wide beach at dawn. Gulls rise before it.",
        "cut_off_trimmed",
    ),
}


@pytest.mark.parametrize("text", HONEST)
def test_honest_captions_pass_untouched(text):
    found = check(text)
    assert (found.text, found.flags) == (text, ())


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_caught_by_name(name):
    text, flag = FAULTS[name]
    found = check(text)
    assert flag in found.flags
    also = {"wrong_language"} if name == "loop without spaces" else set()
    assert set(found.serious) - also == {flag}, "one fault, one name"
    assert flag in SERIOUS


@pytest.mark.parametrize("name", MENDED)
def test_what_can_be_mended_is(name):
    text, mended, flag = MENDED[name]
    found = check(text)
    assert (found.text, found.flags) == (mended, (flag,))
    assert check(mended).flags == ()  # and stays so


@pytest.mark.parametrize("fault", ["loop of a phrase", "numbered list", "talks to the reader", "half Chinese"])
@pytest.mark.parametrize("text", HONEST[:4])
def test_a_fault_behind_an_honest_beginning_is_still_found(text, fault):
    broken, flag = FAULTS[fault]
    if flag == "preamble":
        broken, text = text, broken
    assert flag in check(f"{text}\n{broken}").flags or (fault == "half Chinese" and len(text) > 2 * len(broken))


def test_refusals_and_empty_answers_leave_no_text():
    for name in ("refusal", "refusal in Chinese", "empty", "thought without end"):
        assert check(FAULTS[name][0]).text == ""


def test_an_answer_that_hit_its_limit_is_trimmed_or_flagged():
    whole = "A dog runs along the beach. It barks at the waves."
    assert check(whole, finished=False).flags == ()  # it fitted exactly
    cut = f"{whole} The camera foll"
    assert check(cut, finished=False).text == whole
    assert check(cut, finished=True).text == cut  # the model ended there by itself
    assert check("A dog runs along the beach and the wa", finished=False).flags == ("cut_off",)
    assert check("A dog runs along the beach with", finished=True).flags == ("cut_off",)


@pytest.mark.parametrize("text", ["frung, young woman, a video clip, slow zoom in", "A house, the camera dollies in"])
def test_a_camera_that_moves_in_is_no_cut_off_end(text):
    assert check(text).flags == ()
    assert check(text.rsplit(" ", 2)[0] + " sits in").flags == ("cut_off",)
    assert check("Yes. A dog runs along the wide beach at dawn with gulls before it and", finished=False).serious


def test_tags_have_no_sentences_and_no_language():
    tags = "woman, red coat, bridge, rain, wet roofs, morning, soft side light, medium shot, pan left, calm, mist"
    assert check(tags, style="tags").flags == ()
    assert check(f"{tags}, close-u", style="tags", finished=False).text == tags


def test_other_languages_can_be_wanted():
    german = FAULTS["German"][0]
    assert check(german, language="de").flags == ()
    assert check(german, language="").flags == ()
    assert "wrong_language" in check(HONEST[0], language="de").flags
    assert check(FAULTS["Chinese"][0], language="zh").flags == ()
    assert (
        "wrong_language" in check("女の人が雨の中で橋を渡り、一度だけ振り返ってから歩き続ける。", language="zh").flags
    )
    assert check("女の人が雨の中で橋を渡り、一度だけ振り返ってから歩き続ける。", language="ja").flags == ()


def test_the_text_encoders_own_count_decides_on_length():
    assert check(HONEST[0], tokens=lambda _: 513).flags == ("too_long",)
    assert check(FAULTS["too long"][0], tokens=lambda _: 512).flags == ()
    assert 40 < estimated_tokens(HONEST[0]) < 90


def test_near_identical_texts_are_found_and_like_ones_are_not():
    texts = {
        "a": HONEST[0],
        "b": HONEST[0].upper(),
        "c": HONEST[0].replace("grey ", ""),
        "d": HONEST[2],
        "e": HONEST[0].replace("woman in a grey raincoat", "man in an old green army coat").replace("bridge", "road"),
        "f": "A man walks.",
        "g": "A man walks.",  # too short to say anything
    }
    assert near_identical(texts) == {"a", "b", "c"}
    assert near_identical({}) == frozenset()


def test_what_many_clips_say_is_compared_once(monkeypatch: pytest.MonkeyPatch):
    """A captioner that looks at nothing: without this another text would be compared with each of them."""
    texts = dict.fromkeys(map(str, range(500)), HONEST[0]) | {"other": HONEST[2]}
    compared, least = [], alike._least
    monkeypatch.setattr(alike, "_least", lambda *found: compared.append(len(found[1])) or least(*found))
    assert near_identical(texts) == texts.keys() - {"other"}
    assert compared == [2]


def test_near_identical_finds_what_comparing_all_pairs_finds():
    words = [f"w{n}" for n in range(60)]
    dice = random.Random(1)
    texts = {}
    for number in range(150):
        base = dice.sample(words, 20) if number % 3 or not texts else texts[dice.choice(list(texts))].split()
        texts[str(number)] = " ".join([*base[: dice.choice((18, 19, 20))], *dice.sample(words, dice.choice((0, 1)))])
    sets = {name: frozenset(text.split()) for name, text in texts.items()}
    pairs = itertools.combinations(sets, 2)
    alike = {name for a, b in pairs if len(sets[a] & sets[b]) >= 0.9 * len(sets[a] | sets[b]) for name in (a, b)}
    assert len(alike) > 20
    assert near_identical(texts) == alike
