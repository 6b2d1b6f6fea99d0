"""One dataset folder: its pipeline, its manifest, and where things lie in it.

<dataset>/wanprep.toml        resolved pipeline and source folders, for people to read and edit
<dataset>/manifest/           Delta tables (wanprep.manifest)
<dataset>/manifest.parquet    one flat row a sample, for people and other tools; derived, never read back
<dataset>/signals/  clips/<W>x<H>/  captions/  cache/
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from wanprep import config, flat
from wanprep.bulk import no_collection
from wanprep.captioners.leads import with_leads
from wanprep.frames import rows_of
from wanprep.ids import write_atomic
from wanprep.lease import Held, exclusive
from wanprep.manifest import Manifest, latest_columns
from wanprep.measured import READ, Measured
from wanprep.pipeline import Pipeline, as_toml, resolve
from wanprep.scan import MARKER, root_id
from wanprep.schema import DERIVED, TABLES, VOLATILE
from wanprep.stage import UsageError
from wanprep.toml_text import dump_toml, read_toml

if TYPE_CHECKING:
    from wanprep.cached import CachedDataset
    from wanprep.decide import Decided
    from wanprep.stages.cache import Encoder

DECIDED = "decided.json"  # in manifest/: what the stored decisions were made of
_CODED = re.compile("%[0-9A-Fa-f]{2}")
BASIS = tuple(  # tables that decisions depend on, and they themselves; not what is remembered of deciding
    name for name in TABLES if name not in ("evidence", "pools", "matches", "published", "runs")
)
IN_ORDER = ("captions", "events", "looks", "agreement")  # deciding reads all rows of these, as they were recorded
PLAIN = ("sources", "pools", "matches")  # and of these
UNREAD = ("model", "prompt", "identity", "attempts", "tokens_in", "tokens_out", "cost")  # columns of captions
HEADER = """\
# Written by wanprep: the settings this dataset was made with. Edit them and run the command again;
# only what depends on a change is made anew. `wanprep run --pipeline FILE` replaces them all.

