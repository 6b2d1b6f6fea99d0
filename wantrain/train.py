"""The training loop: read it from top to bottom.

Experts take turns until each has its own number of steps; whose turn it is follows from their step counts alone, so a
resumed run needs no memory of it. What happens to an expert between its steps is in `session.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.ids import write_atomic
from wantrain import checkpoint, parallel, ranking, resume, split
from wantrain.aside import Aside, aside_of, mixture
from wantrain.aside import lines as aside_lines
from wantrain.config import TrainConfig, settled, what_matters
from wantrain.experts import Expert
from wantrain.follow import Follower
from wantrain.forecast import forecast_lines
from wantrain.observe import Observer, Observers, Waits, timed
from wantrain.parallel import Team
from wantrain.plan import plan, sigma_lines
from wantrain.ready import arithmetic, cards_here, check_caches, digests, refuse, visits_of
from wantrain.rehearse import rehearse
from wantrain.session import (
    LoadModel,
    Open,
    OpenModel,
    Session,
    bring_in,
    course_of,
    dismiss,
    finished,
    measure,
    measure_end,
    measure_start,
    save,
    workplace,
)
from wantrain.step import begin_step

if TYPE_CHECKING:
    from wanprep.cached import CachedDataset


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
    team: Team | None = None,
) -> TrainResult:
    """Train the configured experts on a cached dataset; returns when all are done or `stop()` says so.

    base: expert -> identity of its base weights (`wanprep.models.identity.model_id`), which a resumed run compares.
    regular: the regularisation set. save_now: asked after every step whether to make a checkpoint of it. observers:
    who is told what happens; what shows things first, since the last one ends first. team: of several processes.

    Raises UsageError (changed settings, nothing to train on) and ArithmeticError (a loss that is not finite), and what
    `load_model` raises; whatever was saved before stays valid.
    """
    team = team or Team(stages=config.stages)
    waits, watch = Waits(), Observers([*observers, Follower()] if team.rank == 0 else ())
    dataset, regular = timed(dataset, waits), None if regular is None else timed(regular, waits)
    memory = None if mode == "fresh" else split.remembered(config.folder)
    parts = split.divide(dataset.samples, config.validation.share, memory)
    aside = aside_of(regular, dataset, parts, memory)
    config = settled(config, visits := visits_of(dataset, parts[0]))
    refuse(config, dataset, parts[0], regular)
    digested = {name: digests(config, name, dataset, base, regular) for name in config.stages}
    matters = {name: what_matters(config, name, digested[name]) for name in config.stages}

    def prepared(run: checkpoint.Run) -> None:
        for line in resume.take_up(run, config, dataset, parts, memory, matters, aside, accept=accept_changes):
            watch.say(line)
        if not all(finished(run, config, name) for name in config.stages):
            _announce(config, dataset, aside, parts, run, watch)

    with parallel.opened(team, config.folder, mode, prepared) as run, arithmetic(config.run.deterministic):
        session = Session(
            config=config, dataset=dataset, aside=aside, run=run, matters=matters, watch=watch, split=parts,
            device=device, stop=team.agreed(stop), save_now=save_now, waits=waits, team=team,
            metrics=checkpoint.Metrics(run.metrics_path if team.lead else Path(os.devnull)),
            work=workplace(_of_team(config, team), mixture(visits, aside), device, load_model, open_model),
        )  # fmt: skip
        pending = [name for name in team.stages if not finished(run, config, name)]
        with contextlib.closing(session.metrics), watch.during(course_of(session, pending)):
            _take_turns(session, pending)
            team.meet(watch.look)
    return _result(session)


def _take_turns(session: Session, pending: Sequence[str]) -> None:
    """Turns of the experts until all are done, or somebody asks to stop; then whatever is not saved yet is."""
    config, run = session.config, session.run
    steps = {name: run.step(name) for name in pending}
    _rehearse(session, steps)
    session.waits.take()
    while (turn := next_turn(steps, config)) and not session.stop():
        began = time.monotonic()
        expert = bring_in(session, turn)
        entered = round(time.monotonic() - began, 4)
        session.watch.turn(turn, entered)
        measure_start(session, expert)
        turn_end = (expert.step // config.experts.switch_every + 1) * config.experts.switch_every
        first: dict[str, float] = {"switch_s": entered}
        while expert.step < min(turn_end, expert.config.steps) and not session.stop():
            after = next_turn({**steps, turn: expert.step + 1}, config) if expert.step + 1 == turn_end else turn
            _step(session, expert, first, session.crew.get(after) if after not in (None, turn) else None)
            steps[turn], first = expert.step, {}
        _log(session)
        if expert.done:
            dismiss(session, turn)
    for name in pending if session.team.lead else ():  # stopped on request, or done but its LoRA is gone
        lost = steps[name] >= config.expert(name).steps and not finished(run, config, name)
        if lost:
            measure_end(session, bring_in(session, name))
        if lost or (name in session.crew and steps[name] > run.step(name)):
            save(session, bring_in(session, name))


def _step(session: Session, expert: Expert, first: Mapping[str, float], coming: Expert | None) -> None:
    """One step, its line in the metrics, and what is due after it.

    first: noted with a turn's first step. coming: who is next, when this is the turn's last step.
    """
    config, places = session.config, session.work.places
    began = time.monotonic()
    following = expert.step + 1
    due = following >= expert.config.steps or 0 in (following % config.save.every, following % config.validation.every)
    step = begin_step(expert, last=lambda: places.announce(expert, None if due else coming))
    _log(session)  # of the step before: a GPU has done it by now, and has this one to do meanwhile
    session.open = Open(step, began, session.waits.take(), first)
    if step.here or config.run.deterministic:
        _log(session)
    asked = session.team.lead and session.save_now() | checkpoint.asked_for(session.run)
    if asked or due or coming is not None:
        _log(session)
    if asked:
        places.stay(expert)
    planned = expert.done or expert.step % config.save.every == 0
    if planned or asked or expert.step % config.validation.every == 0:
        measure(session, expert)
    if planned or asked:
        save(session, expert, asked=asked)


def _log(session: Session) -> None:
    """The line of the step that the device was given last, once its numbers are here."""
    if session.open is None:
        return
    done, session.open = session.open, None
    row = done.step.finish()
    now = time.monotonic()
    seconds, session.logged = round(now - max(done.began, session.logged), 4), now
    if session.team.lead:
        session.metrics.write("step", row, seconds=seconds, waits=done.waited, **done.first)
        session.watch.step(row, seconds, done.waited)


def _rehearse(session: Session, steps: Mapping[str, int]) -> None:
    """The largest batch of every expert that will train, before any of them does; whose turn is first comes last."""
    first = next_turn(steps, session.config)
    working = [name for name in steps if steps[name] < session.config.expert(name).steps]
    for name in sorted(working, key=lambda name: name == first):
        rehearsal = rehearse(bring_in(session, name))
        session.watch.say(str(rehearsal))
        if session.config.experts.schedule == "sequential" and name != first:
            dismiss(session, name)  # never both in memory


def _result(session: Session) -> TrainResult:
    config, run = session.config, session.run
    held_out = checkpoint.read_rows(run.folder, "held_out")
    return TrainResult(
        folder=run.folder,
        loras={n: run.folder / run.experts[n]["lora"] for n in config.stages if finished(run, config, n)},
        steps={name: run.step(name) for name in config.stages},
        held_out={name: ranking.comparable(rows)[-1] for name, rows in held_out.items()},
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


def _of_team(config: TrainConfig, team: Team) -> TrainConfig:
    """The run with the experts that this process trains."""
    stages: Any = team.stages
    return replace(config, experts=replace(config.experts, stages=stages))


def _announce(
    config: TrainConfig, dataset: CachedDataset, aside: Aside | None, parts: split.Parts,
    run: checkpoint.Run, watch: Observers,
) -> None:  # fmt: skip
    """Say what will be drawn before the first step, and store it."""
    planned = plan(config, dataset, cards_here(), parts, aside)
    lines = [*aside_lines(planned["regularisation"]), *planned["notes"], *planned["warnings"]]
    for line in [*lines, *sigma_lines(planned), *forecast_lines(planned["forecast"])]:
        watch.say(line)
    write_atomic(run.folder / "plan.json", (json.dumps(planned, indent=1, sort_keys=True) + "\n").encode())
    watch.say(check_caches(dataset, *([aside.dataset] if aside else [])))
