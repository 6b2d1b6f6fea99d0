"""The steps of an image-text model as the runner takes them: pictures -> embeddings -> scores. Off unless a filter
that needs them is on (aesthetic, nsfw, identity).

Clips that other filters reject are not looked at. Pictures are decoded here, several clips are embedded in one call.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.engines import batches
from wanprep.engines.local import Outcome
from wanprep.ids import key_of
from wanprep.stage import Item, Missing, Row, Stage
from wanprep.stages import looks
from wanprep.stages.filter import OPTIONAL, FilterConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wanprep.dataset import Dataset
    from wanprep.models.looks import ClipFiles
    from wanprep.pipeline import Pipeline


def look_steps(root: str, pipeline: Pipeline) -> list[Stage]:
    """The steps behind the filters that are on; none without such a filter."""
    config = pipeline.filter
    return [Embeddings(root, config), Appraisals(root, config)] if wanted(config) else []


def wanted(config: FilterConfig) -> tuple[str, ...]:
    """Filters that are on and need an image-text model."""
    return tuple(name for name in OPTIONAL if getattr(config, name).enabled)


def check_ready(dataset: Dataset) -> None:
    """Missing, before hours of decoding, when a filter that is on lacks its model or head and nothing was measured."""
    config = dataset.pipeline.filter
    if wanted(config) and dataset.manifest.latest("looks").is_empty():
        _appraiser(config)


def find_files(config: looks.LooksConfig) -> ClipFiles:
    from wanprep.models.looks import require_clip

    return require_clip(config.model, config.weights)


def _appraiser(config: FilterConfig) -> looks.Appraiser:
    return looks.Appraiser(find_files(config.looks), config.looks, wanted(config))


def _clips(dataset: Dataset) -> list[dict[str, Any]]:
    """Clips that no other filter rejects."""
    rows = dataset.manifest.read("clips").iter_rows(named=True)
    return [
        row
        for row in rows
        if row["state"] == "keep" or (row["state"] == "rejected" and set(row["reasons"]) <= set(OPTIONAL))
    ]


def _measured_before(dataset: Dataset, clips: Iterable[Mapping[str, Any]], config: FilterConfig) -> bool:
    """Has every clip its scores, so that a model that has gone since is not missed?"""
    have = set(dataset.manifest.latest("looks")["about"])
    return all(looks.about(clip, config.looks) in have for clip in clips)


@dataclass(frozen=True)
class Embeddings:
    """filter: pictures of one clip -> its embeddings."""

    root: str
    config: FilterConfig
    name: str = "looks"
    table: str = "artefacts"
    parallel: bool = False

    @cached_property
    def files(self) -> ClipFiles:
        return find_files(self.config.looks)

    def items(self, dataset: Dataset) -> list[Item]:
        clips = _clips(dataset)
        if not clips or (self._absent() and _measured_before(dataset, clips, self.config)):
            return []
        sources = {row["source_id"]: row for row in dataset.manifest.read("sources").to_dicts() if _good(row)}
        items = []
        for clip in clips:
            span = {name: clip[name] for name in ("kind", "start_pts", "end_pts", "crop")}
            args = {**span, "path": str(dataset.source_path(sources[clip["source_id"]]))}
            key = looks.embedding_key(clip, self.files, self.config.looks)
            row = {"clip_id": clip["clip_id"], "kind": "looks"}
            label = f"{clip['path']} {clip['start_s']:.2f}-{clip['end_s']:.2f} s [{clip['clip_id']}]"
            items.append(Item(label=label, parts={key: None}, args=args, row=row))
        return items

    def _absent(self) -> bool:
        try:
            return self.files is None
        except Missing:
            return True

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[Row]:
        (result,) = embed([functools.partial(self._pictures, args)], self.files, self.config.looks)
        if isinstance(result, Exception):
            raise result
        return [self._row(key, result) for key in parts]

    def outcomes(self, items: Sequence[Item]) -> Iterator[Outcome]:
        yield from batches.run(self, items, self.config.looks.batch_size, self._batch)

    def _batch(self, items: Sequence[Item]) -> batches.Results:
        decode = [functools.partial(self._pictures, item.args) for item in items]
        made = embed(decode, self.files, self.config.looks)
        return [
            vectors if isinstance(vectors, Exception) else [self._row(key, vectors) for key in item.parts]
            for item, vectors in zip(items, made, strict=True)
        ]

    def _pictures(self, args: Mapping[str, Any]) -> Sequence[NDArray[np.uint8]]:
        span = {name: args[name] for name in ("kind", "start_pts", "end_pts", "crop")}
        return looks.pictures_of(Path(args["path"]), count=self.config.looks.frames, **span)

    def _row(self, key: str, vectors: NDArray[np.float32]) -> Row:
        return looks.write_embeddings(Path(self.root), key, vectors, self.files.name)


def embed(decode: Sequence[Any], files: ClipFiles, config: looks.LooksConfig) -> list[Any]:
    """Embeddings [N, D] of what each function decodes, in one call of the model; an exception in place of its result.

    Pictures shrink to the model's size as soon as they are decoded: a batch of whole ones would fill the memory.
    """
    import torch

    from wanprep.models.looks import load_clip

    clip = load_clip(files, config.precision, config.device)
    prepared: list[Any] = []
    for pictures in decode:
        try:
            prepared.append(clip.prepared(pictures()))
        except Exception as error:
            prepared.append(error)
    good = [tensor for tensor in prepared if not isinstance(tensor, Exception)]
    vectors = iter(clip.images(torch.cat(good))) if good else iter(())
    return [p if isinstance(p, Exception) else _taken(vectors, len(p)) for p in prepared]


def _taken(vectors: Iterator[Any], count: int) -> NDArray[np.float32]:
    import numpy as np

    return np.stack([next(vectors) for _ in range(count)])


@dataclass(frozen=True)
class Appraisals:
    """filter: embeddings of one clip -> scores, and the mean that its set is compared by."""

    root: str
    config: FilterConfig
    name: str = "appraise"
    table: str = "looks"
    parallel: bool = False

    @cached_property
    def appraiser(self) -> looks.Appraiser:
        return _appraiser(self.config)

    def items(self, dataset: Dataset) -> list[Item]:
        rows = dataset.manifest.latest("artefacts").iter_rows(named=True)
        made = {row["key"]: row for row in rows if row["kind"] == "looks" and row["outcome"] == "done"}
        if not made:
            return []
        clips = _clips(dataset)
        try:
            identity, files = self.appraiser.identity, self.appraiser.files
        except Missing:
            if _measured_before(dataset, clips, self.config):
                return []
            raise
        items = []
        for clip in clips:
            file = made.get(looks.embedding_key(clip, files, self.config.looks))
            if file:
                where = looks.about(clip, self.config.looks)
                key = key_of(stage="appraise", about=where, embeddings=file["digest"], **identity)
                args = {"path": file["path"], "digest": file["digest"]}
                row = {"clip_id": clip["clip_id"], "about": where}
                items.append(Item(label=clip["clip_id"], parts={key: None}, args=args, row=row))
        return items

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[Row]:
        import numpy as np

        from wanprep.signals.looks import mean_of

        vectors = looks.read_embeddings(Path(self.root), args["path"], args["digest"])
        scores = json.dumps(self.appraiser.scores(vectors), sort_keys=True)
        embedding = mean_of(vectors).astype(np.float16).tobytes()
        return [{"key": key, "scores": scores, "embedding": embedding} for key in parts]

    def outcomes(self, items: Sequence[Item]) -> Iterator[Outcome]:
        from wanprep.engines import local
        from wanprep.models.looks import release

        try:
            yield from local.run(self, list(items), 0)
        finally:
            release()


def _good(source: Mapping[str, Any]) -> bool:
    return source["state"] == "ok" and not source["duplicate_of"]
