"""The measuring half of every stage, as the runner takes it: which items are wanted, and how one is measured.

Six stages in the order of the data flow. `split`, `fps` and `cache` consist of two steps each. What is wanted is read
off the decisions so far, so the steps of a run alternate with `Dataset.decide`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from wanprep import keys
from wanprep.dataset import Dataset
from wanprep.scan import Hash
from wanprep.stage import Item, Row, Stage
from wanprep.stages.split import SplitConfig


def steps(dataset: Dataset, stage: str) -> list[Stage]:
    """The steps of a stage, in running order."""
    return _STEPS[stage](dataset)


_OF_CLIPS = (  # less than all columns, because whole tables go through here
    *("clip_id", "source_id", "path", "kind", "state", "scores", "signals_key", "n_frames", "crop"),
    *("start_pts", "end_pts", "start_frame", "end_frame", "start_s", "end_s"),
)


def _sources(dataset: Dataset, *states: str) -> list[dict[str, Any]]:
    """Sources in one of these states, one of several files with the same bytes."""
    known = pl.col("source_id").is_not_null() & pl.col("duplicate_of").is_null()
    rows = dataset.manifest.read("sources").filter(pl.col("state").is_in(states) & known)
    return rows.select("root", "path", "source_id", "bytes", "mtime_ns").to_dicts()


def _seen(source: Mapping[str, Any]) -> tuple[int, int]:
    return source["bytes"], source["mtime_ns"]


def _signals(dataset: Dataset) -> list[dict[str, Any]]:
    """key, path, digest and source_id of the good sources' signals; source: the path of the source (for messages)."""
    wanted = {keys.signals(source["source_id"]): source["path"] for source in _sources(dataset, "ok")}
    done = dataset.manifest.latest("signals").filter(pl.col("outcome") == "done")
    rows = done.select("key", "path", "digest", "source_id").to_dicts()
    return [{**row, "source": wanted[row["key"]]} for row in rows if row["key"] in wanted]


def _clips(dataset: Dataset, *states: str) -> list[dict[str, Any]]:
    rows = dataset.manifest.read("clips").filter(pl.col("state").is_in(states))
    return rows.select(_OF_CLIPS).to_dicts()


def _label(clip: Mapping[str, Any]) -> str:
    return f"{clip['path']} {clip['start_s']:.2f}-{clip['end_s']:.2f} s [{clip['clip_id']}]"


@functools.lru_cache(maxsize=2)
def _load_signals(path: str, digest: str) -> Any:
    from wanprep.signals.store import Signals

    verify(Path(path), digest)
    return Signals.load(Path(path))


def verify(path: Path, digest: str) -> None:
    """Raise unless the artefact's bytes are those of its row."""
    from wanprep.stages.window import verify as check

    check(path, digest)


@dataclass(frozen=True)
class Analyse:
    """split, first half: the one analysis decode of each source -> signals."""

    root: str
    name: str = "split"
    table: str = "signals"
    parallel: bool = True

    def items(self, dataset: Dataset) -> list[Item]:
        items = []
        for source in _sources(dataset, "pending", "failed", "ok", "rejected"):
            key, source_id = keys.signals(source["source_id"]), source["source_id"]
            args = {"path": dataset.source_name(source), "source_id": source_id, "seen": _seen(source)}
            items.append(Item(label=source["path"], parts={key: None}, args=args, row={"source_id": source_id}))
        return items

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[Row]:
        from wanprep.engines.local import threads
        from wanprep.media.unchanged import unchanged
        from wanprep.stages.split import analyse_source

        source = Path(args["path"])
        for key in parts:
            relative = f"signals/{key[:2]}/{key}.safetensors"
            with unchanged(source, args["seen"], args["source_id"]):
                row = analyse_source(source, Path(self.root) / relative, threads=threads())
            yield {**row, "key": key, "path": relative}


@dataclass(frozen=True)
class Shots:
    """split, second half: signals -> clips, remembered by the settings of [split]."""

    root: str
    config: SplitConfig
    name: str = "shots"
    table: str = "shots"
    parallel: bool = True
    plain: bool = True

    def items(self, dataset: Dataset) -> list[Item]:
        items = []
        for row in _signals(dataset):
            args = {"path": row["path"], "digest": row["digest"]}
            key = keys.shots(row["digest"], self.config)
            items.append(Item(label=row["source"], parts={key: None}, args=args, row={"source_id": row["source_id"]}))
        return items

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[Row]:
        from wanprep.stages.split import split

        clips, transitions = split(_load_signals(f"{self.root}/{args['path']}", args["digest"]), self.config)
        spans, mixes = (json.dumps([asdict(entry) for entry in entries]) for entries in (clips, transitions))
        return [{"key": key, "spans": spans, "transitions": mixes} for key in parts]


@dataclass(frozen=True)
class Plans:
    """fps: every clip's frame plan at the family's rate, from true timestamps."""

    root: str
    config: SplitConfig
    rate: int
    name: str = "fps"
    table: str = "plans"
    parallel: bool = True
    plain: bool = True

    def items(self, dataset: Dataset) -> list[Item]:
        shots = dataset.manifest.latest("shots").filter(pl.col("outcome") == "done")
        spans = dict(zip(shots["key"], shots["spans"]))
        items = []
        for row in _signals(dataset):
            shots_key = keys.shots(row["digest"], self.config)
            if shots_key in spans:
                args = {"path": row["path"], "digest": row["digest"], "spans": spans[shots_key]}
                key = keys.plans(shots_key, self.rate)
                more = {"source_id": row["source_id"]}
                items.append(Item(label=row["source"], parts={key: None}, args=args, row=more))
        return items

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[Row]:
        from wanprep.stages.fps import duplicated, frame_plan

        signals = _load_signals(f"{self.root}/{args['path']}", args["digest"])
        plans = []
        for span in json.loads(args["spans"]):
            plan = frame_plan(signals.pts, span["start_pts"], span["end_pts"], signals.time_base, self.rate)
            plans.append({"n_frames": len(plan), "duplicated": duplicated(plan), "frames": plan.tolist()})
        return [{"key": key, "plans": json.dumps(plans)} for key in parts]


