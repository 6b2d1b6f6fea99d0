"""Measured rows of clips that nobody measured, to see how fast whole tables are decided."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from wanprep import keys
from wanprep.captioners import checks
from wanprep.dataset import Dataset
from wanprep.measured import Measured, plans_of, shots_of, signals_of
from wanprep.pipeline import Pipeline
from wanprep.signals import moving, overlay, recurring
from wanprep.stages.scored import stored

TINY = (
    "family=tiny",
    'caption.trigger="ohwx woman"',
    'views=[{name="a",resolution=[832,480],frames=[17,33]},{name="b",resolution=[480,272],frames=[41]}]',
)
SLOTS, RATE = 96, 24  # frames a clip and a second of the made-up sources
REPEATED = 0.02  # share of clips that show one of 200 pieces of footage again


def measured(pipeline: Pipeline, clips: int, *, a_source: int = 100, a_group: int = 10, seed: int = 1) -> Measured:
    """`clips` scored clips in sources of `a_source` each, `a_group` of which are a folder, scores spread so that every
    filter has something to reject.

    Overlay evidence and signatures are those of random pictures, and noise.
    """
    rng = np.random.default_rng(seed)
    tables: dict[str, list[dict[str, Any]]] = {
        n: [] for n in ("sources", "files", "signals", "shots", "plans", "scores")
    }
    blobs = [_blobs(rng) for _ in range(200)]
    for number in range(-(-clips // a_source)):
        identity, path = f"source{number:06d}", f"film {number // a_group:04d}/{number:06d}.mp4"
        digest, key = f"digest of {identity}", keys.signals(identity)
        listed = {"root": "r", "path": path, "group": f"film {number // a_group:04d}", "bytes": 1, "mtime_ns": 1}
        tables["sources"].append(listed | {"file_key": f"r/{path}", "state": "pending"})
        tables["files"].append(_done(f"r/{path}", source_id=identity))
        facts = {"time_base": f"1/{RATE}", "first_pts": 0, "last_pts": SLOTS * a_source, "last_duration": 1}
        more = {
            "source_id": identity,
            "kind": "video",
            "digest": digest,
            "truncated": "",
            "width": 1920,
            "height": 1080,
        }
        tables["signals"].append(_done(key, **facts, **more))
        spans = [_span(k) for k in range(min(a_source, clips - number * a_source))]
        shots_key = keys.shots(digest, pipeline.split)
        tables["shots"].append(_done(shots_key, spans=json.dumps(spans), transitions="[]"))
        slots = SLOTS * pipeline.model.fps // RATE
        plan = {"n_frames": slots, "duplicated": 0, "frames": list(range(slots))}
        plans_key = keys.plans(shots_key, pipeline.model.fps)
        tables["plans"].append(_done(plans_key, plans=json.dumps([plan] * len(spans))))
        for span in spans:
            blob = blobs[int(rng.integers(len(blobs)))]
            if rng.random() > REPEATED:
                blob = blob | {"signature": _another(blob["signature"], rng)}
            blob = blob | {"evidence": _own(blob["evidence"], rng)}
            scores = json.dumps(_scores(rng) | {"map_rows": overlay.map_rows(blob["evidence"])})
            span_key = keys.scores(key, span["start_frame"], span["end_frame"], *span["crop"])
            tables["scores"].append(_done(span_key, scores=scores, **blob))
    columns = {"signals": signals_of, "shots": shots_of, "plans": plans_of, "scores": stored}
    rows: dict[str, Any] = {name: columns.get(name, list)(table) for name, table in tables.items()}
    return Measured(**rows)


def store(dataset: Dataset, table: Measured) -> None:
    """As if all of it had been measured there."""
    dataset.manifest.append("files", table.files)
    for name in ("signals", "shots", "plans", "scores"):
        dataset.manifest.append(name, getattr(table, name).to_dicts())
    dataset.manifest.replace("sources", [dict(row) for row in table.sources])
    dataset.save()


def finish(dataset: Dataset) -> None:
    """As if all of it had been captioned and cached there, too: the rows; no file is made."""
    decided = dataset.decide()
    captions = [_caption(number, clip) for number, clip in enumerate(decided.clip_rows)]
    dataset.manifest.append("captions", captions)
    wanted = {row["clip_id"]: row["key"] for row in captions}
    for kinds in (("media",), ("latent", "text")):
        samples = dataset.decide(wanted).samples
        keys_of = {kind: samples[f"{kind}_key"].drop_nulls().unique().to_list() for kind in kinds}
        rows = [_file(kind, key) for kind, found in keys_of.items() for key in found]
        dataset.manifest.append("artefacts", rows)
    assert (dataset.decide(wanted).samples["cache_state"] == "cached").all()


def _caption(number: int, clip: Mapping[str, Any]) -> dict[str, Any]:
    """Fifty words of 4,000, some much more often than others, as in language."""
    rng = np.random.default_rng([7, number])
    words = (4000 * rng.random(50) ** 4).astype(int)
    text = f"{' '.join(f'word{word}' for word in words.tolist())}."
    span = {name: clip[name] for name in ("clip_id", "source_id", "start_pts", "end_pts")}
    said = {"captioner": "qwen2-vl", "origin": "vlm", "text": text, "raw": text, "checked": checks.stamp("en")}
    return _done(f"{number:032x}", **span, **said, attempts=1, text_tokens=80, finished=True, flags=[])


def _file(kind: str, key: str) -> dict[str, Any]:
    return _done(key, kind=kind, path=f"{kind}/{key}", digest=key, bytes=1, meta="{}")


def _done(key: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "outcome": "done", "reason": "", "detail": "", **more}


def _span(k: int) -> dict[str, Any]:
    a, b = k * SLOTS, (k + 1) * SLOTS
    span = {"start_pts": a, "end_pts": b, "start_frame": a, "end_frame": b}
    return span | {"crop": [0, 140, 1920, 800], "state": "ok", "reason": ""}


def _scores(rng: np.random.Generator) -> dict[str, Any]:
    spread = {"sharpness": (0.25, 0.07), "smear": (1.0, 0.5), "shake": (0.02, 0.03), "light_jump": (0.02, 0.04)}
    spread |= {"motion": (0.2, 0.15), "frozen": (0.1, 0.3), "duplicate_rate": (0.02, 0.05), "luma": (90, 40)}
    drawn = {name: round(abs(float(rng.normal(*about))), 6) for name, about in spread.items()}
    return drawn | {"camera": "static camera", "camera_speed": 0.005}


def _blobs(rng: np.random.Generator) -> dict[str, bytes]:
    """Evidence and signature as `measure_clip` makes them, of eight pictures of noise and drawings of noise that move;
    no content."""
    import cv2

    from wanprep.signals import phash

    thumbs = np.stack([cv2.resize(rng.integers(0, 256, (9, 16, 3), np.uint8), (256, 144)) for _ in range(8)])
    places = rng.normal(-6, 2, (36, 64))
    drawings = [_drawing(rng) for _ in range(recurring.MOST)]
    tiny = rng.integers(0, 256, (SLOTS, 12, 16), np.uint8)
    seconds = np.arange(SLOTS) / RATE
    evidence = overlay.clip_evidence(thumbs, places, drawings)
    return {"evidence": evidence, "signature": phash.clip_signature(thumbs, tiny, seconds)}


def _drawing(rng: np.random.Generator) -> moving.Drawing:
    edges = rng.normal(0, 0.3, (2, moving.HEIGHT, moving.WIDTH)).astype(np.float32)
    return moving.Drawing(odds=-5.0, look=float(rng.normal(-3, 1)), box=(0.1, 0.1, 0.3, 0.2), edges=edges)


def _another(signature: bytes, rng: np.random.Generator) -> bytes:
    """A signature of other footage, as long."""
    return signature[:3] + rng.bytes(len(signature) - 3)


def _own(evidence: bytes, rng: np.random.Generator) -> bytes:
    """Evidence that no other clip has, so that tables are as large as real ones: of the edges two thirds are anew, of
    the drawings all, and the places are shuffled."""
    edges = overlay.map_rows(evidence) * overlay.WIDTH
    shape = np.frombuffer(evidence, "<u2", count=2, offset=3)
    places = overlay.HEAD + edges + edges // 8
    drawings = places + int(shape.prod())
    parts = np.frombuffer(evidence, np.uint8).copy()
    parts[overlay.HEAD + edges // 3 : overlay.HEAD + edges] = rng.integers(0, 256, edges - edges // 3, np.uint8)
    rng.shuffle(parts[places:drawings])
    for k in range(evidence[7]):
        one = drawings + k * recurring.BYTES
        parts[one + 1 : one + recurring.BYTES] = rng.integers(0, 256, recurring.BYTES - 1, np.uint8)
    return parts.tobytes()
