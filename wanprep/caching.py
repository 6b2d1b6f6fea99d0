"""The measuring half of the cache stage, as the runner takes it: texts, then latents.

Reading, computing and writing overlap (engines.overlap). Above 10,000 samples what is written goes into shards, and a
row waits for its shard to be complete.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from wanprep.captioners.several import texts_of
from wanprep.engines import overlap
from wanprep.engines.local import Outcome
from wanprep.shards import SHARD_ABOVE, Member, ShardWriter
from wanprep.stage import Item, Row
from wanprep.stages.cache import CacheConfig, class_text, distinct_texts, shared_encoder

if TYPE_CHECKING:
    from wanprep.dataset import Dataset
    from wanprep.stages.cache import Encoder
    from wanprep.stages.encode import Encoding, Window

READERS = 4
WRITERS = 2


@dataclass(frozen=True)
class Texts:
    """cache, first half: each distinct caption, and its class text where there is one -> one embedding."""

    root: str
    family: str
    config: CacheConfig
    name: str = "cache"
    table: str = "artefacts"
    parallel: bool = False

    def items(self, dataset: Dataset) -> list[Item]:
        encoder = dataset.encoder()
        samples = dataset.manifest.read("samples")
        if encoder is None or samples.is_empty():
            return []
        captions = texts_of(samples.to_dicts())
        words = dataset.pipeline.caption
        classes = [class_text(caption, words.trigger, words.class_word) for caption in captions]
        texts = distinct_texts([*captions, *(text for text in classes if text)])
        return [Item(label=f"text {t[:40]!r}", parts={encoder.text_key(t): t}, row={"kind": "text"}) for t in texts]

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[Row]:
        from wanprep.stages.encode import encode_text

        encoder = shared_encoder(self.family, self.config)
        more = {"encoder": encoder.encoder_id}
        return [artefact(encode_text(encoder, Path(self.root), t) | more | {"text": t}) for t in parts.values()]

    def outcomes(self, todo: Sequence[Item]) -> Iterator[Outcome]:
        """Texts of like length together on a GPU; one by one elsewhere."""
        encoder = shared_encoder(self.family, self.config)
        shards = shard_writer(self.config, Path(self.root), "text")
        work = TextWork(encoder, Path(self.root), shards)
        by_text = {next(iter(item.parts.values())): item for item in todo}
        groups = [[by_text[text] for text in group] for group in encoder.text_encoder.batches(list(by_text))]
        yield from sealed(overlap.run(self, groups, work, readers=1, writers=WRITERS), shards)


@dataclass(frozen=True)
class Latents:
    """cache, second half: each sample's window -> one latent."""

    root: str
    family: str
    config: CacheConfig
    name: str = "latents"
    table: str = "artefacts"
    parallel: bool = False

    def items(self, dataset: Dataset) -> list[Item]:
        items = []
        for sample in dataset.manifest.read("samples").filter(pl.col("latent_key").is_not_null()).to_dicts():
            names = ("media_path", "media_digest", "start", "frames", "width", "height", "flip")
            args = {name: sample[name] for name in names}
            mirrored = " mirrored" if sample["flip"] else ""
            label = f"{sample['clip_id']} {sample['view']} [{sample['start']}, +{sample['frames']}){mirrored}"
            row = {"kind": "latent", "clip_id": sample["clip_id"]}
            items.append(Item(label=label, parts={sample["latent_key"]: None}, args=args, row=row))
        return items

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[Row]:
        from wanprep.stages.encode import encode_latent

        made = encode_latent(shared_encoder(self.family, self.config), Path(self.root), **args)
        return [_latent_row(made, args, parts)]

    def outcomes(self, todo: Sequence[Item]) -> Iterator[Outcome]:
        """Missing, before anything is encoded, when a bucket does not fit into the GPU's memory."""
        encoder = shared_encoder(self.family, self.config)
        encoder.forget_text()
        for bucket in sorted({(item.args["width"], item.args["height"], item.args["frames"]) for item in todo}):
            encoder.vae.refuse_too_large(*bucket)
        shards = shard_writer(self.config, Path(self.root), "latents")
        work = LatentWork(encoder, Path(self.root), shards)
        groups = [[item] for item in todo]
        yield from sealed(overlap.run(self, groups, work, readers=READERS, writers=WRITERS), shards)


