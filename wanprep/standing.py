"""Where a dataset stands: how every step's items ended, what is left out and why, and what is still to be done.

Counted in items, the unit of `wanprep run`'s table: a clip whose two files are wanted is one item of `bucket`.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from wanprep import originals
from wanprep.joins import MUTE
from wanprep.stage import Missing
from wanprep.wanted import wanted

if TYPE_CHECKING:
    from wanprep.dataset import Dataset
    from wanprep.decide import Decided
    from wanprep.stage import Stage

Row = Mapping[str, Any]
UNITS = {
    **dict.fromkeys(("scan", "split", "shots", "fps"), "sources"),
    **dict.fromkeys(("filter", "looks", "appraise", "bucket", "caption"), "clips"),
    **dict.fromkeys(("rewrite", "cache"), "texts"),
    "latents": "samples",
}
# Steps that leave out by a decision: what.
DECIDES = {"shots": "clips", "filter": "clips", "bucket": "samples", "caption": "samples"}
STAGE_OF = {
    **{"scan": "split", "split": "split", "shots": "split", "fps": "fps", "filter": "filter", "looks": "filter"},
    **{"appraise": "filter", "bucket": "bucket", "caption": "caption", "rewrite": "caption"},
    **{"cache": "cache", "latents": "cache"},
}
_ORDER = ("pending", "failed", "rejected", "done")  # an item of several parts is what its least finished part is


def reasons_of(rows: Iterable[Row], state: str = "rejected") -> Counter[str]:
    """Rows in a state by reason; a clip that several filters reject counts for each of them."""
    found: Counter[str] = Counter()
    for row in rows:
        if row["state"] == state:
            several = row.get("reasons")
            found.update(set(several) if several is not None else [row["reason"]])
    return found


def uncaptioned(clips: Iterable[Row]) -> Counter[str]:
    """Kept clips whose caption was rejected, by reason."""
    return reasons_of(clips, "keep")


def without_samples(clips: Sequence[Row], samples: Sequence[Row]) -> tuple[int, Counter[str]]:
    """How many kept clips give no sample, and the reasons of theirs, each counted once a clip; one whose samples wait
    for a caption alone does."""
    kept = {clip["clip_id"]: clip["reasons"] for clip in clips if clip["state"] == "keep"}
    used = {r["clip_id"] for r in samples if r["state"] == "ok" or r["reason"] in kept.get(r["clip_id"], ())}
    idle = kept.keys() - used
    if not idle:
        return 0, Counter()
    why = {(row["clip_id"], row["reason"]) for row in samples if row["clip_id"] in idle and row["reason"]}
    bucketed = {clip_id for clip_id, _ in why}
    return len(bucketed), Counter(reason for _, reason in why)


def names_of(dataset: Dataset, sources: Sequence[Row]) -> list[str]:
    """The path of each source, with its folder's name before it where another folder has the same path."""
    times = Counter(row["path"] for row in sources)
    roots = {root: Path(folder).name for root, folder in dataset.roots.items()}
    return [
        f"{roots[row['root']]}/{row['path']}" if times[row["path"]] > 1 and row["root"] in roots else row["path"]
        for row in sources
    ]


def moved(dataset: Dataset, sources: Sequence[Row]) -> dict[str, str]:
    """source_id -> name of the source that is there with these bytes, of those that are gone under another name."""
    gone = {row["source_id"] for row in sources if row["state"] == "gone"} - {None}
    if not gone:
        return {}
    there = [(row, name) for row, name in zip(sources, names_of(dataset, sources)) if row["state"] != "gone"]
    there.sort(key=lambda pair: pair[0]["state"] == "ok")  # which of copies: the one that stands for them
    return {row["source_id"]: name for row, name in there if row["source_id"] in gone}


def states_of(rows: Iterable[Row]) -> Counter[str]:
    """Rows by state; of sources that are gone those that only moved apart."""
    moved = ("gone", originals.MOVED)
    return Counter("moved" if (row["state"], row.get("reason")) == moved else row["state"] for row in rows)


def is_damaged(source: Row) -> bool:
    """A good part of it is used: its stream breaks off, or pictures in it are broken."""
    return source["state"] == "ok" and bool(source["detail"])


def standing(dataset: Dataset, step: Stage) -> dict[str, Any]:
    """One step: done, failed, pending, rejected by reason (its own measurements), left_out by reason (decisions)."""
    try:
        counts, reasons, failed = _ended(dataset, step)
        waiting = ""
    except Missing as missing:
        kept = int((dataset.manifest.read("clips")["state"] == "keep").sum())
        counts, reasons, failed, waiting = Counter(pending=kept), Counter(), [], missing.what
    if STAGE_OF.get(step.name) == "cache":
        lacking = unencoded(dataset)[step.name] - counts["failed"] - counts["rejected"]
        counts["pending"] = max(counts["pending"], lacking)
    numbers = {name: counts[name] for name in ("done", "failed", "pending")}
    return {
        "step": step.name,
        "of": UNITS.get(step.name, "items"),
        **numbers,
        "rejected": dict(reasons),
        "left_out": dict(_left_out(dataset, step.name)),
        "failed_items": failed,
        "waiting_for": waiting,
    }


