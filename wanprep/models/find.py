"""Finding weights that are already on this machine. Nothing here ever touches the network.

Order: what the user named; diffusers folders in $WANPREP_MODELS and in the Hugging Face cache; single files, as ComfyUI
keeps them, in the same two. Families that share a part
(one UMT5 for all, one 16-channel VAE for all but the 5B) may use each other's download, their own first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from wanprep.families import FAMILIES, Family
from wanprep.models.check import PARTS, part_folder, parts_of, problems
from wanprep.models.claims import names_expert, objection, part_named
from wanprep.models.files import named_files
from wanprep.models.places import Place, places
from wanprep.models.single import header, match_of
from wanprep.stage import Missing

# Repositories of single files that people download with the same tools.
SINGLE_FILES = (
    "Comfy-Org/Wan_2.2_ComfyUI_Repackaged",
    "Comfy-Org/Wan_2.1_ComfyUI_repackaged",
    "Kijai/WanVideo_comfy",
    "Kijai/WanVideo_comfy_fp8_scaled",
)


def find_weights(family: Family, part: str, *, override: Path | None = None) -> Path | None:
    """What holds `part` ("vae", "text", "clip", "transformer", "transformer_2") of `family`: a diffusers folder or a
    single file; None where there is none.

    override: what the user named (see `places`); then Missing, naming everything that is wrong with it, replaces None.
    A part that it says nothing about is searched for. ValueError for a part the family does not have. `tiny` is built
    on first use.
    """
    if part not in parts_of(family):
        raise ValueError(f"{family.name} has no part {part!r}; it has {', '.join(parts_of(family))}")
    if override is not None:
        return _named(family, part, override)
    if family.name == "tiny":
        from wanprep.models.tiny import tiny_folder

        return tiny_folder()
    return next((path for path in candidates(family, part) if not problems(family, part, path)), None)


def require_weights(family: Family, part: str, *, override: Path | None = None) -> Path:
    """As `find_weights`, but Missing, with what was found wanting and how to download it, where there is none."""
    found = find_weights(family, part, override=override)
    if found is not None:
        return found
    raise Missing(
        f"no {part} weights for {family.name} on this machine{_seen(family, part)}", download_hint(family, part)
    )


def wanting(family: Family, part: str) -> list[str]:
    """What was looked at for a part and why it will not do, a sentence each."""
    there = (path for path in candidates(family, part) if path.is_file() or part_folder(path, part).is_dir())
    return [f"{path}: {wrong[0]}" for path in there if (wrong := problems(family, part, path))]


def _seen(family: Family, part: str) -> str:
    looked = wanting(family, part)
    said = [*roots_that_are_not_there(), *([f"looked at {'; '.join(looked[:3])}"] if looked else [])]
    return f" ({'; '.join(said)})" if said else ""


def download_hint(family: Family, *parts: str) -> str:
    """The commands that would fetch all of these parts; the user runs one, not we."""
    folders = [f"{folder}/*" for part in parts for folder in (PARTS[part], *(["tokenizer"] if part == "text" else []))]
    include = " ".join(f'--include "{name}"' for name in ("model_index.json", *folders))
    labels = [
        {"transformer_2": "low"}.get(part, family.experts[0] if part == "transformer" else part) for part in parts
    ]
    asked = " ".join(f"--part {label}" for label in labels)
    return (
        f"Download with: wanprep fetch {family.name} {asked} (or: hf download {family.hub_id} {include}); or "
        "name a diffusers folder or a file of ComfyUI's in the configuration (weights), or put its folder into "
        "WANPREP_MODELS"
    )


def available(family: Family) -> dict[str, Path | None]:
    """Each part of a family -> the folder that holds it, or None. For listings."""
    return {part: find_weights(family, part) for part in parts_of(family)}


def candidates(family: Family, part: str) -> Iterator[Path]:
    """Folders that exist and might hold a part, then single files that might be it; best first, unchecked."""
    for member in _sharing(family, part):
        hub_id = member.hub_id or ""
        for root in model_roots():
            names = (hub_id.rpartition("/")[2], hub_id, member.name)
            yield from (root / name for name in names if (root / name).is_dir())
        yield from snapshots(hub_id)
    yield from (root for root in model_roots() if _like_diffusers(root, part))
    for root in (*model_roots(), *(folder for hub_id in SINGLE_FILES for folder in snapshots(hub_id))):
        if root.is_dir():
            yield from named_files(family, part, root)


def _like_diffusers(root: Path, part: str) -> bool:
    """Whether a folder of models is one model itself: ComfyUI's has a folder `vae` as well, of single files."""
    inside = part_folder(root, part)
    return inside.is_dir() and ((root / "model_index.json").is_file() or (inside / "config.json").is_file())


def _named(family: Family, part: str, override: Path) -> Path:
    """The part in the places that the user named; Missing with what is wrong with each of them."""
    given = places(override, family)
    mine = [place for place in given if place.part == part] or [place for place in given if place.part is None]
    wrong: list[str] = []
    other: list[str] = []
    for place in mine:
        fitting = named_files(family, part, place.path) if place.path.is_dir() else []
        for path in (place.path, *fitting):
            reasons = _problems_of_named(family, part, path) or _unclear(family, part, path, place)
            if not reasons:
                return path
            (wrong if place.part or path.is_dir() or _meant(family, part, path) else other).extend(reasons)
    if wrong:
        remedy = download_hint(family, part) if family.hub_id else "Leave the weights out: tiny is built on first use"
        raise Missing(f"{override} cannot serve as {part} of {family.name}: {'; '.join(wrong)}", remedy)
    found = find_weights(family, part)  # nothing that was named is about this part
    if found is None:
        seen = f" ({'; '.join(other)})" if other else ""
        raise Missing(f"{override} has no {part} of {family.name}{seen}", download_hint(family, part))
    return found


def _problems_of_named(family: Family, part: str, path: Path) -> list[str]:
    """As `problems`, in other words for a folder that is no diffusers folder at all, such as ComfyUI's."""
    if path.is_dir() and not part_folder(path, part).is_dir():
        inside = part_folder(path, part).name
        return [f"{path} has no folder {inside}, and no file under a name that is known for {part} of {family.name}"]
    return problems(family, part, path)


def _unclear(family: Family, part: str, path: Path, place: Place) -> list[str]:
    """The experts' files are alike: one that was given without saying which it is must say so by its name."""
    if place.part or path.is_dir() or names_expert(family, part, path.name):
        return []
    return [
        f"{path} may be the high or the low expert, and its name does not say which: write high={path} or low={path} "
        "(both, separated as in $PATH)"
    ]


def _meant(family: Family, part: str, path: Path) -> bool:
    """Whether a file that the user named without a label is about this part, so that its faults matter."""
    if not path.is_file():
        return True
    try:
        file = header(path)
    except (OSError, ValueError):
        named = part_named(path.name)
        return named is None or named == part.removesuffix("_2")
    match = match_of(file, family, part)
    objected = objection(family, part, path.name)
    other_expert = len(family.experts) == 2 and objected is not None and match.whole
    return 2 * match.found >= len(match.origins) and not other_expert


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


def roots_that_are_not_there() -> list[str]:
    """A sentence for each folder of $WANPREP_MODELS that does not exist: most likely its name was mistyped."""
    return [f"WANPREP_MODELS names {root}, which is not there" for root in model_roots() if not root.is_dir()]


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
