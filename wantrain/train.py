"""The training loop: read it from top to bottom.

Experts take turns until each has its own number of steps; whose turn it is follows from their step counts alone, so a
resumed run needs no memory of it. LoRA, state and run file are written in that order: dying between two of them costs
steps that will be done again with the same result, never a file that claims too much.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.ids import digest_file, write_atomic
from wantrain import checkpoint, compute, lora, ranking
from wantrain.compute import Workplace
from wantrain.config import TrainConfig, settled, what_matters
from wantrain.data import Cursor, hold_out
from wantrain.experts import Expert, as_saved, restore, start, state, train_step
from wantrain.forecast import forecast_lines
from wantrain.observe import Course, Observer, Observers, Waits, timed
from wantrain.plan import plan, sigma_lines
from wantrain.ready import arithmetic, cards_here, check_caches, digests, refuse, visits_of
from wantrain.rehearse import rehearse
from wantrain.validate import Probe, held_out_loss, probes_for

if TYPE_CHECKING:
    import torch

    from wanprep.cached import CachedDataset
    from wanprep.models.lazy import Hollow

LoadModel = Callable[[str, str], "torch.nn.Module"]  # (expert, device) -> its frozen transformer
OpenModel = Callable[[str, str], "Hollow"]  # the same, its blocks still to be read


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """loras: expert -> final LoRA file. steps: expert -> steps done. held_out: expert -> last held-out row.

    verdicts: expert -> its checkpoints, ranked. interrupted: stopped on request, everything saved.
    """

    folder: Path
    loras: dict[str, Path]
    steps: dict[str, int]
    held_out: dict[str, dict[str, Any]]
    verdicts: dict[str, ranking.Verdict]
    interrupted: bool


@dataclass(kw_only=True)
class Session:
    """What a process holds while it trains. Nothing here outlives the process, and nothing of it changes a result.

    crew: the experts that are loaded. split: (training, held out) indices of the dataset. watch: who looks on.
    """

    config: TrainConfig
    dataset: CachedDataset
    regular: CachedDataset | None
    run: checkpoint.Run
    metrics: checkpoint.Metrics
    watch: Observers
    matters: dict[str, dict[str, Any]]
    split: tuple[list[int], list[int]]
    work: Workplace
    device: str
    crew: dict[str, Expert] = field(default_factory=dict)
    probes: dict[str, tuple[list[Probe], list[Probe]]] = field(default_factory=dict)
    measured: dict[str, dict[str, Any]] = field(default_factory=dict)


def train(
    config: TrainConfig,
    dataset: CachedDataset,
    load_model: LoadModel,
    *,
    base: Mapping[str, str],
    open_model: OpenModel | None = None,
    regular: CachedDataset | None = None,
    device: str = "cpu",
    mode: checkpoint.Mode = "auto",
    accept_changes: bool = False,
    stop: Callable[[], bool] = lambda: False,
    save_now: Callable[[], bool] = lambda: False,
    observers: Sequence[Observer] = (),
) -> TrainResult:
    """Train the configured experts on a cached dataset; returns when all are done or `stop()` says so.

    base: expert -> identity of its base weights (`wanprep.models.identity.model_id`), which a resumed run compares.
    regular: the regularisation set. save_now: asked after every step whether to make a checkpoint of it. observers:
    who is told what happens; what shows things first, since the last one ends first.

    Raises UsageError (changed settings, nothing to train on) and ArithmeticError (a loss that is not finite), and what
    `load_model` raises; whatever was saved before stays valid.
    """
    waits, watch = Waits(), Observers(observers)
    dataset, regular = timed(dataset, waits), None if regular is None else timed(regular, waits)
    split = hold_out(dataset.samples, config.validation.share)
    config = settled(config, visits_of(dataset, split[0]))
    refuse(config, dataset, split[0], regular)
    matters = {
        name: what_matters(config, name, digests(config, name, dataset, base, regular)) for name in config.stages
    }
    with checkpoint.opened(config.folder, mode) as run, arithmetic(config.run.deterministic):
        for name in config.stages:
            checkpoint.check_unchanged(run, name, matters[name], accept=accept_changes)
        checkpoint.cut_metrics(run)
        _announce(config, dataset, run, watch)
        watch.say(check_caches(dataset, *([regular] if regular else [])))
        session = Session(
            config=config, dataset=dataset, regular=regular, run=run, matters=matters, watch=watch, split=split,
            device=device, metrics=checkpoint.Metrics(run.metrics_path),
            work=_workplace(config, dataset, split[0], device, load_model, open_model),
        )  # fmt: skip
        pending = [name for name in config.stages if not _finished(run, config, name)]
        steps = {name: run.step(name) for name in pending}
        with contextlib.closing(session.metrics), watch.during(_course(session, pending, stop)):
            _rehearse(session, steps)
            waits.take()
            while (turn := next_turn(steps, config)) and not stop():
                began = time.monotonic()
                expert = _bring_in(session, turn)
                entered: float | None = round(time.monotonic() - began, 4)
                watch.turn(turn, entered or 0.0)
                if expert.step == 0:
                    _measure(session, expert)
                turn_end = (expert.step // config.experts.switch_every + 1) * config.experts.switch_every
                while expert.step < min(turn_end, expert.config.steps) and not stop():
                    began = time.monotonic()
                    row = train_step(expert)
                    steps[turn] = expert.step
                    seconds, waited = round(time.monotonic() - began, 4), waits.take()
                    switched = {"switch_s": entered} if entered is not None else {}
                    session.metrics.write("step", row, seconds=seconds, waits=waited, **switched)
                    entered = None
                    watch.step(row, seconds, waited)
                    asked = save_now() | checkpoint.asked_for(run)
                    planned = expert.done or expert.step % config.save.every == 0
                    if planned or asked or expert.step % config.validation.every == 0:
                        _measure(session, expert)
                    if planned or asked:
                        _save(session, expert, asked=asked)
                if expert.done:
                    _dismiss(session, turn)
            for name in pending:  # stopped on request, or done but its LoRA is gone
                lost = steps[name] >= config.expert(name).steps and not _finished(run, config, name)
                if lost or (name in session.crew and steps[name] > run.step(name)):
                    _save(session, _bring_in(session, name))
        return _result(session)


def _rehearse(session: Session, steps: Mapping[str, int]) -> None:
    """The largest batch of every expert that will train, before any of them does; whose turn is first comes last."""
    first = next_turn(steps, session.config)
    working = [name for name in steps if steps[name] < session.config.expert(name).steps]
    for name in sorted(working, key=lambda name: name == first):
        rehearsal = rehearse(_bring_in(session, name), session.split[0])
        session.watch.say(str(rehearsal))
        if session.config.experts.schedule == "sequential" and name != first:
            _dismiss(session, name)  # never both in memory


def _result(session: Session) -> TrainResult:
    config, run = session.config, session.run
    held_out = checkpoint.read_rows(run.folder, "held_out")
    return TrainResult(
        folder=run.folder,
        loras={n: run.folder / run.experts[n]["lora"] for n in config.stages if _finished(run, config, n)},
        steps={name: run.step(name) for name in config.stages},
        held_out={name: rows[-1] for name, rows in held_out.items()},
        verdicts={
            name: ranking.judge(entry["checkpoints"], held_out.get(name, [])) for name, entry in run.experts.items()
        },
        interrupted=any(run.step(name) < config.expert(name).steps for name in config.stages),
    )


def next_turn(steps: Mapping[str, int], config: TrainConfig) -> str | None:
    """Whose turn it is, of the experts with steps left: the one with the fewest whole turns, or simply the first."""
    working = [name for name, done in steps.items() if done < config.expert(name).steps]
    if config.experts.schedule == "sequential":
        return working[0] if working else None
    return min(working, key=lambda name: steps[name] // config.experts.switch_every, default=None)


def _announce(config: TrainConfig, dataset: CachedDataset, run: checkpoint.Run, watch: Observers) -> None:
    """Say what will be drawn before the first step, and store it."""
    planned = plan(config, dataset, cards_here())
    for line in [*planned["notes"], *planned["warnings"], *sigma_lines(planned), *forecast_lines(planned["forecast"])]:
        watch.say(line)
    write_atomic(run.folder / "plan.json", (json.dumps(planned, indent=1, sort_keys=True) + "\n").encode())


def _course(session: Session, pending: list[str], stop: Callable[[], bool]) -> Course:
    config, run = session.config, session.run
    made = {name: checkpoint.newest(run, name) for name in config.stages}
    return Course(
        folder=run.folder, family=config.family, device=session.device, stop=stop,
        parked=lambda: session.work.places.parked(session.crew),
        steps={name: (run.step(name), config.expert(name).steps) for name in pending},
        loras={name: found for name, found in made.items() if found is not None},
        held_out=checkpoint.read_rows(run.folder, "held_out"),
    )  # fmt: skip


def _workplace(
    config: TrainConfig, dataset: CachedDataset, training: list[int], device: str, load_model: LoadModel,
    open_model: OpenModel | None,
) -> Workplace:  # fmt: skip
    known = {(s.width, s.height, s.frames) for s in (dataset.samples[index] for index in training)}
    tokens = max(config.model_family.tokens(*bucket) for bucket in known)
    batch = max(config.expert(name).batch_size for name in config.stages)
    return Workplace(
        config=config, device=device, tokens=tokens, batch=batch, load_model=load_model, open_model=open_model
    )


def _dismiss(session: Session, name: str) -> None:
    """The expert is not needed any more; its memory is the others' now."""
    session.work.places.forget(session.crew.pop(name))


