"""Which files of the hub a family needs, and where they go. Nothing but `wanprep fetch` calls this.

Two forms: the diffusers folder of the family, and the single files that ComfyUI uses (`fp16`, `fp8_scaled`, …), chosen
from what their repository lists. Into the Hugging Face cache, laid out as its own library does it, so that all programs
find it; or into a folder.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from wanprep import download
from wanprep.download import Patience, Remote
from wanprep.families import Family
from wanprep.ids import write_atomic
from wanprep.models import claims
from wanprep.models.check import PARTS, parts_of
from wanprep.models.find import hub_cache
from wanprep.stage import Missing, UsageError

REPACKAGED = {"2.1": "Comfy-Org/Wan_2.1_ComfyUI_repackaged", "2.2": "Comfy-Org/Wan_2.2_ComfyUI_Repackaged"}
TYPES = ("bf16", "fp16", "fp8_scaled")
_WANTED = (".json", ".safetensors", ".txt", ".model")
_BESIDE = {"vae": (), "text": ("tokenizer",), "clip": ("image_processor",), "transformer": (), "transformer_2": ()}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One file to have. path: in its repository; final, part: on this disk; link: what points at it in a cache."""

    remote: Remote
    path: str
    final: Path
    part: Path
    link: Path | None = None

    @property
    def whole(self) -> bool:
        return download.is_whole(self.remote, self.final, digest=False)

    @property
    def left(self) -> int:
        """Bytes still to come."""
        if self.whole:
            return 0
        return self.remote.size - min(self.remote.size, self.part.stat().st_size if self.part.is_file() else 0)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything one call fetches. refs: file of a cache -> commit to write there when all is done."""

    files: tuple[Wanted, ...]
    root: Path
    refs: tuple[tuple[Path, str], ...] = ()

    @property
    def size(self) -> int:
        return sum(wanted.remote.size for wanted in self.files)

    @property
    def left(self) -> int:
        return sum(wanted.left for wanted in self.files)


class Watcher(Protocol):
    """What looks on."""

    def begin(self, wanted: Wanted) -> None: ...
    def at(self, wanted: Wanted, done: int) -> None: ...
    def end(self, wanted: Wanted) -> None: ...


def endpoint() -> str:
    """The hub's address, as its own library reads it: HF_ENDPOINT, else huggingface.co. Missing when HF_HUB_OFFLINE."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise Missing("HF_HUB_OFFLINE is set, so nothing is fetched", "Unset it to download")
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def part_names(family: Family, chosen: Sequence[str]) -> tuple[str, ...]:
    """--part's words (vae, text, clip, transformer, high, low) as parts; all of the family's without any."""
    if not chosen:
        return parts_of(family)
    words: dict[str, tuple[str, ...]] = {
        "high": ("transformer",),
        "low": ("transformer_2",),
        "single": ("transformer",),
    }
    words["transformer"] = tuple(part for part in parts_of(family) if part.startswith("transformer"))
    found: list[str] = []
    for word in chosen:
        for part in words.get(word, (word,)):
            if part not in parts_of(family) or (word in ("high", "low", "single") and word not in family.experts):
                known = ", ".join(("vae", "text", *(("clip",) if family.clip_embeds else ()), *family.experts))
                raise UsageError(f"{family.name} has no part {word!r}; it has {known}")
            found.append(part)
    return tuple(dict.fromkeys(found))


def plan(
    family: Family, parts: Sequence[str], *, form: str = "diffusers", to: Path | None = None,
    patience: Patience | None = None,
) -> Plan:  # fmt: skip
    """What is to be fetched: asks the hub for names, sizes and digests, and downloads nothing."""
    if family.hub_id is None:
        raise UsageError(f"{family.name} is not on the hub: it is built on this machine when it is first used")
    base, repositories = endpoint(), _repositories(family, parts, form)
    files: list[Wanted] = []
    refs: list[tuple[Path, str]] = []
    for repository, own in repositories.items():
        listing = download.get_json(f"{base}/api/models/{repository}/revision/main?blobs=true", patience)
        try:
            commit, entries = str(listing["sha"]), {str(e["rfilename"]): e for e in listing["siblings"]}
            names = _of_diffusers(own, entries) if form == "diffusers" else _of_comfyui(family, own, form, entries)
            for name in names:
                files.append(_wanted(base, repository, commit, name, entries[name], to, form))
        except (KeyError, TypeError) as error:
            raise download.Broken(
                f"{base} describes {repository} in a way that is not understood ({error!r})"
            ) from None
        if to is None:
            refs.append((_cache_of(repository) / "refs" / "main", commit))
    return Plan(files=tuple(files), root=hub_cache() if to is None else to, refs=tuple(refs))