def shard_writer(config: CacheConfig, root: Path, kind: str) -> ShardWriter | None:
    """Packs what is written from now on, if the dataset at `root` has so many samples or the settings say so."""
    from wanprep.manifest import Manifest

    samples = 0 if config.shards != "auto" else Manifest(root / "manifest").read("samples")["latent_key"].count()
    wanted = config.shards == "always" or samples > SHARD_ABOVE
    return ShardWriter(root, kind) if wanted else None


class TextWork:
    def __init__(self, encoder: Encoder, root: Path, shards: ShardWriter | None) -> None:
        from wanprep.stages.encode import Store

        self.encoder, self.store = encoder, Store(root, shards)

    def read(self, group: Sequence[Item]) -> list[str]:
        return [next(iter(item.parts.values())) for item in group]

    def launch(self, group: Sequence[Item], data: list[str]) -> Any:
        model = self.encoder.text_encoder
        return list(zip(data, model.encode_many(data), [model.count(text) for text in data], strict=True))

    def finish(self, group: Sequence[Item], handle: Any) -> list[list[Row]]:
        from wanprep.stages.encode import finish_text

        more = {"encoder": self.encoder.encoder_id}
        rows = (finish_text(self.encoder, self.store, t, states, count) | {"text": t} for t, states, count in handle)
        return [[artefact(row | more)] for row in rows]


class LatentWork:
    def __init__(self, encoder: Encoder, root: Path, shards: ShardWriter | None) -> None:
        from wanprep.stages.encode import Store

        self.encoder, self.root, self.store = encoder, root, Store(root, shards)
        if encoder.family.clip_embeds:
            _ = encoder.image_encoder  # loaded once, before threads ask for it

    def read(self, group: Sequence[Item]) -> Window:
        from wanprep.stages.encode import read_sample

        return read_sample(self.encoder, self.root, **group[0].args)

    def launch(self, group: Sequence[Item], data: Window) -> Encoding:
        from wanprep.stages.encode import start

        return start(self.encoder, data)

    def finish(self, group: Sequence[Item], handle: Encoding) -> list[list[Row]]:
        from wanprep.stages.encode import finish_latent

        item = group[0]
        made = finish_latent(self.encoder, self.store, item.args, handle)
        return [[_latent_row(made, item.args, item.parts)]]


def _latent_row(made: Mapping[str, Any], args: Mapping[str, Any], parts: Mapping[str, Any]) -> Row:
    row = artefact(made)
    if row["key"] not in parts:
        raise RuntimeError(f"the weights changed during the run (wanted {list(parts)}, made {row['key']}); run again")
    return row | {name: args[name] for name in ("width", "height", "frames")}


def artefact(made: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the artefacts table."""
    columns = ("kind", "key", "path", "digest", "bytes")
    meta = {name: value for name, value in made.items() if name not in columns}
    return {name: made[name] for name in columns} | {"meta": json.dumps(meta, sort_keys=True)}


def sealed(batches: Iterable[list[Outcome]], shards: ShardWriter | None) -> Iterator[Outcome]:
    """The outcomes; those whose bytes are in an open shard when that is complete, with where they are in it."""
    waiting: list[Outcome] = []
    known: dict[str, Member] = {}
    try:
        for outcomes in batches:
            for outcome in outcomes:
                if shards is None or outcome.kind != "done":
                    yield outcome
                else:
                    waiting.append(outcome)
            if shards is not None and shards.due:
                yield from _released(waiting, known, shards)
        if shards is not None:
            yield from _released(waiting, known, shards)
    finally:
        if shards is not None:
            shards.drop()


def _released(waiting: list[Outcome], known: dict[str, Member], shards: ShardWriter) -> list[Outcome]:
    """Close the shard and take out of `waiting` what is safe now. The shard may hold members whose outcome is yet to
    come: these stay in `known`."""
    known |= {member.key: member for member in shards.seal()}
    ready = [outcome for outcome in waiting if all(row["key"] in known for row in outcome.rows)]
    waiting[:] = [outcome for outcome in waiting if not all(row["key"] in known for row in outcome.rows)]
    return [
        replace(outcome, rows=tuple({**row, "path": known.pop(row["key"]).path} for row in outcome.rows))
        for outcome in ready
    ]
