"""A training session: what a process holds while it trains, and what is done with an expert between its steps.

LoRA, state and run file are written in that order: dying between two of them costs steps that will be done again with
the same result, never a file that claims too much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wanprep.costs import Bucket
from wanprep.ids import digest_file
from wantrain import checkpoint, compute, lora
from wantrain.aside import Aside
from wantrain.compute import Workplace
from wantrain.config import TrainConfig
from wantrain.data import Cursor
from wantrain.experts import Expert, as_saved, restore, start, state
from wantrain.fitting import other_optimizer
from wantrain.observe import Course, Observers, Waits
from wantrain.parallel import Team
from wantrain.step import Step
from wantrain.sums import Sums
from wantrain.validate import Probe, digest_of, held_out_loss, probes_for

if TYPE_CHECKING:
    import torch

    from wanprep.cached import CachedDataset
    from wanprep.models.lazy import Hollow

LoadModel = Callable[[str, str], "torch.nn.Module"]  # (expert, device) -> its frozen transformer
OpenModel = Callable[[str, str], "Hollow"]  # the same, its blocks still to be read


@dataclass(frozen=True)
class Open:
    """A step whose line is not written yet. began: monotonic. waited: for files. first: of a turn's first step."""

    step: Step
    began: float
    waited: dict[str, float]
    first: Mapping[str, float]


@dataclass(kw_only=True)
class Session:
    """What a process holds while it trains. Nothing here outlives the process, and nothing of it changes a result.

    aside: the regularisation set. crew: the experts that are loaded. split: (training, held out) indices of the
    dataset. watch: who looks on. stop, save_now: asked after every step. waits: seconds spent reading. team: the
    processes that train the same experts. open: a step that is not logged yet; logged: when the last one was. started:
    experts whose step 0 is measured.
    """

    config: TrainConfig
    dataset: CachedDataset
    aside: Aside | None
    run: checkpoint.Run
    metrics: checkpoint.Metrics
    watch: Observers
    matters: dict[str, dict[str, Any]]
    split: tuple[list[int], list[int]]
    work: Workplace
    device: str
    stop: Callable[[], bool]
    save_now: Callable[[], bool]
    waits: Waits
    team: Team
    crew: dict[str, Expert] = field(default_factory=dict)
    probes: dict[str, tuple[list[Probe], list[Probe]]] = field(default_factory=dict)
    measured: dict[str, dict[str, Any]] = field(default_factory=dict)
    started: set[str] = field(default_factory=set)
    open: Open | None = None
    logged: float = 0.0


def workplace(
    config: TrainConfig, visits: Iterable[Bucket], device: str, load_model: LoadModel, open_model: OpenModel | None
) -> Workplace:  # fmt: skip
    tokens = max(config.model_family.tokens(*bucket) for bucket in visits)
    batch = max(config.expert(name).batch_size for name in config.stages)
    return Workplace(
        config=config, device=device, tokens=tokens, batch=batch, load_model=load_model, open_model=open_model
    )


def course_of(session: Session, pending: list[str]) -> Course:
    config, run = session.config, session.run
    made = {name: checkpoint.newest(run, name) for name in config.stages}
    others = (name for name in config.stages if name not in session.team.stages)
    elsewhere = frozenset(name for name in others if not finished(run, config, name))
    return Course(
        folder=run.folder, family=config.family, device=session.device, stop=session.stop,
        parked=lambda: session.work.places.parked(session.crew),
        steps={name: (run.step(name), config.expert(name).steps) for name in (*pending, *sorted(elsewhere))},
        elsewhere=elsewhere,
        loras={name: found for name, found in made.items() if found is not None},
        held_out=checkpoint.read_rows(run.folder, "held_out"),
    )  # fmt: skip


def dismiss(session: Session, name: str) -> None:
    """The expert is not needed any more; its memory is the others' now."""
    session.work.places.forget(session.crew.pop(name))


def bring_in(session: Session, name: str) -> Expert:
    """The expert on the device, loaded on its first turn. The others leave first: both need never fit at once."""
    work, config = session.work, session.config
    work.places.make_room(name, session.crew)
    if name in session.crew:
        work.places.enter(session.crew[name])
        return session.crew[name]
    saved = checkpoint.load_expert(session.run, name)
    model = work.model(name)
    training, held = session.split
    cursor = Cursor(dataset=session.dataset, allowed=frozenset(training))
    aside = session.aside
    regular = None if aside is None else Cursor(dataset=aside.dataset, allowed=frozenset(aside.allowed))
    expert = start(name, config, model, cursor, regular)
    expert.sums = Sums(session.team, expert.params.values()) if session.team.size > 1 else None
    session.watch.say(work.install(expert))
    if saved is not None:
        found = other_optimizer(config, name, session.run.experts[name].get("matters", {}))[1]
        restore(expert, *saved, kept=None if found is None or found.same else found.kept)
    asked = {"samples": config.validation.samples, "sigmas": config.validation.sigmas}
    seen = {**asked, "samples": min(config.validation.trained, len(training))}
    if held:
        trained = probes_for(expert, training, **seen) if seen["samples"] else []
        session.probes[name] = (probes_for(expert, held, **asked), trained)
    session.crew[name] = expert
    work.places.enter(expert)
    compute.replan(session.crew.values())
    return expert


