"""Samples and their files: what was made of a clip, of a caption and of a window ends in one state of each sample."""

import json
from typing import Any

import polars as pl
import pytest

from wanprep import keyed
from wanprep.frames import frame_of, types_of
from wanprep.ids import Ends, key_ends, key_of
from wanprep.joins import MUTE, decide_samples
from wanprep.measured import Measured, artefacts_of, signals_of
from wanprep.pipeline import Pipeline, resolve
from wanprep.schema import TABLES

VIEW = '{name="look",resolution=[64,32],frames=[9],mode="chunk",flip_x=true}'
Row = dict[str, Any]


class Encoder:
    """Names files as the real one does: by what is in them."""

    def latent_ends(self, start: int, frames: int, flip: bool) -> Ends:
        assert type(flip) is bool
        return key_ends("digest", start=start, frames=frames, flip=flip)

    def text_ends(self) -> Ends:
        return key_ends("text")

    def text_key(self, text: str) -> str:
        return key_of(text=text)


@pytest.fixture
def pipeline() -> Pipeline:
    return resolve(environment={}, assignments=["family=tiny", f"views=[{VIEW}]"])


def a_clip(name: str, frames: int = 18, **more: Any) -> Row:
    spans = {"start_pts": 0, "end_pts": frames, "start_frame": 0, "end_frame": frames, "n_frames": frames}
    about = {"clip_id": name, "source_id": f"s{name}", "signals_key": "k", "group": "g", "kind": "video"}
    size = {"width": 64, "height": 32, "crop": [0, 0, 64, 32]}
    captions: Row = {"caption": "a red ball", "caption_origin": "human", "more_captions": None, "reasons": []}
    captions["scores"] = json.dumps({"camera": ["slow pan left", None, "info"]})
    return {**about, **spans, **size, **captions, "state": "keep", **more}


def made(key: str, outcome: str = "done", reason: str = "") -> Row:
    path = f"file of {key}" if outcome == "done" else None
    return {"key": key, "outcome": outcome, "reason": reason, "detail": reason, "path": path, "digest": path}


def samples(pipeline: Pipeline, clips: list[Row], *files: Row) -> list[Row]:
    encoder: Any = Encoder()
    measured = Measured(signals=signals_of([{"key": "k", "width": 64, "height": 32}]), artefacts=artefacts_of(files))
    return decide_samples(table(clips), measured, pipeline, encoder).to_dicts()


def table(clips: list[Row]) -> pl.DataFrame:
    held = frame_of(clips, types_of(TABLES["clips"]))
    return held.with_columns(scores_key=keyed.scores(held))


def one_state(rows: list[Row], name: str = "cache_state") -> Any:
    (state,) = {row[name] for row in rows}
    return state


def test_a_sample_is_cached_with_its_last_file(pipeline: Pipeline) -> None:
    clips = [a_clip("a", caption="a cat", more_captions=json.dumps([{"number": 2, "weight": 0.5, "text": "a pet"}]))]
    plain = samples(pipeline, clips)
    assert list(plain[0]) == list(TABLES["samples"])
    assert [(row["start"], row["flip"]) for row in plain] == [(0, False), (0, True), (9, False), (9, True)]
    files = [made(one_state(plain, "media_key"))]
    with_media = samples(pipeline, clips, *files)
    assert len({row["latent_key"] for row in with_media}) == 4
    files += [made(row["latent_key"]) for row in with_media]
    files += [made(key_of(text=text)) for text in ("a cat", "a pet")]
    assert one_state(samples(pipeline, clips, *files)) == "cached"
    for place in range(len(files)):
        rows = samples(pipeline, clips, *files[:place], *files[place + 1 :])
        assert [row["cache_state"] for row in rows].count("pending") == (1 if 1 <= place <= 4 else 4)
    failed = [*files[:-1], made(files[-1]["key"], "failed")]
    assert one_state(samples(pipeline, clips, *failed)) == "failed"


def test_a_file_whose_making_failed_is_not_there(pipeline: Pipeline) -> None:
    clips = [a_clip("a")]
    (key,) = {row["media_key"] for row in samples(pipeline, clips)}
    assert one_state(samples(pipeline, clips, made(key, "failed")), "media_path") is None
    assert one_state(samples(pipeline, clips, made(key)), "media_path") == f"file of {key}"


def test_what_its_file_or_its_caption_rejects_is_no_example(pipeline: Pipeline) -> None:
    clips = [a_clip("a"), a_clip("b", reasons=["too_long"], caption=None), a_clip("c", caption="on the Left")]
    keys = {row["clip_id"]: row["media_key"] for row in samples(pipeline, clips)}
    rows = samples(pipeline, clips, made(keys["a"], "rejected", "unreadable"), made(keys["b"]), made(keys["c"]))
    told = {(row["clip_id"], row["flip"]): (row["state"], row["reason"], row["detail"]) for row in rows}
    side = "its caption says 'Left', which is the other side in the mirrored copy; reword it"
    assert told == {
        **{("a", flip): ("rejected", "unreadable", "unreadable") for flip in (False, True)},
        **{("b", flip): ("rejected", "too_long", MUTE) for flip in (False, True)},
        ("c", False): ("ok", "", ""),
        ("c", True): ("rejected", "caption_names_a_side", side),
    }
    files = {(row["clip_id"], row["flip"]): row["media_path"] for row in rows}
    assert files["b", False] is not None  # another captioner may look at it
    assert files["a", False] is files["c", True] is None


@pytest.mark.parametrize(
    ("origin", "caption", "of_copy"),
    [
        ("template", "a video clip, slow pan left", "a video clip, slow pan right"),
        ("template", "left hand, slow pan left", None),  # the words of a person's template: whose left is not known
        ("template", "a video clip, fast pan left", None),  # not what was measured
        ("template", "a video clip", "a video clip"),
        ("human", "slow pan left", None),
        ("sidecar", "slow pan left", None),
        ("vlm", "slow pan left", None),
    ],
)
def test_the_copys_camera_pans_to_the_other_side(
    pipeline: Pipeline, origin: str, caption: str, of_copy: str | None
) -> None:
    clips = [a_clip("a", frames=9, caption=caption, caption_origin=origin)]
    plain, copy = samples(pipeline, clips)
    assert (plain["state"], plain["caption"], plain["text_key"]) == ("ok", caption, key_of(text=caption))
    if of_copy is None:
        assert (copy["state"], copy["reason"], copy["text_key"]) == ("rejected", "caption_names_a_side", None)
        return
    assert (copy["state"], copy["caption"], copy["text_key"]) == ("ok", of_copy, key_of(text=of_copy))
    files = [made(plain["media_key"]), made(key_of(text=caption))]
    own = {row["flip"]: row["text_path"] for row in samples(pipeline, clips, *files)}
    assert own == {False: files[1]["path"], True: files[1]["path"] if caption == of_copy else None}


def test_without_an_encoder_nothing_is_cached_and_nothing_lost(pipeline: Pipeline) -> None:
    measured = Measured(signals=signals_of([{"key": "k", "width": 64, "height": 32}]))
    rows = decide_samples(table([a_clip("a"), a_clip("b", state="rejected")]), measured, pipeline, None).to_dicts()
    assert [(row["clip_id"], row["cache_state"], row["text_key"]) for row in rows] == [("a", "pending", None)] * 4
    assert decide_samples(table([]), measured, pipeline, None).is_empty()
