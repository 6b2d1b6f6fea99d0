"""Finding weights that are already on this machine. Nothing here ever touches the network.

Order: a folder named by the user; the folders of $WANPREP_MODELS; the Hugging Face cache. Families that share a part
(one UMT5 for all, one 16-channel VAE for all but the 5B) may use each other's download, their own first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from wanprep.families import FAMILIES, Family
from wanprep.models.check import PARTS, part_folder, parts_of, problems
from wanprep.stage import Missing


def find_weights(family: Family, part: str, *, override: Path | None = None) -> Path | None:
    """The diffusers folder that holds `part` ("vae", "text", "transformer", "transformer_2") of `family`, or None.

    override: a pipeline folder (or the part's own folder) named by the user; then Missing, naming everything that is
    wrong with it, replaces None. ValueError for a part the family does not have. `tiny` is built on first use.
    """
    if part not in parts_of(family):
        raise ValueError(f"{family.name} has no part {part!r}; it has {', '.join(parts_of(family))}")
    if override is not None:
        _check_named(family, part, override.expanduser())
        return override.expanduser()
    if family.name == "tiny":
        from wanprep.models.tiny import tiny_folder

        return tiny_folder()
    return next((folder for folder in candidates(family, part) if not problems(family, part, folder)), None)


def require_weights(family: Family, part: str, *, override: Path | None = None) -> Path:
    """As `find_weights`, but Missing, with what was found wanting and how to download it, where there is none."""
    found = find_weights(family, part, override=override)
    if found is not None:
        return found
    wanting = [
        f"{folder}: {problems(family, part, folder)[0]}"
        for folder in candidates(family, part)
        if part_folder(folder, part).is_dir()
    ]
    seen = f" (looked at {'; '.join(wanting)})" if wanting else ""
    raise Missing(f"no {part} weights for {family.name} on this machine{seen}", download_hint(family, part))


def download_hint(family: Family, part: str) -> str:
    """The command that would fetch a part; the user runs it, not we."""
    include = f'--include "model_index.json" --include "{PARTS[part]}/*"'
    include += ' --include "tokenizer/*"' if part == "text" else ""
    return (
        f"Download with: hf download {family.hub_id} {include}; or name a diffusers folder in the configuration "
        "(weights), or put its parent folder into WANPREP_MODELS"
    )


def available(family: Family) -> dict[str, Path | None]:
    """Each part of a family -> the folder that holds it, or None. For listings."""
    return {part: find_weights(family, part) for part in parts_of(family)}


def candidates(family: Family, part: str) -> Iterator[Path]:
    """Folders that exist and might hold a part, best first, unchecked."""
    for member in _sharing(family, part):
        hub_id = member.hub_id or ""
        for root in model_roots():
            names = (hub_id.rpartition("/")[2], hub_id, member.name)
            yield from (root / name for name in names if (root / name).is_dir())
        yield from snapshots(hub_id)
    yield from (root for root in model_roots() if part_folder(root, part).is_dir())


def _check_named(family: Family, part: str, folder: Path) -> None:
    if folder.is_file():
        raise Missing(
            f"{folder} is a single file; {part} weights of {family.name} are read from a diffusers folder",
            download_hint(family, part) if family.hub_id else "",
        )
    wrong = problems(family, part, folder)
    if wrong:
        remedy = download_hint(family, part) if family.hub_id else "Leave the folder out: tiny is built on first use"
        raise Missing(f"{folder} cannot serve as {part} of {family.name}: {'; '.join(wrong)}", remedy)


def _sharing(family: Family, part: str) -> list[Family]:
    """The family itself, then, for the VAE and the text encoder, those whose download holds the same one."""
    if part not in ("vae", "text"):
        return [family]

    def signature(member: Family) -> tuple[object, ...]:
        return (member.z, member.spatial_stride) if part == "vae" else (member.text_dim, member.text_len)

    others = [m for m in FAMILIES.values() if m.hub_id and m != family and signature(m) == signature(family)]
    return [family, *others]


def model_roots() -> list[Path]:
    """Folders of $WANPREP_MODELS, separated as in $PATH."""
    named = os.environ.get("WANPREP_MODELS", "")
    return [Path(name).expanduser() for name in named.split(os.pathsep) if name]


def hub_cache() -> Path:
    """huggingface_hub's rule, read at call time: HF_HUB_CACHE, else HF_HOME/hub, else below XDG_CACHE_HOME."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return Path(named).expanduser()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("HF_HOME") or cache / "huggingface").expanduser() / "hub"


def snapshots(hub_id: str) -> Iterator[Path]:
    """Downloaded revisions of a hub repository: the one `main` points at, then the others by name."""
    repository = hub_cache() / f"models--{hub_id.replace('/', '--')}"
    if not hub_id or not (repository / "snapshots").is_dir():
        return
    main = repository / "refs" / "main"
    first = main.read_text().strip() if main.is_file() else ""
    for path in sorted((repository / "snapshots").iterdir(), key=lambda p: (p.name != first, p.name)):
        if path.is_dir():
            yield path