def measure(session: Session, expert: Expert) -> None:
    probes = session.probes.get(expert.name)
    if probes is None or not session.team.lead:
        return
    row = held_out_loss(expert, *probes)
    session.measured[expert.name] = row
    session.metrics.write("held_out", row)
    session.watch.held_out(row)


def measure_start(session: Session, expert: Expert) -> None:
    """Step 0, which all later measurements are compared with: at the beginning, and anew for other questions."""
    if expert.name in session.started:
        return
    session.started.add(expert.name)
    if expert.step == 0:
        measure(session, expert)
        return
    probes = session.probes.get(expert.name)
    if probes is None or not session.team.lead:
        return
    digests = tuple(digest_of(expert, part) for part in probes)
    earlier = checkpoint.read_rows(session.run.folder, "held_out").get(expert.name, [])
    if any(row["step"] == 0 and (row.get("questions"), row.get("trained_questions")) == digests for row in earlier):
        return
    held = not any(row.get("questions") == digests[0] for row in earlier)
    session.watch.say(
        f"{expert.name}: questions on {'held-out' if held else 'trained-on'} samples are others than before (samples, "
        "captions or [validation] changed): losses of the earlier ones are not compared, step 0 is measured anew"
    )
    row = held_out_loss(expert, *probes, begun=True)
    session.metrics.write("held_out", row)
    session.watch.held_out(row)


def measure_end(session: Session, expert: Expert) -> None:
    """The last step of an expert whose steps were done before, unless it was measured then."""
    earlier = checkpoint.read_rows(session.run.folder, "held_out").get(expert.name, [])
    known = [row for row in earlier if row["step"] == expert.step]
    if known:
        session.measured[expert.name] = known[-1]
    else:
        measure(session, expert)


def save(session: Session, expert: Expert, *, asked: bool = False) -> None:
    """LoRA (at its end, at every planned save and when asked for), state, run.json."""
    if not session.team.lead:
        return
    session.metrics.sync()
    config, run, matters = session.config, session.run, session.matters[expert.name]
    entry: dict[str, Any] = {"matters": matters}
    known: list[dict[str, Any]] = run.experts.get(expert.name, {}).get("checkpoints", [])
    made: dict[str, Any] | None = None
    if expert.done or asked or expert.step % config.save.every == 0:
        middle = None if expert.done else expert.step
        path = run.folder / ("" if expert.done else "loras") / lora.file_name(config.run.name, expert.name, middle)
        metadata = {"expert": expert.name, "step": expert.step, "made_with": _versions(), **matters}
        with as_saved(expert):
            digest = lora.save_lora(path, expert.params, scale=expert.scale, metadata=metadata)
        if expert.done:
            entry |= {"lora": path.name, "lora_digest": digest}
        row = session.measured.get(expert.name, {})
        loss = row["loss"] if row.get("step") == expert.step else None
        made = {
            "step": expert.step, "file": path.relative_to(run.folder).as_posix(), "loss": loss,
            "questions": None if loss is None else row["questions"], "asked": asked or expert.done,
        }  # fmt: skip
        known = [c for c in known if c["step"] != expert.step] + [made]
    kept = checkpoint.pruned(known, config.save.keep, config.save.keep_best)
    # Named before they go: a process that is killed in between leaves them to the next one.
    dropped = [c["file"] for c in known if c not in kept]
    checkpoint.save_expert(run, expert.name, *state(expert), entry | {"checkpoints": kept, "dropped": dropped})
    if made is not None:
        session.watch.saved({"expert": expert.name, **made})
    for name in dropped:
        (run.folder / name).unlink(missing_ok=True)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "diffusers", "peft")}


def finished(run: checkpoint.Run, config: TrainConfig, name: str) -> bool:
    """All steps done, and the final LoRA is on the disk with the bytes that were written."""
    entry = run.experts.get(name, {})
    if entry.get("step", 0) < config.expert(name).steps or "lora" not in entry:
        return False
    path = run.folder / entry["lora"]
    return path.is_file() and digest_file(path) == entry["lora_digest"]