def _repositories(family: Family, parts: Sequence[str], form: str) -> dict[str, list[str]]:
    if form == "diffusers":
        return {str(family.hub_id): list(parts)}
    found: dict[str, list[str]] = {}
    for part in parts:  # text and clip are in 2.1's; 2.2 uses the same
        version = "2.1" if part in ("text", "clip") or (part == "vae" and family.z != 48) else family.name[3:6]
        found.setdefault(REPACKAGED[version], []).append(part)
    return found


def _of_diffusers(parts: Sequence[str], entries: dict[str, Any]) -> list[str]:
    folders = [folder for part in parts for folder in (PARTS[part], *_BESIDE[part])]
    patterns = ["model_index.json", "scheduler/*", *(f"{folder}/*" for folder in folders)]
    chosen = [name for name in entries if any(fnmatch.fnmatch(name, p) for p in patterns) and name.endswith(_WANTED)]
    for part in parts:
        if not any(name.startswith(f"{PARTS[part]}/") and name.endswith(".safetensors") for name in chosen):
            raise Missing(f"the repository lists no weights in {PARTS[part]}/")
    return sorted(chosen)


def _of_comfyui(family: Family, parts: Sequence[str], form: str, entries: dict[str, Any]) -> list[str]:
    chosen = []
    for part in parts:
        named = sorted(name for name in entries if claims.is_of(family, part, name.rpartition("/")[2]))
        if part == "vae":
            version = "2.2" if family.z == 48 else "2.1"
            named = [name for name in named if claims.claims_of(name.rpartition("/")[2]).version == version]
        of_type = named if part in ("vae", "clip") else [name for name in named if _is_type(name, form)]
        if not of_type:
            there = ", ".join(name.rpartition("/")[2] for name in named) or "nothing"
            raise Missing(
                f"there is no {form} file for {part} of {family.name}; there is {there}", "Choose another --files"
            )
        chosen.append(of_type[0])  # of 480p and 720p the former, as the family's folder is
    return chosen


def _is_type(name: str, form: str) -> bool:
    return name.endswith("_scaled.safetensors") and "fp8" in name if form == "fp8_scaled" else f"_{form}." in name


def _wanted(
    base: str, repository: str, commit: str, name: str, entry: dict[str, Any], to: Path | None, form: str
) -> Wanted:
    if ".." in name.split("/") or name.startswith("/"):
        raise download.Broken(f"{repository} lists a file outside its folder: {name!r}")
    lfs = entry.get("lfs") or {}
    digest = f"sha256:{lfs['sha256']}" if lfs else f"git:{entry['blobId']}"
    remote = Remote(url=f"{base}/{repository}/resolve/{commit}/{name}", size=int(entry["size"]), digest=digest)
    if to is None:
        blob = _cache_of(repository) / "blobs" / digest.partition(":")[2]
        link = _cache_of(repository) / "snapshots" / commit / name
        return Wanted(remote=remote, path=name, final=blob, part=blob.with_name(f"{blob.name}.wanprep-part"), link=link)
    inside = (
        Path(repository.rpartition("/")[2]) / name if form == "diffusers" else Path(name.removeprefix("split_files/"))
    )
    final = to / inside
    return Wanted(remote=remote, path=name, final=final, part=final.with_name(f"{final.name}.wanprep-part"))


def _cache_of(repository: str) -> Path:
    return hub_cache() / f"models--{repository.replace('/', '--')}"


def run(plan: Plan, watcher: Watcher, *, verify: bool = False, patience: Patience | None = None) -> None:
    """Fetch what is missing. verify: read again what is there, and fetch what is not as the hub lists it.

    Missing when the disk is too full for it, before anything is fetched.
    """
    for wanted in plan.files if verify else ():
        if wanted.whole and not download.is_whole(wanted.remote, wanted.final, digest=True):
            wanted.final.unlink()
    _need_space(plan)
    for wanted in plan.files:
        watcher.begin(wanted)
        if not wanted.whole:
            tell = _Telling(watcher, wanted)
            download.download(wanted.remote, wanted.final, wanted.part, tell=tell, patience=patience)
        if wanted.link is not None:
            _point(wanted.link, wanted.final)
        watcher.end(wanted)
    for path, commit in plan.refs:
        write_atomic(path, commit.encode())


@dataclass(frozen=True)
class _Telling:
    watcher: Watcher
    wanted: Wanted

    def __call__(self, done: int) -> None:
        self.watcher.at(self.wanted, done)


def _need_space(plan: Plan) -> None:
    there = next(folder for folder in (plan.root, *plan.root.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if plan.left > free:
        what = f"{plan.left / 1e9:.1f} GB are to come and {there} has {free / 1e9:.1f} GB free"
        raise Missing(what, "Choose another place with --to, fewer parts with --part, or smaller files with --files")


def _point(link: Path, blob: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    target = os.path.relpath(blob, link.parent)
    if link.is_symlink() and str(link.readlink()) == target:
        return
    temporary = link.with_name(f".tmp-{os.getpid()}-{link.name}")
    temporary.symlink_to(target)
    temporary.replace(link)
