"""The caption stage: one caption a clip, made once and decided many times.

measure  one clip -> raw caption, by the captioner that the configuration (or the rule "auto") picks, asked again when
         the answer is bad. Stored under a key of span, bars, captioner and what that captioner read; never the
         trigger, never the size of the mp4. Optionally each distinct text -> its rewriting.
decide   raw captions + captions by hand -> the one caption of each clip, trigger first (`captioners.choose`).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wanprep.captioners import checks
from wanprep.captioners.base import Captioner, CaptionRequest, Media, RawCaption
from wanprep.captioners.choose import REWRITE, best_rows, decide, judged
from wanprep.captioners.files import Chosen
from wanprep.captioners.rewrite import Rewriter, rewrite_key
from wanprep.captioners.settings import CaptionConfig, Captioners
from wanprep.captioners.text import final_text
from wanprep.families import Family
from wanprep.ids import key_of
from wanprep.stage import Item

__all__ = ["CaptionConfig", "Captioners", "Chosen", "caption_key", "decide", "final_text", "item_of", "measure_many"]

Result = dict[str, Any] | Exception
Counter = Callable[[str], int]
_in_order = json.JSONEncoder(sort_keys=True).encode  # set up once: `json.dumps` does that in each call


def caption_key(
    source_id: str,
    start_pts: int,
    end_pts: int,
    crop: Sequence[int] | None,
    identity: Mapping[str, Any],
    inputs: Mapping[str, Any] | None = None,
) -> str:
    """Key of one raw caption: span, bars [x, y, w, h], captioner, and what it read for this clip (`inputs`)."""
    box = list(crop) if crop else None
    span = {"source_id": source_id, "start_pts": start_pts, "end_pts": end_pts}
    return key_of(stage="caption", **span, crop=box, identity=dict(identity), inputs=dict(inputs or {}))


def item_of(
    clip: Mapping[str, Any],
    source_path: Path,
    captioner: Captioner,
    class_word: str | None = None,
    *,
    fields: Mapping[str, Any] | None = None,
    media: Mapping[str, Any] | None = None,
) -> Item:
    """What to measure for one clip: one part, its value None.

    clip: a row of the table `clips` (clip_id, source_id, path, group, start_pts, end_pts, start_s, end_s, crop, width,
    height). fields: more values for templates and prompts, such as camera. media: see `base.Media`, as plain values.
    """
    named = {"class": class_word, "width": clip.get("width"), "height": clip.get("height"), **(fields or {})}
    request = {
        "clip_id": clip["clip_id"],
        "source_path": str(source_path),
        "source_rel": clip["path"],
        "group": clip["group"],
        "start_s": clip["start_s"],
        "end_s": clip["end_s"],
        "fields": {name: value for name, value in named.items() if value is not None},
        "media": {**media, "path": str(media["path"])} if media else None,
    }
    inputs = captioner.inputs(request_of(request, source_path))
    span = {name: clip[name] for name in ("source_id", "start_pts", "end_pts")}
    identity = captioner.identity()
    key = caption_key(**span, crop=clip.get("crop"), identity=identity, inputs=inputs)
    said_by = {"captioner": captioner.name, "origin": captioner.origin, "model": captioner.model()}
    known = {"identity": _in_order(identity), "prompt": identity.get("prompt")}
    return Item(
        label=f"{clip['path']} {clip['start_s']:.2f}-{clip['end_s']:.2f} s [{clip['clip_id']}]",
        parts={key: None},
        args={"captioner": captioner.name, "request": request},
        row={"clip_id": clip["clip_id"], **span, **said_by, **known},
    )


def request_of(plain: Mapping[str, Any], source_path: Path | None = None) -> CaptionRequest:
    """A request from the plain values that items carry. source_path: theirs, where it is at hand as a path."""
    media = plain["media"]
    made = Media(**{**media, "path": Path(media["path"])}) if media else None
    return CaptionRequest(**{**plain, "source_path": source_path or Path(plain["source_path"]), "media": made})


def measure_many(
    captioner: Captioner,
    requests: Sequence[Mapping[str, Any]],
    config: CaptionConfig,
    count: Counter | None = None,
) -> list[Result]:
    """Caption clips, in order: what a row of the table `captions` gets besides `Item.row` and the key.

    requests: `Item.args["request"]` of each. count: the text encoder's tokens of a text. A Reject or another exception
    takes the place of its clip.
    """
    built = [request_of(plain) for plain in requests]
    if not captioner.draws:
        plain = captioner.caption_many(built)
        return [answer if isinstance(answer, Exception) else _as_it_is(answer) for answer in plain]

    def ask(places: Sequence[int], attempt: int) -> list[RawCaption | Exception]:
        return captioner.caption_many([built[place] for place in places], attempt)

    judge = functools.partial(checks.check, language=config.language, tokens=count)
    return _asked(len(built), ask, judge, config.retries, checks.stamp(config.language), count)


def _as_it_is(answer: RawCaption) -> dict[str, Any]:
    more = {"more": json.dumps(answer.more, ensure_ascii=False)} if answer.more else {}
    return {"text": answer.text, "flags": list(answer.flags), **more}


def measure_rewrites(
    rewriter: Rewriter, texts: Sequence[str], config: CaptionConfig, count: Counter | None = None
) -> list[Result]:
    """Rewrite texts, in order; rows as `measure_many`."""

    def ask(places: Sequence[int], attempt: int) -> list[RawCaption | Exception]:
        return rewriter.rewrite_many([texts[place] for place in places], attempt)

    style = config.rewrite.style
    judge = functools.partial(checks.check, language=config.language, style=style, tokens=count)
    return _asked(len(texts), ask, judge, config.retries, checks.stamp(config.language, style), count)


def rewrite_items(
    clips: Iterable[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    config: CaptionConfig,
    wanted: Mapping[str, str] | None = None,
) -> list[Item]:
    """One item for each distinct text that the configuration wants rewritten."""
    identity = config.rewrite.identity(config.sampling)
    best = best_rows(clips, rows, config, wanted)
    texts = {judged(row, config).text for row in best.values() if row and row["origin"] in config.rewrite.origins}
    row = {"captioner": REWRITE, "origin": "vlm", "model": identity["model"], "identity": json.dumps(identity)}
    return [
        Item(label=f"caption {text[:40]!r}", parts={rewrite_key(text, identity): None}, args={"text": text}, row=row)
        for text in sorted(texts - {""})
    ]


def _asked(
    number: int,
    ask: Callable[[Sequence[int], int], list[RawCaption | Exception]],
    judge: Callable[..., checks.Checked],
    retries: int,
    stamp: str,
    count: Counter | None,
) -> list[Result]:
    """Ask, judge, ask again for what was bad; the best answer of each, earlier ones first among equals."""
    best: list[tuple[int, Result]] = [(1_000, RuntimeError("was never asked"))] * number
    spent = [dict.fromkeys(("attempts", "tokens_in", "tokens_out", "cost"), 0) for _ in range(number)]
    open_ = list(range(number))
    for attempt in range(retries + 1):
        for place, answer in zip(open_, ask(open_, attempt)):
            if isinstance(answer, Exception):
                if attempt == 0:
                    best[place] = (-1, answer)  # a bad answer is asked again, a failure by the next run
                continue
            _add(spent[place], answer)
            found = judge(answer.text, finished=answer.finished)
            badness = len(found.serious) + (not found.text)
            if badness < best[place][0]:
                tokens = count(found.text) if count else checks.estimated_tokens(found.text)
                flags = [*found.flags, *answer.flags, *(["retried"] if attempt else [])]
                said = {"text": found.text, "raw": answer.text, "flags": flags, "finished": answer.finished}
                best[place] = (badness, {**said, "checked": stamp, "text_tokens": tokens})
        open_ = [place for place in open_ if best[place][0] > 0]
        if not open_:
            break
    return [
        result if isinstance(result, Exception) else {**result, **totals} for (_, result), totals in zip(best, spent)
    ]


def _add(totals: dict[str, Any], answer: RawCaption) -> None:
    totals["attempts"] += 1
    for name in ("tokens_in", "tokens_out", "cost"):
        totals[name] += getattr(answer, name) or 0


def token_counter(family: Family) -> Counter | None:
    """Counts tokens as the family's text encoder will; None where its tokenizer is not on this machine."""
    from wanprep.models.find import find_weights

    folder = find_weights(family, "text")
    return None if folder is None else functools.partial(_counted, str(folder))


def _counted(folder: str, text: str) -> int:
    if checks.estimated_tokens(text) < checks.MAX_TOKENS // 2:  # nowhere near the limit: not worth the tokenizer
        return checks.estimated_tokens(text)
    return len(_tokenizer(folder)(text, verbose=False).input_ids)


@functools.lru_cache(maxsize=1)
def _tokenizer(folder: str) -> Any:
    from wanprep.models.check import part_folder, tokenizer_folder
    from wanprep.models.tokenizer import load_tokenizer

    place = Path(folder)
    return load_tokenizer(place if place.is_file() else tokenizer_folder(part_folder(place, "text")))