def _bring_in(session: Session, name: str) -> Expert:
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
    aside = session.regular
    regular = None if aside is None else Cursor(dataset=aside, allowed=frozenset(range(len(aside))))
    expert = start(name, config, model, cursor, regular)
    session.watch.say(work.install(expert))
    if saved is not None:
        restore(expert, *saved)
    asked = {"samples": config.validation.samples, "sigmas": config.validation.sigmas}
    seen = {**asked, "samples": min(config.validation.trained, len(training))}
    if held:
        trained = probes_for(expert, training, **seen) if seen["samples"] else []
        session.probes[name] = (probes_for(expert, held, **asked), trained)
    session.crew[name] = expert
    work.places.enter(expert)
    compute.replan(session.crew.values())
    return expert


def _measure(session: Session, expert: Expert) -> None:
    probes = session.probes.get(expert.name)
    if probes is None:
        return
    row = held_out_loss(expert, *probes)
    session.measured[expert.name] = row
    session.metrics.write("held_out", row)
    session.watch.held_out(row)


def _save(session: Session, expert: Expert, *, asked: bool = False) -> None:
    """LoRA (at its end, at every planned save and when asked for), state, run.json."""
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
            "asked": asked or expert.done,
        }  # fmt: skip
        known = [c for c in known if c["step"] != expert.step] + [made]
    kept = checkpoint.pruned(known, config.save.keep, config.save.keep_best)
    checkpoint.save_expert(run, expert.name, *state(expert), entry | {"checkpoints": kept})
    if made is not None:
        session.watch.saved({"expert": expert.name, **made})
    for dropped in (c for c in known if c not in kept):
        (run.folder / dropped["file"]).unlink(missing_ok=True)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "diffusers", "peft")}


def _finished(run: checkpoint.Run, config: TrainConfig, name: str) -> bool:
    """All steps done, and the final LoRA is on the disk with the bytes that were written."""
    entry = run.experts.get(name, {})
    if entry.get("step", 0) < config.expert(name).steps or "lora" not in entry:
        return False
    path = run.folder / entry["lora"]
    return path.is_file() and digest_file(path) == entry["lora_digest"]