"""


class Dataset:
    """An opened dataset folder."""

    def __init__(self, root: Path, pipeline: Pipeline, roots: Mapping[str, str], opened: bytes) -> None:
        """opened: what wanprep.toml held when the pipeline was read."""
        self.root = root
        self.pipeline = pipeline
        self.roots = dict(roots)
        self.manifest = Manifest(root / "manifest")
        self._opened = opened

    @classmethod
    def open(cls, root: Path, *, file: Path | None = None, assignments: Iterable[str] = ()) -> Dataset:
        """Open an existing dataset; UsageError when there is none at `root`."""
        if not (root / MARKER).is_file():
            raise UsageError(f"{root} is not a dataset (it has no {MARKER}); make one: wanprep run MOVIES --out {root}")
        return cls.create(root, file=file, assignments=assignments)

    @classmethod
    def create(cls, root: Path, *, file: Path | None = None, assignments: Iterable[str] = ()) -> Dataset:
        """Open the dataset at `root`, or prepare one in memory; nothing is written before `save`."""
        if root.exists() and not root.is_dir():
            raise UsageError(f"{root} is a file; give a folder for the dataset")
        if coded := _CODED.search(str(root.absolute())):  # delta-rs looks for its tables in another folder then
            raise UsageError(f"{root.absolute()} has {coded[0]} in it, a coded character; give a folder without it")
        opened = _stored(root)
        stored = read_toml(root / MARKER) if opened else {}
        roots = stored.pop("roots", {})
        pipeline = resolve(stored=stored, stored_in=root / MARKER, file=file, assignments=assignments)
        return cls(root, pipeline, roots, opened)

    @contextlib.contextmanager
    def lease(self) -> Iterator[None]:
        """Held by whoever changes this dataset: what is measured, what is decided, its settings. Raises Held when
        somebody else has it, and when somebody stored other settings since it was opened here."""
        with exclusive(self.manifest.root / ".run.lock", f"dataset {self.root}"):
            if _stored(self.root) != self._opened:
                raise Held(f"{self.root / MARKER} was changed while this command started; try again")
            yield

    def save(self) -> str:
        """Store the resolved pipeline and source folders, unless they are stored so already. Returns a line on the
        settings that are others than those stored before; "" when none is, or the dataset is new."""
        text = HEADER + as_toml(self.pipeline)
        if self.roots:
            text += "\n" + dump_toml({"roots": self.roots})
        self._opened = text.encode()
        path = self.root / MARKER
        if not path.exists():
            write_atomic(path, text.encode())
            return ""
        if path.read_text(encoding="utf-8") == text:
            return ""
        stored = config.merge(config.to_table(Pipeline()), {**read_toml(path), "roots": {}})
        changes = config.changes(stored, config.to_table(self.pipeline))
        write_atomic(path, text.encode())
        return f"stored in {path}: {changes}" if changes else ""

    def add_root(self, folder: Path) -> str:
        base = (folder if folder.is_dir() else folder.parent).resolve()
        self.roots[root_id(base)] = str(base)
        return root_id(base)

    def encoder(self) -> Encoder | None:
        """Names and makes the caches; None when `weights = "auto"` finds nothing on this machine.

        Raises Missing when weights were asked for by name and are not usable.
        """
        from wanprep.models.find import find_weights
        from wanprep.stages.cache import encoders_of, shared_encoder

        family, cache = self.pipeline.model, self.pipeline.cache
        if cache.weights == "auto" and not all(find_weights(family, part) for part in encoders_of(family)):
            return None
        return shared_encoder(family.name, cache)

    def read_ahead(self, **more: Iterable[str]) -> None:
        """Have the tables in memory that deciding reads. more: columns of others, by table."""
        # What every run changes first: its log is the longest, and opening a table is reading its log.
        self.manifest.read_ahead({**more, **{name: latest_columns(name) for name in (*READ, *IN_ORDER, *PLAIN)}})

    def measured(
        self, wanted_captions: Mapping[str, str] | None = None, edited: Iterable[Mapping[str, Any]] = ()
    ) -> Measured:
        """Everything that decisions are made of. wanted_captions: by default those of the last captioning. edited:
        events that are not recorded, with those that are."""
        self.read_ahead(clips=("clip_id", "caption_key"))
        if wanted_captions is None:
            clips = self.manifest.read("clips", ("clip_id", "caption_key")).drop_nulls("caption_key")
            wanted_captions = dict(zip(clips["clip_id"], clips["caption_key"]))
        tables = {name: self.manifest.latest(name).select(columns) for name, columns in READ.items()}
        for name in IN_ORDER:
            tables[name] = self.manifest.read(name).sort("seq", maintain_order=True)
        for name in PLAIN:
            tables[name] = self.manifest.read(name)
        columns: dict[str, Any] = {
            name: tables.pop(name) for name in ("signals", "shots", "plans", "scores", "artefacts")
        }
        columns["scores"] = columns["scores"].with_columns(evidence=pl.lit(None, pl.Binary))  # is asked for apart
        rows: dict[str, Any] = {
            name: rows_of(table.drop(*VOLATILE, *UNREAD, strict=False)) for name, table in tables.items()
        }
        events = [*tables["events"].to_dicts(), *({**event, "at": math.inf} for event in edited)]
        if events:
            published, runs = (self.manifest.read(name).to_dicts() for name in ("published", "runs"))
            events = with_leads(events, published, runs)
            rows["events"] = [{k: v for k, v in event.items() if k not in VOLATILE} for event in events]
        evidence = functools.cache(lambda: self.manifest.apart("scores", "evidence"))
        return Measured(wanted_captions=wanted_captions, evidence=evidence, **columns, **rows)

    def decide(self, wanted_captions: Mapping[str, str] | None = None) -> Decided:
        """Decide everything anew and store the decisions, in their tables and as the flat manifest."""
        from wanprep.decide import decide

        with no_collection():
            basis = self._basis()  # before anything is read: what others add meanwhile is not in these decisions
            decided = decide(self.measured(wanted_captions), self.pipeline, self.encoder())
            self.manifest.append("pools", decided.pools)
            self.manifest.append("matches", decided.matches)
            tables = {name: self.manifest.table(name).typed(getattr(decided, name)) for name in DERIVED}
            with ThreadPoolExecutor(1) as beside:
                written = beside.submit(flat.write, self.root / flat.NAME, **tables)
                self.manifest.replace_all(tables)
                written.result()
            basis["tables"] |= {name: self.manifest.table(name).version() for name in DERIVED}
            write_atomic(self.manifest.root / DECIDED, json.dumps(basis).encode())
        return decided

    def _basis(self) -> dict[str, Any]:
        """What deciding now would decide of: the settings, and the tables by their versions."""
        from wanprep import keys

        versions = {name: self.manifest.table(name).version() for name in BASIS}
        # Others where this version measures in another way.
        measure = [keys.signals(""), keys.scores("", 0, 0, 0, 0, 0, 0)]
        return {"pipeline": config.to_table(self.pipeline), "tables": versions, "measure": measure}

    def overtaken(self) -> str:
        """Why the stored decisions are not those that would be made now, for people; "" when they are. Those of an
        earlier version that measured in another way stand until a run measures anew: till then nothing else is known.
        """
        path = self.manifest.root / DECIDED
        if not path.exists():
            return ""
        basis, now = json.loads(path.read_bytes()), self._basis()
        if basis == now or basis["measure"] != now["measure"]:
            return ""
        return config.changes(basis["pipeline"], now["pipeline"]) or "a command was stopped, or is at work"

    def source_path(self, row: Mapping[str, Any]) -> Path:
        """Where a source lies on this machine; row: one of the sources table."""
        return Path(self.source_name(row))

    def source_name(self, row: Mapping[str, Any]) -> str:
        """`source_path` as text, for lists of all sources: it takes a tenth of the time."""
        if row["root"] not in self.roots:
            raise UsageError(
                f"{self.root / MARKER} does not name the folder of {row['path']} in [roots]; run with SRC again"
            )
        return f"{self.roots[row['root']]}/{row['path']}"


def _stored(root: Path) -> bytes:
    path = root / MARKER
    return path.read_bytes() if path.is_file() else b""


def open_cached(root: Path) -> CachedDataset:
    """The cached samples of a dataset, for a trainer; needs no source, no mp4 and no weights on this machine.

    Good samples that are not cached are counted in `pending`. UsageError, with the command that helps, when nothing is
    cached.
    """
    from wanprep import edits
    from wanprep.cached import CachedDataset, CachedSample, OtherText
    from wanprep.captioners import faults
    from wanprep.captioners.several import parsed

    dataset = Dataset.open(root)
    good = dataset.manifest.read("samples").filter(pl.col("state") == "ok")
    rows = good.filter(pl.col("cache_state") == "cached").to_dicts()
    texts = [row for row in dataset.manifest.latest("artefacts").to_dicts() if row["kind"] == "text" and row["meta"]]
    meta = {row["key"]: json.loads(row["meta"]) for row in texts}
    encoders = {meta[row["text_key"]]["encoder"] for row in rows}
    empty = [t for t in texts if meta[t["key"]]["text"] == "" and meta[t["key"]]["encoder"] in encoders]
    if not rows or not empty:
        raise UsageError(f"{root} has no cached samples; run: wanprep cache --out {root}")
    clips = dataset.manifest.read("clips").filter(pl.col("state") == "keep")
    columns = ("clip_id", "start_s", "end_s")
    spans = {row[0]: dict(zip(columns[1:], row[1:])) for row in clips.select(columns).iter_rows()}
    done = {row["key"]: row for row in texts if row["outcome"] == "done"}
    samples = []

    def twin(caption: str, encoder_id: str) -> dict[str, str]:
        made = done.get(_class_key(caption, encoder_id, dataset.pipeline), {"path": "", "digest": ""})
        return {"class_path": made["path"], "class_digest": made["digest"]}

    for row in rows:
        encoder_id = meta[row["text_key"]]["encoder"]
        others = tuple(
            OtherText(caption=text["caption"], weight=text["weight"], text_path=text["path"],
                      text_digest=text["digest"], **twin(text["caption"], encoder_id))
            for text in parsed(row["more_texts"])
        )  # fmt: skip
        joined = {**row, **spans[row["clip_id"]], "others": others, **twin(row["caption"], encoder_id)}
        samples.append(CachedSample(**{field.name: joined[field.name] for field in dataclasses.fields(CachedSample)}))
    pending = good.height - len(rows)
    blank = (empty[0]["path"], empty[0]["digest"])
    fault = faults.line(clips.select(faults.COLUMNS).to_dicts(), dataset.pipeline.caption.sampling)
    notes = [*edits.waiting(dataset)[1], *([fault] if fault else [])]
    return CachedDataset(root, dataset.pipeline.model, samples, blank, pending, notes)


def _class_key(caption: str, encoder_id: str, pipeline: Pipeline) -> str | None:
    """Key of the embedding of a caption's class text, made by the encoder that made the caption's."""
    from wanprep.stages.cache import class_text, text_key

    text = class_text(caption, pipeline.caption.trigger, pipeline.caption.class_word)
    cache = pipeline.cache
    return None if text is None else text_key(text, encoder_id, dtype=cache.dtype, compute=cache.text_compute)
