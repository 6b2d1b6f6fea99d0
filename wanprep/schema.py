"""The columns of every manifest table, in one place.

Measured tables share MEASURED: a key made of exactly what the row depends on, how the measurement ended, and volatile
columns that differ between two runs of the same work. Derived tables hold decisions and have no such columns.
"""

from __future__ import annotations

from typing import Literal

Column = Literal["text", "int", "float", "bool", "bytes", "texts", "ints"]
Columns = dict[str, Column]

FINAL = ("done", "rejected")
DERIVED = ("sources", "clips", "samples")  # tables of decisions
VOLATILE = ("seconds", "host", "seq", "at")


def _columns(**names: str) -> Columns:
    """`_columns(text="a b", int="c")` -> {"a": "text", "b": "text", "c": "int"}."""
    return {name: kind for kind, group in names.items() for name in group.split()}  # type: ignore[misc]


STAMP = _columns(int="seq", float="at", text="host")
# outcome: done | rejected | failed, or void, which takes back earlier rows of the key (wanprep.care). reason: stable
# label of a rejection, class of the error of a failure. detail: a sentence for people.
MEASURED = _columns(text="key outcome reason detail", float="seconds") | STAMP
FILE = _columns(text="path digest", int="bytes")
SPAN = _columns(int="start_pts end_pts")

TABLES: dict[str, Columns] = {
    # Measured: one row a file found, keyed by the hint (root, relative path, size, mtime) that saves re-hashing.
    "files": MEASURED | _columns(text="source_id"),
    # Measured: one analysis decode a source. facts: JSON of the probe.
    "signals": MEASURED
    | FILE
    | _columns(
        text="source_id kind time_base truncated facts", int="n_frames first_pts last_pts last_duration width height"
    ),
    # Remembered: what the shot rules and the frame plan make of one source's signals. All but the ids is JSON.
    "shots": MEASURED | _columns(text="source_id spans transitions"),
    "plans": MEASURED | _columns(text="source_id plans"),
    # Measured: scores of one clip. scores: JSON; signature: what repeats of it are known by; content: profiles of where
    # its content is; evidence: overlay map, of rows of earlier versions, now in a table of its own.
    "scores": MEASURED | _columns(text="clip_id scores", bytes="evidence signature content"),
    "evidence": _columns(text="key", bytes="evidence") | STAMP,
    # Remembered: what the clips of one source or group say of an overlay together. value: JSON of overlay.Pooled.
    "pools": _columns(text="key value") | STAMP,
    # Remembered: how alike two clips are that might show the same. value: see stages.repeats.to_json.
    "matches": _columns(text="key value") | STAMP,
    # Measured: what an image-text model makes of one clip. about: see stages.looks.about; scores: JSON; embedding:
    # float16, the mean of its pictures.
    "looks": MEASURED | _columns(text="clip_id about scores", bytes="embedding"),
    # Measured: a clip's captions against its pictures. about: see captioners.agreement; cosines: JSON.
    "agreement": MEASURED | _columns(text="clip_id about cosines"),
    # Measured: files made of clips and texts. kind: mp4 | png | latent | text | looks. meta: JSON.
    "artefacts": MEASURED | FILE | _columns(text="kind clip_id meta", int="width height frames", float="psnr"),
    # Measured: captions as a captioner said them (raw) and as the checks left them (text), and rewritings of texts
    # (captioner "rewrite", no clip). identity: JSON; prompt: digest; checked: what the verdict in flags depends on;
    # more: JSON, the texts of other captions that came with it.
    "captions": MEASURED
    | SPAN
    | _columns(
        text="clip_id source_id captioner origin model prompt identity text raw checked more",
        int="attempts tokens_in tokens_out text_tokens",
        float="cost",
        bool="finished",
        texts="flags",
    ),
    # What we last wrote into each captions/<clip_id>.txt, so that an edit by hand is recognised. clip_id: the file's
    # stem, <clip_id>.2 for another caption.
    "published": SPAN | _columns(text="key kind clip_id source_id digest") | STAMP,
    # Human decisions, anchored to a span of a source.
    "events": SPAN | _columns(text="key kind source_id clip_id value origin") | STAMP,
    "runs": _columns(text="key command pipeline version") | STAMP,
    # Derived: decisions. original_of: the source_id that this file stands for, copies or not (wanprep.originals).
    # gone_in: the number of the listing that missed it first, counting those that missed any. since, beside: with which
    # listing it came, the text file that captions it (wanprep.arrivals).
    "sources": _columns(
        text="source_id root path group kind state reason detail duplicate_of original_of file_key beside",
        int="bytes mtime_ns gone_in since",
    ),
    "clips": SPAN
    | _columns(
        text="clip_id source_id path group kind signals_key time_base truncated state scores "
        "caption caption_origin caption_key more_captions "  # more_captions: JSON, see captioners.several
        "by_hand",  # keep | drop, what a person decided of it
        int="start_frame end_frame width height n_frames duplicated",
        float="start_s end_s",
        texts="reasons unknown caption_flags",
        ints="crop",
        bool="provisional",
    ),
    "samples": _columns(
        text="sample_id clip_id source_id group view state reason detail media_key media_path media_digest caption "
        "latent_key latent_path latent_digest text_key text_path text_digest cache_state more_texts colour",  # JSON
        int="start frames width height repeats tokens",
        float="weight",
        bool="flip",
        ints="crop",
    ),
}

STORED = ("signals", "artefacts")  # tables whose rows name files

# Columns that are kept in a table of their own name, by key, and read only where they are asked for: deciding again
# needs no overlay map whose pool is remembered, and maps are nine tenths of all that is measured of a clip.
APART: dict[str, tuple[str, ...]] = {"scores": ("evidence",)}
