"""`wanprep caption --check`: every caption there is, hand-edited ones too, judged again and held against its pictures.

Texts are judged by the same rules as answers of models (`captioners.checks`), all captions of the set together for
near-identical ones; nothing about a text is written, because people's words are theirs. Pictures of each clip are
embedded once (resumable, one file a clip); what departs becomes a flag of the clip, as other checks' flags do.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.captioners import agreement, checks
from wanprep.captioners.alike import near_identical
from wanprep.captioners.base import Media
from wanprep.captioners.choose import ALIKE
from wanprep.captioners.frames import decoded, sample_indices
from wanprep.captioners.several import parsed
from wanprep.captioning import Captions
from wanprep.engines import batches
from wanprep.engines.local import Outcome
from wanprep.families import family
from wanprep.ids import key_of
from wanprep.looking import embed, find_files
from wanprep.runner import Listener, Options, Report, run_stage
from wanprep.stage import Item, Missing, Row
from wanprep.stages import looks
from wanprep.stages.caption import Counter, token_counter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wanprep.dataset import Dataset
    from wanprep.decide import Decided
    from wanprep.models.looks import ClipFiles
    from wanprep.pipeline import Pipeline


@dataclass(frozen=True)
class Agreements:
    """One clip's captions against pictures of its largest file -> cosines [captions, pictures]."""

    root: str
    pipeline: Pipeline
    name: str = "agreement"
    table: str = "agreement"
    parallel: bool = False

    @cached_property
    def files(self) -> ClipFiles:
        return find_files(self.pipeline.filter.looks)

    def items(self, dataset: Dataset) -> list[Item]:
        media = _media(dataset)
        model, config = self.pipeline.filter.looks, self.pipeline.caption.check
        items = []
        for clip in dataset.manifest.read("clips").iter_rows(named=True):
            seen = media.get(clip["clip_id"])
            if clip["state"] == "keep" and clip["caption"] and seen:
                captions = agreement.captions_of(clip)
                where = agreement.about(seen["digest"], captions, model, config)
                key = key_of(stage="agreement", about=where, model=self.files.identity)
                args = {"media": seen, "captions": captions}
                row = {"clip_id": clip["clip_id"], "about": where}
                label = f"{clip['path']} {clip['start_s']:.2f}-{clip['end_s']:.2f} s [{clip['clip_id']}]"
                items.append(Item(label=label, parts={key: None}, args=args, row=row))
        return items

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[Row]:
        (result,) = self._cosines([args])
        if isinstance(result, Exception):
            raise result
        return [{"key": key, "cosines": result} for key in parts]

    def outcomes(self, items: Sequence[Item]) -> Iterator[Outcome]:
        from wanprep.models.looks import release

        try:
            yield from batches.run(self, items, self.pipeline.filter.looks.batch_size, self._batch)
        finally:
            release()

    def _batch(self, items: Sequence[Item]) -> batches.Results:
        made = self._cosines([item.args for item in items])
        return [
            found if isinstance(found, Exception) else [{"key": key, "cosines": found} for key in item.parts]
            for item, found in zip(items, made, strict=True)
        ]

    def _cosines(self, args: Sequence[Mapping[str, Any]]) -> list[Any]:
        """JSON {indices, cosines} of each clip, or what went wrong with it. Pictures embedded before are read again."""
        from wanprep.models.looks import load_clip

        model = self.pipeline.filter.looks
        vectors = self._vectors([one["media"] for one in args])
        clip = load_clip(self.files, model.precision, model.device)
        made: list[Any] = []
        for one, frames in zip(args, vectors, strict=True):
            if isinstance(frames, Exception):
                made.append(frames)
                continue
            cosines = (clip.texts(one["captions"]) @ frames.T).round(5).tolist()
            made.append(json.dumps({"indices": self._indices(one["media"]), "cosines": cosines}))
        return made

    def _vectors(self, media: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Embeddings of each file's pictures: one file under looks/ each, so that an edited caption decodes nothing."""
        places = [Path(self.root) / "looks" / key[:2] / f"{key}.safetensors" for key in map(self._key, media)]
        found: list[Any] = [looks.known_embeddings(place) for place in places]
        absent = [k for k, vectors in enumerate(found) if vectors is None]
        decode = [functools.partial(self._pictures, media[k]) for k in absent]
        made = embed(decode, self.files, self.pipeline.filter.looks) if absent else []
        for k, vectors in zip(absent, made, strict=True):
            found[k] = vectors
            if not isinstance(vectors, Exception):
                looks.write_embeddings(Path(self.root), places[k].stem, vectors, self.files.name)
        return found

    def _key(self, media: Mapping[str, Any]) -> str:
        held = {"model": self.files.identity, "precision": self.pipeline.filter.looks.precision}
        return key_of(stage="seen", version=looks.VERSION, media=media["digest"], indices=self._indices(media), **held)

    def _indices(self, media: Mapping[str, Any]) -> list[int]:
        config = self.pipeline.caption.check
        return list(sample_indices(media["frames"], media["rate"], config.fps, config.max_frames))

    def _pictures(self, media: Mapping[str, Any]) -> NDArray[np.uint8]:
        from wanprep.stages.window import verify

        path = Path(media["path"])
        verify(path, media["digest"])
        return decoded(Media(**{**media, "path": path}), tuple(self._indices(media)))


def _media(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """clip_id -> its largest file, written already."""
    pipeline = dataset.pipeline
    found = Captions(str(dataset.root), pipeline.caption, pipeline.family, pipeline.model.fps).media(dataset)
    return {clip_id: media for clip_id, media in found.items() if media}


def judge_texts(clips: Sequence[Row], pipeline: Pipeline, count: Counter | None = None) -> list[dict[str, Any]]:
    """Every caption, the others of a clip too, with what is wrong with it. Pure; clips in order.

    count: the text encoder's tokens of a text, an estimate without it; the trigger counts.
    flags: those of `captioners.checks` and near_identical. Captions that one text file gave to all clips of a source
    are compared as one.
    """
    config = pipeline.caption
    rows: list[dict[str, Any]] = []
    alike: dict[tuple[str, str], list[str]] = {}
    for clip in clips:
        if clip["state"] != "keep" or clip["caption"] is None:
            continue
        first = {"number": 1, "origin": clip["caption_origin"], "text": clip["caption"], "weight": 1.0}
        for one in (first, *parsed(clip["more_captions"])):
            name = f"{clip['clip_id']}.{one['number']}"
            body = _without_trigger(one["text"], config.trigger, config.separator)
            tokens = (count or checks.estimated_tokens)(one["text"])
            found = checks.check(body, language=config.language, tokens=functools.partial(_known, tokens))
            flags = list(found.flags) if body else ["empty"]
            if one["number"] == 1:  # what is known of how it came about, a model's verdict on its raw answer above all
                flags += [flag for flag in clip["caption_flags"] if flag not in flags and flag != ALIKE]
            row = {name: clip[name] for name in ("clip_id", "path", "start_s", "end_s")} | one
            rows.append({**row, "flags": flags, "name": name})
            same = (clip["source_id"], body) if one["origin"] == "sidecar" else (name, body)
            alike.setdefault(same, []).append(name)
    groups = {names[0]: (names, body) for (_, body), names in alike.items()}
    said = near_identical({first: body for first, (_, body) in groups.items()})
    repeated = {name for first in said for name in groups[first][0]}
    for row in rows:
        row["flags"] += [ALIKE] if row.pop("name") in repeated else []
    return rows


def _known(tokens: int, text: str) -> int:
    return tokens


def _without_trigger(text: str, trigger: str | None, separator: str) -> str:
    """A caption as its author wrote it: what the trigger says is no preamble and no repetition."""
    lead = " ".join(((trigger or "") + separator).split())
    return text[len(lead) :].lstrip() if trigger and text.startswith(lead) else text


def check(
    dataset: Dataset, options: Options, listen: Listener
) -> tuple[dict[str, Any], Decided, Report | None, Missing | None]:
    """Judge texts, compare with pictures, store the flags: findings, decisions, report, what is missing."""
    from wanprep.run import find_edits

    report, missing = None, None
    with dataset.lease():
        _, notes = find_edits(dataset)
        dataset.decide()
        if dataset.pipeline.caption.check.windows:
            try:
                report = run_stage(Agreements(str(dataset.root), dataset.pipeline), dataset, options, listen)
            except Missing as error:
                missing = error
        decided = dataset.decide()
    config = dataset.pipeline.caption.check
    measured = dataset.manifest.read("agreement").sort("seq", maintain_order=True).to_dicts()
    found = agreement.agreements(decided.clip_rows, decided.samples.to_dicts(), measured, dataset.pipeline)
    windows = [w for one in found for w in one.windows if w.drop >= config.drop]
    little = [one for one in found if agreement.AGREES_LITTLE in agreement.flags_of(one, config)]
    texts = judge_texts(decided.clip_rows, dataset.pipeline, token_counter(family(dataset.pipeline.family)))
    findings = {
        "captions": len(texts),
        "texts": [row for row in texts if row["flags"]],
        "clips_compared": len(found),
        "windows": [vars(window) for window in sorted(windows, key=lambda w: (-w.drop, w.clip_id, w.start))],
        "clips": [{"clip_id": o.clip_id, "cosine": o.cosine, "deviations": o.deviations} for o in little],
        "missing": str(missing) if missing else None,
        "notes": notes,
    }
    return findings, decided, report, missing