def _ended(dataset: Dataset, step: Stage) -> tuple[Counter[str], Counter[str], list[str]]:
    """Items of a step by outcome, the rejected ones by reason, and what the failed ones are called."""
    listed, items = wanted(step, dataset), []
    if listed is None:
        items = step.items(dataset)
        parts = [(number, key) for number, item in enumerate(items) for key in item.parts]
        listed = pl.DataFrame(parts, {"item": pl.Int64, "key": pl.String}, orient="row")
    ended = dataset.manifest.outcomes(step.table).select("key", "outcome", "reason", "detail")
    absent = dataset.manifest.absent(step.table)
    if absent:  # to be made again
        ended = ended.filter(~pl.col("key").is_in(list(absent)))
    joined = listed.join(ended, on="key", how="left", maintain_order="left")
    outcome = pl.when(pl.col("outcome").is_in(_ORDER)).then("outcome").otherwise(pl.lit("pending"))
    places = pl.col("outcome").cast(pl.Enum(_ORDER))
    worst = joined.with_columns(outcome).sort(places, maintain_order=True).unique("item", keep="first")
    counts = Counter(worst["outcome"].to_list())
    reasons = Counter(worst.sort("item").filter(pl.col("outcome") == "rejected")["reason"].to_list())
    if not counts["failed"]:
        return counts, reasons, []
    failed = joined.join(worst.filter(pl.col("outcome") == "failed"), on="item", how="semi")
    failed = failed.filter(pl.col("outcome") == "failed").select("key", "reason", "detail")
    why = {key: f"{reason}: {detail}" for key, reason, detail in failed.iter_rows()}
    found = ((it.label, next((key for key in it.parts if key in why), None)) for it in items or step.items(dataset))
    return counts, reasons, [f"{label}: {why[key]}" for label, key in found if key]


def _left_out(dataset: Dataset, step: str) -> Counter[str]:
    if step in ("bucket", "caption"):
        waits = pl.col("detail").eq_missing(MUTE) == (step == "caption")
        rows = dataset.manifest.read("samples").filter((pl.col("state") == "rejected") & waits)
        return Counter(rows["reason"].to_list())
    if step not in DECIDES:
        return Counter()
    unscored = (pl.col("scores") == "{}") == (step == "shots")
    rows = dataset.manifest.read("clips").filter((pl.col("state") == "rejected") & unscored)
    return Counter(rows["reasons"].list.unique(maintain_order=True).explode().drop_nulls().to_list())


def pending(dataset: Dataset, decided: Decided) -> dict[str, int]:
    """Step -> items it has still to do, read off the decisions alone: quick, whatever the size of the dataset."""
    sources = [row for row in decided.sources if row["state"] in ("pending", "failed")]
    divided = {clip["source_id"] for clip in decided.clip_rows}  # a good source has a clip that says what became of it
    ok = decided.samples.filter(state="ok")
    files = decided.samples.filter((pl.col("state") == "ok") | (pl.col("detail") == MUTE))
    used = set(ok["clip_id"])
    looks_at_none = dataset.pipeline.caption.captioner in ("template", "sidecar")
    mute = [
        clip
        for clip in decided.clip_rows
        if clip["state"] == "keep" and clip["caption"] is None and not clip["reasons"]
        if looks_at_none or clip["clip_id"] in used
    ]
    found = {
        "split": len(sources),
        "shots": sum(row["state"] == "ok" and row["source_id"] not in divided for row in decided.sources),
        "filter": sum(clip["state"] == "pending" for clip in decided.clip_rows),
        "bucket": files.filter(pl.col("media_digest").is_null())["clip_id"].n_unique(),
        "caption": len(mute),
        "cache": _texts(dataset),
        "latents": ok["latent_path"].null_count(),
    }
    return {step: count for step, count in found.items() if count}


def unencoded(dataset: Dataset) -> dict[str, int]:
    """Texts and latents that good samples lack, those included that have no key yet for want of files or weights."""
    ok = dataset.manifest.read("samples").filter(pl.col("state") == "ok")
    return {"cache": _texts(dataset), "latents": ok["latent_path"].null_count()}


def _texts(dataset: Dataset) -> int:
    """Texts still to be encoded. Listing them takes a while in a large dataset, so not where all samples are cached."""
    from wanprep.steps import steps

    good = (pl.col("state") == "ok") & pl.col("caption").is_not_null()
    captioned = dataset.manifest.read("samples").filter(good)
    if (captioned["cache_state"] == "cached").all() and not dataset.pipeline.caption.class_word:
        return 0
    try:
        items = steps(dataset, "cache")[0].items(dataset) if dataset.encoder() else []
    except Missing:
        items = []
    if items:
        final = dataset.manifest.final_keys("artefacts")
        return sum(not item.parts.keys() <= final for item in items)
    return captioned.filter(pl.col("text_path").is_null())["caption"].n_unique()


def go_on(dataset: Dataset, steps: Iterable[str]) -> str:
    """The command that does these steps: one stage's own, or a run of everything."""
    stages = {STAGE_OF.get(step, step) for step in steps}
    command = ["wanprep", *(stages if len(stages) == 1 and not stages & {"split"} else ("run", _source(dataset)))]
    return shlex.join(command + out_of(dataset))


def out_of(dataset: Dataset) -> list[str]:
    """`--out DIR`, or nothing where it is the default."""
    return [] if dataset.root == Path("dataset") else ["--out", str(dataset.root)]


def _source(dataset: Dataset) -> str:
    """The folder (or the one file) that the dataset was made of, as it is reached from here; SRC of several."""
    rows = dataset.manifest.read("sources").select("root", "path").to_dicts()
    if len(dataset.roots) != 1 or not rows:
        return "SRC"
    path = dataset.source_name(rows[0]) if len(rows) == 1 else next(iter(dataset.roots.values()))
    near = os.path.relpath(path)
    return path if near.startswith("..") else near
