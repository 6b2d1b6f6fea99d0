"""What there is and what it makes: counts of sources, clips and samples, and the exact epoch they give.

`report` turns manifest rows into one plain nested value (JSON with `Stats.to_json`), `render` draws it. Every source,
clip and sample row is counted exactly once in its state; reasons can add up to more than the clips they reject,
because a clip may be rejected for several.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from wanprep import costs
from wanprep.families import Family
from wanprep.stats_lengths import length_bins
from wanprep.stats_model import (
    BucketStats,
    CacheStats,
    ClipStats,
    Reason,
    SourceLine,
    SourceStats,
    Stats,
    ViewStats,
)
from wanprep.stats_repeats import repeats_of

if TYPE_CHECKING:
    from rich.console import RenderableType

Row = Mapping[str, Any]
Rows = Any  # list of dict rows, or anything with `to_dicts` such as a polars frame
By = Literal["bucket", "source", "reason", "view"]

KEPT = ("keep", "kept")


def report(
    clips: Rows,
    samples: Rows,
    sources: Rows,
    captions: Rows,
    artefacts: Rows,
    family: Family,
    *,
    batch_size: int = 1,
    accumulate: int = 1,
) -> Stats:
    """Count everything.

    clips: clip_id, source_id, state, reasons, n_frames, seconds (or start_s, end_s), kind, and what repeats_of reads.
    samples: columns of `stages.bucket`, and mp4_state (or media_digest), latent_state (or cache_state), caption_origin.
    sources: source_id, path, group, kind, outcome (or state), reason, duplicate_of, duration_s.
    captions: clip_id, origin. artefacts: kind, bytes.

    Names in brackets are those of the manifest's tables. ValueError when batch_size or accumulate is below 1.
    """
    clips, samples, sources = _list(clips), _list(samples), _list(sources)
    ok = [row for row in samples if row["state"] == "ok"]
    kept = [row for row in clips if row["state"] in KEPT]
    moving = _moving(kept, sources)
    epoch = costs.epoch_of(ok, batch_size=batch_size, accumulate=accumulate)
    return Stats(
        family=family.name,
        fps=family.fps,
        max_frames=family.max_frames,
        sources=_sources(sources),
        clips=_clips(clips, kept, moving),
        samples=_counts(row["state"] for row in samples),
        epoch=epoch,
        batch_size=batch_size,
        accumulate=accumulate,
        forward_tflop=_forward_tflop(ok, family),
        repeats=repeats_of(moving),
        lengths=length_bins([row["n_frames"] for row in moving]),
        buckets=_buckets(ok, family, batch_size),
        views=_views(samples),
        by_source=_by_source(sources, clips, ok),
        reasons=_reasons(sources, clips, samples),
        captions=_captions(kept, ok, _list(captions)),
        cache=_cache(ok, _list(artefacts), family),
    )


def _list(rows: Rows) -> list[Row]:
    return rows.to_dicts() if hasattr(rows, "to_dicts") else list(rows)


def _counts(labels: Iterable[str]) -> dict[str, int]:
    """Label -> count, the most frequent first, then by name."""
    return dict(sorted(Counter(labels).items(), key=lambda pair: (-pair[1], pair[0])))


def _outcome(row: Row) -> str:
    return row.get("outcome") or row.get("state") or "pending"


def _damage(row: Row) -> str:
    """What is wrong with a source whose good part is used."""
    return (row.get("detail") or "") if row.get("state") == "ok" else ""


def _kind(row: Row) -> str:
    return "image" if row["n_frames"] == 1 else "video"


def _seconds(row: Row) -> float:
    if row.get("seconds") is not None:
        return row["seconds"]
    return (row.get("end_s") or 0.0) - (row.get("start_s") or 0.0)


def _sources(sources: list[Row]) -> SourceStats:
    return SourceStats(
        total=len(sources),
        outcomes=_counts(_outcome(row) for row in sources),
        kinds=_counts(row["kind"] for row in sources if row.get("kind")),  # of a gone or unread one nobody knows
        damaged=sum(bool(_damage(row)) for row in sources),
        seconds=sum(row.get("duration_s") or 0.0 for row in sources if row.get("state") != "gone"),
    )


def _clips(clips: list[Row], kept: list[Row], moving: list[Row]) -> ClipStats:
    return ClipStats(
        total=len(clips),
        states=_counts(row["state"] for row in clips),
        kept=len(kept),
        stills=len(kept) - len(moving),
        several=sum(len(set(row["reasons"] or ())) > 1 for row in clips),
        seconds=sum(_seconds(row) for row in clips),
        kept_seconds=sum(_seconds(row) for row in kept),
    )


def _moving(kept: list[Row], sources: list[Row]) -> list[Row]:
    """Those of the kept clips that are no stills: by what the clip says, else its source, else its length."""
    kinds = {row["source_id"]: row["kind"] for row in sources if row.get("kind")}
    return [row for row in kept if (row.get("kind") or kinds.get(row["source_id"]) or _kind(row)) != "image"]


def _forward_tflop(ok: list[Row], family: Family) -> float | None:
    if family.name not in costs.TRANSFORMERS:
        return None
    visits: Counter[int] = Counter()
    for row in ok:
        visits[row["tokens"]] += row["repeats"]
    return sum(count * costs.forward_tflop(family, tokens) for tokens, count in visits.items())


def _buckets(ok: list[Row], family: Family, batch_size: int) -> list[BucketStats]:
    visits = costs.visits_of(ok)
    total = sum(visits.values())
    samples = Counter((row["width"], row["height"], row["frames"]) for row in ok)
    found = [
        BucketStats(
            width=bucket[0],
            height=bucket[1],
            frames=bucket[2],
            samples=samples[bucket],
            visits=count,
            share=count / total,
            tokens=family.tokens(*bucket),
            batches=costs.batches_of(count, batch_size),
        )
        for bucket, count in visits.items()
    ]
    return sorted(found, key=lambda b: (-b.visits, -b.tokens, b.width))


def _views(samples: list[Row]) -> list[ViewStats]:
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in samples:
        rows[row["view"]].append(row)
    found = []
    for view, members in sorted(rows.items()):
        ok = [row for row in members if row["state"] == "ok"]
        states = Counter(row["state"] for row in members)
        found.append(
            ViewStats(
                view=view,
                clips=len({row["clip_id"] for row in ok}),
                samples=len(ok),
                duplicate=states["duplicate"],
                rejected=states["rejected"],
                visits=sum(row["repeats"] for row in ok),
                tokens=sum(row["repeats"] * row["tokens"] for row in ok),
            )
        )
    return found


def _by_source(sources: list[Row], clips: list[Row], ok: list[Row]) -> list[SourceLine]:
    of: dict[str, list[Row]] = defaultdict(list)
    for clip in clips:
        of[clip["source_id"]].append(clip)
    source_of = {clip["clip_id"]: clip["source_id"] for clip in clips}
    samples = Counter(source_of.get(row["clip_id"]) for row in ok)
    lines = []
    for row in sources:
        # Files with the same bytes share a source_id; the clips belong to the one that is there and stands for them.
        stands = not row.get("duplicate_of") and row.get("state") != "gone"
        mine = of[row["source_id"]] if stands else []
        kept = [clip for clip in mine if clip["state"] in KEPT]
        lines.append(
            SourceLine(
                source_id=row["source_id"] or "",
                path=row.get("path") or "",
                group=row.get("group") or "",
                outcome=_outcome(row),
                reason=row.get("reason") or "",
                damage=_damage(row),
                why=_why(mine),
                clips=len(mine),
                kept=len(kept),
                samples=samples[row["source_id"]] if stands else 0,
                seconds=row.get("duration_s") or 0.0,
                kept_seconds=sum(_seconds(clip) for clip in kept),
            )
        )
    return sorted(lines, key=lambda line: (line.path, line.source_id))


def _why(clips: list[Row]) -> str:
    """Why no clip of a source is kept; "" where one is, or there is none, or nothing is decided yet."""
    if any(clip["state"] != "rejected" for clip in clips):
        return ""
    return next(iter(_counts(reason for clip in clips for reason in clip["reasons"] or ())), "")


def _reasons(sources: list[Row], clips: list[Row], samples: list[Row]) -> list[Reason]:
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for of, rows in (("source", sources), ("clip", clips), ("sample", samples)):
        for row in rows:
            several = row.get("reasons")
            for reason in dict.fromkeys(several if several is not None else [row.get("reason")]):
                if reason:
                    counts[of, reason] += 1
                    examples.setdefault((of, reason), "")
                    examples[of, reason] = examples[of, reason] or row.get("detail") or ""
    totals = {"source": len(sources), "clip": len(clips), "sample": len(samples)}
    order = {"source": 0, "clip": 1, "sample": 2}
    return [
        Reason(of=of, reason=reason, count=count, share=count / totals[of], example=examples[of, reason])
        for (of, reason), count in sorted(counts.items(), key=lambda pair: (order[pair[0][0]], -pair[1], pair[0][1]))
    ]


def _captions(kept: list[Row], ok: list[Row], captions: list[Row]) -> dict[str, int]:
    """Kept clips by the origin of their caption. What was decided for a clip comes before what was measured."""
    origins = {row["clip_id"]: row.get("origin") for row in captions}
    origins |= {row["clip_id"]: row["caption_origin"] for row in ok if row.get("caption_origin")}
    origins |= {row["clip_id"]: row["caption_origin"] for row in kept if row.get("caption_origin")}
    return _counts(origins.get(row["clip_id"]) or "none" for row in kept)


def _file_state(row: Row) -> str:
    return row.get("mp4_state") or ("ready" if row.get("media_digest") else "pending")


def _cache(ok: list[Row], artefacts: list[Row], family: Family) -> CacheStats:
    files = {(row["clip_id"], row["width"], row["height"]): _file_state(row) for row in ok}
    kinds: dict[str, dict[str, int]] = {}
    for row in artefacts:
        if row.get("outcome") in (None, "done"):
            entry = kinds.setdefault(row["kind"], {"files": 0, "bytes": 0})
            entry["files"] += 1
            entry["bytes"] += row.get("bytes") or 0
    return CacheStats(
        latents=_counts(row.get("latent_state") or row.get("cache_state") or "pending" for row in ok),
        files=_counts(files.values()),
        expected_bytes=sum(costs.latent_bytes(family, r["width"], r["height"], r["frames"]) for r in ok),
        artefacts=dict(sorted(kinds.items())),
    )


def render(stats: Stats, by: By | None = None) -> RenderableType:
    """A rich renderable that fits 80 columns: the overview, or one full table by bucket, source, reason or view."""
    from wanprep.stats_render import draw

    return draw(stats, by)
