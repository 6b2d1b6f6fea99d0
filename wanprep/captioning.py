"""The caption stage as the runner takes it: a raw caption for each kept clip, then rewritings of their texts.

Its items do not go through worker processes: a model on the GPU takes several clips a call, a server several requests
at a time, and files and templates are quicker than any process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from wanprep.captioners import template
from wanprep.engines import batches, threads
from wanprep.engines.local import Outcome
from wanprep.families import family
from wanprep.stage import Item, Missing, Row, Stage
from wanprep.stages import caption
from wanprep.stages.caption import CaptionConfig, Captioners

if TYPE_CHECKING:
    from wanprep.captioners.base import Captioner
    from wanprep.captioners.rewrite import Rewriter
    from wanprep.dataset import Dataset
    from wanprep.pipeline import Pipeline


_CAMERA = re.compile(r'"camera": (\[[^\]]*\])')
_OF_CLIPS = (
    *("clip_id", "source_id", "path", "group", "kind", "scores", "width", "height", "crop", "caption_origin"),
    *("start_pts", "end_pts", "start_s", "end_s"),
)


def caption_steps(root: str, pipeline: Pipeline) -> list[Stage]:
    steps: list[Stage] = [Captions(root, pipeline.caption, pipeline.family, pipeline.model.fps)]
    if pipeline.caption.rewrite.enabled:
        steps.append(Rewrites(pipeline.caption, pipeline.family))
    return steps


def check_ready(dataset: Dataset) -> None:
    """Missing, before hours of decoding, when a captioner asked for by name has nothing to show and cannot work."""
    config = dataset.pipeline.caption
    rows = dataset.manifest.latest("captions")
    done = set(rows["captioner"]) if len(rows) else set()
    if config.captioner != "auto" and config.captioner not in done:
        Captioners(config).named(config.captioner)
    if config.rewrite.enabled and "rewrite" not in done:
        Rewrites(config, dataset.pipeline.family).rewriter.release()


@dataclass(frozen=True)
class Captions:
    """caption, first half: one raw caption for each kept clip."""

    root: str
    config: CaptionConfig
    family: str
    rate: int
    name: str = "caption"
    table: str = "captions"
    parallel: bool = False

    @cached_property
    def captioners(self) -> Captioners:
        return Captioners(self.config)

    def items(self, dataset: Dataset) -> list[Item]:
        sources = {row["source_id"]: row for row in dataset.manifest.read("sources").to_dicts() if _good(row)}
        media = self.media(dataset)
        items = []
        kept = dataset.manifest.read("clips").filter(pl.col("state") == "keep")
        for clip in kept.select(_OF_CLIPS).to_dicts():
            path = dataset.source_path(sources[clip["source_id"]])
            items += self._item(dataset, clip, path, media)
        return items

    def _item(
        self, dataset: Dataset, clip: Mapping[str, Any], path: Path, media: Mapping[str, dict[str, Any] | None]
    ) -> list[Item]:
        """The item of one clip; none for a clip without samples, or with a caption by hand, whose captioner would have
        to look at it."""
        typed = clip["caption_origin"] == "human"
        try:
            captioner = self.captioners.wanted(path)
        except Missing:
            if typed:
                return []
            key = self._had.get((clip["source_id"], clip["start_pts"], clip["end_pts"])) or self._look_up(dataset, clip)
            if key is None:
                raise
            return [Item(label=clip["clip_id"], parts={key: None}, row={"clip_id": clip["clip_id"]})]
        if captioner.requires_frames and (typed or clip["clip_id"] not in media):
            return []
        camera = _CAMERA.search(clip["scores"])  # of all scores of every clip
        said = json.loads(camera[1])[0] if camera else None
        still = clip["kind"] == "image"
        fields = {"kind": template.PICTURE if still else template.CLIP, "camera": said}
        fields |= {} if still else {"seconds": f"{clip['end_s'] - clip['start_s']:.1f}"}
        seen = media.get(clip["clip_id"]) if captioner.requires_frames else None
        return [caption.item_of(clip, path, captioner, self.config.class_word, fields=fields, media=seen)]

    @cached_property
    def _had(self) -> dict[tuple[Any, ...], str]:
        return {}

    def _look_up(self, dataset: Dataset, clip: Mapping[str, Any]) -> str | None:
        """Key of the caption that the named captioner, absent today, once gave to this clip."""
        if not self._had:
            for row in dataset.manifest.latest("captions").sort("seq").iter_rows(named=True):
                if row["captioner"] == self.config.captioner and row["outcome"] == "done":
                    self._had[(row["source_id"], row["start_pts"], row["end_pts"])] = row["key"]
        return self._had.get((clip["source_id"], clip["start_pts"], clip["end_pts"]))

    def media(self, dataset: Dataset) -> dict[str, dict[str, Any] | None]:
        """clip_id -> its largest file (see `base.Media`), None while none is written; clips with samples only."""
        frames = dict(dataset.manifest.read("clips").select("clip_id", "n_frames").iter_rows())
        found: dict[str, dict[str, Any] | None] = {}
        areas: dict[str, int] = {}
        columns = ("clip_id", "state", "width", "height", "media_digest", "media_path")
        for sample in dataset.manifest.read("samples").select(columns).to_dicts():
            clip_id, area = sample["clip_id"], sample["width"] * sample["height"] if sample["width"] else 0
            if sample["state"] == "ok" or sample["media_digest"]:  # or its caption was rejected
                found.setdefault(clip_id, None)
            if sample["media_digest"] and area > areas.get(clip_id, 0):
                still = sample["media_path"].endswith(".png")
                areas[clip_id] = area
                found[clip_id] = {
                    "path": f"{self.root}/{sample['media_path']}",
                    "digest": sample["media_digest"],
                    "kind": "png" if still else "mp4",
                    "rate": self.rate,
                    "frames": 1 if still else frames[clip_id],
                }
        return found

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[Row]:
        (result,) = self._measured(self.captioners.named(args["captioner"]), [args["request"]])
        if isinstance(result, Exception):
            raise result
        return [{**result, "key": key} for key in parts]

    def outcomes(self, items: Sequence[Item]) -> Iterator[Outcome]:
        """Items go by captioner: requests to a server side by side, clips for a model in batches."""
        ordered = sorted(items, key=lambda item: item.args["captioner"])  # stable: within one, as before
        try:
            for name, group in groupby(ordered, key=lambda item: item.args["captioner"]):
                captioner = self.captioners.named(name)
                if captioner.lanes > 1:
                    yield from threads.run(self, list(group), captioner.lanes)
                else:
                    yield from batches.run(self, list(group), captioner.together, self._batch)
        finally:
            self.captioners.release()

    def _batch(self, items: Sequence[Item]) -> batches.Results:
        captioner = self.captioners.named(items[0].args["captioner"])
        results = self._measured(captioner, [item.args["request"] for item in items])
        return [_rows(item, result) for item, result in zip(items, results)]

    def _measured(self, captioner: Captioner, requests: Sequence[Mapping[str, Any]]) -> list[caption.Result]:
        count = caption.token_counter(family(self.family)) if captioner.draws else None
        return caption.measure_many(captioner, requests, self.config, count)


@dataclass(frozen=True)
class Rewrites:
    """caption, second half: each distinct text -> the same in the wanted style and length."""

    config: CaptionConfig
    family: str
    name: str = "rewrite"
    table: str = "captions"
    parallel: bool = False

    @cached_property
    def rewriter(self) -> Rewriter:
        from wanprep.captioners.rewrite import Rewriter

        return Rewriter(self.config.rewrite, self.config.sampling, self.config.vlm, self.config.endpoint)

    def items(self, dataset: Dataset) -> list[Item]:
        clips = [row for row in dataset.manifest.read("clips").to_dicts() if row["state"] == "keep"]
        rows = dataset.manifest.read("captions").sort("seq", maintain_order=True).to_dicts()
        wanted = {clip["clip_id"]: clip["caption_key"] for clip in clips if clip["caption_key"]}
        asked = [clip for clip in clips if clip["caption_origin"] != "human"]
        return caption.rewrite_items(asked, rows, self.config, wanted or None)

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[Row]:
        (result,) = self._measured([args["text"]])
        if isinstance(result, Exception):
            raise result
        return [{**result, "key": key} for key in parts]

    def outcomes(self, items: Sequence[Item]) -> Iterator[Outcome]:
        if not items:
            return
        try:
            if self.rewriter.lanes > 1:
                yield from threads.run(self, items, self.rewriter.lanes)
            else:
                yield from batches.run(self, items, self.rewriter.together, self._batch)
        finally:
            self.rewriter.release()

    def _batch(self, items: Sequence[Item]) -> batches.Results:
        results = self._measured([item.args["text"] for item in items])
        return [_rows(item, result) for item, result in zip(items, results)]

    def _measured(self, texts: Sequence[str]) -> list[caption.Result]:
        count = caption.token_counter(family(self.family))
        return caption.measure_rewrites(self.rewriter, texts, self.config, count)


def _rows(item: Item, result: caption.Result) -> list[Row] | Exception:
    return result if isinstance(result, Exception) else [{**result, "key": key} for key in item.parts]


def _good(source: Mapping[str, Any]) -> bool:
    return source["state"] == "ok" and not source["duplicate_of"]