@dataclass(frozen=True)
class Scores:
    """filter: signals of one clip -> scores."""

    root: str
    name: str = "filter"
    table: str = "scores"
    parallel: bool = True
    plain: bool = True

    def items(self, dataset: Dataset) -> list[Item]:
        files = {row["key"]: row for row in _signals(dataset)}
        items = []
        for clip in _clips(dataset, "pending", "keep", "rejected"):
            file = files.get(clip["signals_key"])
            found_wanting = clip["state"] == "rejected" and clip["scores"] == "{}"  # by split: never scored
            if file and clip["n_frames"] is not None and not found_wanting:
                frames, crop = (clip["start_frame"], clip["end_frame"]), tuple(clip["crop"])
                key = keys.scores(clip["signals_key"], *frames, *crop)
                args = {"path": file["path"], "digest": file["digest"]}
                row = {"clip_id": clip["clip_id"]}
                items.append(Item(label=_label(clip), parts={key: (*frames, crop)}, args=args, row=row))
        return items

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[Row]:
        from wanprep.stages.scoring import measure_clip

        signals = _load_signals(f"{self.root}/{args['path']}", args["digest"])
        for key, (start, end, crop) in parts.items():
            scores = dict(measure_clip(signals, start, end, crop))
            blobs = {name: scores.pop(name) for name in ("evidence", "signature", "content")}
            yield {"key": key, "scores": json.dumps(scores), **blobs}


@dataclass(frozen=True)
class Media:
    """bucket: one decode of each kept clip -> its mp4 (a still: png) at every size that its samples need."""

    root: str
    rate: int
    name: str = "bucket"
    table: str = "artefacts"
    parallel: bool = True

    def items(self, dataset: Dataset) -> list[Item]:
        clips = {clip["clip_id"]: clip for clip in _clips(dataset, "keep")}
        sources = {source["source_id"]: source for source in _sources(dataset, "ok")}
        files = {row["key"]: row for row in _signals(dataset)}
        wanted: dict[str, dict[str, Any]] = {}
        samples = dataset.manifest.read("samples").filter(pl.col("media_key").is_not_null())
        columns = ("clip_id", "media_key", "width", "height", "crop", "colour")
        for clip_id, key, width, height, crop, colour in samples.select(columns).rows():
            target = {"size": (width, height), "crop": crop, "colour": json.loads(colour) if colour else None}
            wanted.setdefault(clip_id, {})[key] = target
        items = []
        for clip_id in sorted(wanted, key=lambda name: (clips[name]["path"], clips[name]["start_pts"])):
            clip = clips[clip_id]
            if clip["signals_key"] not in files:  # analysed by an earlier version: `split` comes first
                continue
            names = ("clip_id", "kind", "start_pts", "end_pts", "crop", "n_frames")
            args = {name: clip[name] for name in names}
            source = sources[clip["source_id"]]
            args |= {"path": dataset.source_name(source), "source_id": source["source_id"], "seen": _seen(source)}
            args["signals"] = {name: files[clip["signals_key"]][name] for name in ("path", "digest")}
            items.append(Item(label=_label(clip), parts=wanted[clip_id], args=args, row={"clip_id": clip_id}))
        return items

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[Row]:
        from wanprep.media.unchanged import unchanged
        from wanprep.stages.render import render_clip

        signals = _load_signals(f"{self.root}/{args['signals']['path']}", args["signals"]["digest"])
        with unchanged(Path(args["path"]), args["seen"], args["source_id"]):
            return list(render_clip(Path(self.root), args, parts, signals, self.rate))


def _split(dataset: Dataset) -> list[Stage]:
    root = str(dataset.root)
    return [Hash(), Analyse(root), Shots(root, dataset.pipeline.split)]


def _fps(dataset: Dataset) -> list[Stage]:
    return [Plans(str(dataset.root), dataset.pipeline.split, dataset.pipeline.model.fps)]


def _filter(dataset: Dataset) -> list[Stage]:
    from wanprep.looking import look_steps

    return [Scores(str(dataset.root)), *look_steps(str(dataset.root), dataset.pipeline)]


def _bucket(dataset: Dataset) -> list[Stage]:
    return [Media(str(dataset.root), dataset.pipeline.model.fps)]


def _caption(dataset: Dataset) -> list[Stage]:
    from wanprep.captioning import caption_steps

    return caption_steps(str(dataset.root), dataset.pipeline)


def _cache(dataset: Dataset) -> list[Stage]:
    from wanprep.caching import Latents, Texts

    about = str(dataset.root), dataset.pipeline.family, dataset.pipeline.cache
    return [Texts(*about), Latents(*about)]


_STEPS: Mapping[str, Callable[[Dataset], list[Stage]]] = {  # in the order of the data flow
    "split": _split,
    "fps": _fps,
    "filter": _filter,
    "bucket": _bucket,
    "caption": _caption,
    "cache": _cache,
}
STAGES = tuple(_STEPS)
