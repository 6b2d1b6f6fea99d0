"""What of an edit's cuts and transitions is found, what is found besides, and what splitting by it leaks and costs."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict

import numpy as np
from edits import Truth

from wanprep.inspect import listing
from wanprep.signals.shots import find_shots
from wanprep.signals.store import Signals
from wanprep.stages.split import ClipSpan, SplitConfig, split

LEFT_OUT = ("black", "maybe_mixed", "only_transition")  # reasons of clips that are no shots
SHARES = (0.02, 0.05, 0.15)  # of another shot: by so much are clips with leaks told apart


def merged(spans: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Touching spans count as one: a fade out, black and a fade in are one way from shot to shot."""
    out: list[tuple[str, int, int]] = []
    for kind, first, last in sorted(spans, key=lambda s: s[1]):
        if out and first <= out[-1][2] + 1:
            out[-1] = (out[-1][0], out[-1][1], max(last, out[-1][2]))
        else:
            out.append((kind, first, last))
    return out


def within(frame: int, spans: list[tuple[str, int, int]], room: int = 0) -> str:
    return next((kind for kind, first, last in spans if first - room <= frame <= last + room), "")


def score(signals: Signals, config: SplitConfig, truth: Truth, log: list[str]) -> Counter:
    """Counts of one sequence."""
    found = listing(find_shots(signals, config.shots))
    hard = [c for c in found["hard"] if not any(abs(c - a) <= 2 for a in truth.ambiguous)]
    spans, tally = merged(truth.gradual), Counter()
    left = set(hard)
    for cut, kind in truth.cuts:
        near = sorted((c for c in left if abs(c - cut) <= 1), key=lambda c: abs(c - cut))
        tally["cut_hit" if near else "cut_miss"] += 1
        tally[f"{kind}:{'hit' if near else 'miss'}"] += 1
        left -= set(near[:1])
        if not near:
            log.append(f"missed {kind} {cut}")
    mixes = [(g["kind"], g["first"], g["last"]) for g in found["gradual"]]
    used = set()
    for kind, first, last in spans:
        some = [m for m in mixes if m[1] <= last and m[2] >= first]
        used |= set(some)
        tally["mix_hit" if some else "mix_miss"] += 1
        tally[f"{kind}:{'hit' if some else 'miss'}"] += 1
        if not some:
            log.append(f"missed {kind} {first}-{last}")
    for kind, first, last in truth.wipes:
        some = [m for m in mixes if m[1] <= last and m[2] >= first]
        tally[f"{kind}:{'hit' if some else 'miss'}"] += 1
        tally["wipe_hit" if some else "wipe_miss"] += 1
    for frame in sorted(left):
        if not within(frame, truth.wipes, 1):
            why = within(frame, spans, 1) or within(frame, truth.traps, 3) or "plain"
            tally["cut_false"] += 1
            tally[f"{why}:false_cut"] += 1
            log.append(f"false cut {frame} in {why}")
    for m in mixes:
        if m not in used and not any(m[1] <= last and m[2] >= first for _, first, last in truth.wipes):
            near = any(m[1] - 2 <= cut <= m[2] + 2 for cut, _ in truth.cuts)
            traps = [k for k, first, last in truth.traps if m[1] <= last + 3 and m[2] >= first - 3]
            why = traps[0] if traps else "hard" if near else "plain"
            tally["wipe_false" if m[0] == "wipe" else "mix_false"] += 1
            tally[f"{why}:false_{'wipe' if m[0] == 'wipe' else 'mix'}"] += 1
            log.append(f"false {m} in {why}")
    for kind, *_ in truth.traps:
        tally[f"{kind}:traps"] += 1
    leaks(signals, config, truth, spans, tally, log)
    return tally


def leaks(
    signals: Signals, config: SplitConfig, truth: Truth, spans: list[tuple[str, int, int]], tally: Counter,
    log: list[str],
) -> None:  # fmt: skip
    mixing, wiping = np.zeros((2, len(signals.pts)), bool)
    for _, first, last in spans:
        mixing[first : last + 1] = True
    for _, first, last in truth.wipes:
        wiping[first : last + 1] = True
    tally["frames"] += len(mixing)
    tally["mixing"] += int(mixing.sum())
    ways = [(2 - kind.startswith("dissolve"), first, last) for kind, first, last in spans]
    ways += [(1, first, last) for _, first, last in truth.wipes]
    clips = split(signals, config)[0]
    cost(clips, truth, mixing | wiping, tally)
    for clip in clips:
        a, b = clip.start_frame, clip.end_frame
        if clip.state == "ok":
            tally["clip_frames"] += b - a
            tally["clips"] += 1
            tally["leaked_frames"] += int(mixing[a:b].sum())
            tally["clips_with_wipe"] += bool(wiping[a:b].any())
            tally["clips_over_wipe"] += any(a < first and last < b - 1 for _, first, last in truth.wipes)
            cut_in = any(a < cut < b for cut, _ in truth.cuts)
            tally["clips_with_leak"] += bool(mixing[a:b].any() or cut_in)
            if held := 1.0 if cut_in else share_held(a, b, ways):
                tally[f"held_{sum(held >= least for least in SHARES)}"] += 1
            if mixing[a:b].any() or cut_in:
                log.append(f"clip {a}-{b} holds {int(mixing[a:b].sum())} mixing frames, cut {cut_in}")


def share_held(a: int, b: int, spans: list[tuple[int, int, int]]) -> float:
    """How much of another shot, or of a fade's tone, the frame of a clip a..b - 1 holds that has most of one; 0: none.

    spans: (1: between two shots or 2: to a tone and back, first, last). Reckoned at an even pace: ramps that are eased,
    which three of ten are, hold less near their ends, and the truth does not tell which these are.
    """
    held = 0.0
    for ways, first, last in spans:
        low, high = max(a, first), min(b - 1, last)
        if low <= high:
            middle = min(max((first + last) // 2, low), high)
            held = max(held, min(1.0, ways * (min(middle - first, last - middle) + 1) / (last - first + 2)))
    return held


def cost(clips: list[ClipSpan], truth: Truth, mixing: np.ndarray, tally: Counter) -> None:
    """What is given up: clean frames in no clip, and shots of 30 frames or more that are not one clip."""
    inside, owner = np.zeros(len(mixing), bool), np.full(len(mixing), -1)
    for k, clip in enumerate(clips):
        inside[clip.start_frame : clip.end_frame] = clip.reason not in LEFT_OUT
        owner[clip.start_frame : clip.end_frame] = -1 if clip.reason in LEFT_OUT[1:] else k
    tally["clean"] += int((~mixing).sum())
    tally["lost"] += int((~mixing & ~inside).sum())
    edges = {0, len(mixing), *(cut for cut, _ in truth.cuts)} | set(np.flatnonzero(np.diff(mixing.astype(int))) + 1)
    for a, b in itertools.pairwise(sorted(int(e) for e in edges)):
        if b - a >= 30 and not mixing[a]:
            tally["whole"] += 1
            tally["divided"] += len(set(owner[a:b]) - {-1}) != 1


def f1(tally: Counter, what: str) -> float:
    hit, miss, false = (tally[f"{what}_{w}"] for w in ("hit", "miss", "false"))
    return 2 * hit / max(1, 2 * hit + miss + false)


def interval(tallies: list[Counter], figure, rounds: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval over sequences."""
    rng, values = np.random.default_rng(0), []
    for _ in range(rounds):
        total: Counter = Counter()
        for index in rng.integers(0, len(tallies), len(tallies)):
            total.update(tallies[index])
        values.append(figure(total))
    return float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))


def report(tallies: list[Counter], title: str) -> dict:
    total: Counter = sum(tallies, Counter())
    out: dict = {"sequences": len(tallies), "frames": total["frames"]}
    print(f"{title}: {len(tallies)} sequences, {total['frames']} frames")
    for what in ("cut", "mix", "wipe"):
        hit, miss, false = (total[f"{what}_{w}"] for w in ("hit", "miss", "false"))
        low, high = interval(tallies, lambda t, what=what: f1(t, what))
        out[what] = {"hit": hit, "miss": miss, "false": false, "f1": f1(total, what), "ci": [low, high]}
        precision, recall = hit / max(1, hit + false), hit / max(1, hit + miss)
        print(
            f"  {what}: F1 {f1(total, what):.3f} [{low:.3f}, {high:.3f}]  precision {precision:.3f} "
            f"recall {recall:.3f}  hit {hit} miss {miss} false {false}"
        )
    share = total["clips_with_leak"] / max(1, total["clips"])
    low, high = interval(tallies, lambda t: t["clips_with_leak"] / max(1, t["clips"]))
    out["cost"] = {name: total[name] for name in ("lost", "clean", "divided", "whole", "clips_with_wipe")}
    out["leaks"] = {"clips": total["clips"], "with_leak": total["clips_with_leak"], "frames": total["leaked_frames"],
                    "share_of_clip_frames": total["leaked_frames"] / max(1, total["clip_frames"])}  # fmt: skip
    print(
        f"  clips with a transition frame or cut: {total['clips_with_leak']} of {total['clips']} = {share:.3f} "
        f"[{low:.3f}, {high:.3f}]; frames {total['leaked_frames']} of {total['clip_frames']}; "
        f"with a frame of a wipe: {total['clips_with_wipe']}, over one: {total['clips_over_wipe']}; "
        f"clean frames lost: {total['lost']} of {total['clean']}, "
        f"shots divided or lost: {total['divided']} of {total['whole']}"
    )
    out["leaks"]["held"] = held = [total[f"held_{k}"] for k in range(len(SHARES) + 1)]
    told = [f"less than {share:.0%}: {count}" for share, count in zip(SHARES, held)]
    print(f"  these hold of another shot, were all ramps even, {', '.join(told)}, more or a cut: {held[-1]} clips")
    classes: dict[str, dict[str, int]] = defaultdict(dict)
    for key, value in total.items():
        if ":" in key:
            name, what = key.split(":")
            classes[name][what] = value
    out["classes"] = dict(sorted(classes.items()))
    for name, counts in sorted(classes.items(), key=lambda item: ("traps" in item[1], item[0])):
        line = " ".join(f"{what} {n}" for what, n in sorted(counts.items()))
        recall = ""
        if "hit" in counts or "miss" in counts:
            hit, miss = counts.get("hit", 0), counts.get("miss", 0)
            low, high = interval(tallies, lambda t, n=name: t[f"{n}:hit"] / max(1, t[f"{n}:hit"] + t[f"{n}:miss"]), 300)
            recall = f"recall {hit / (hit + miss):.3f} [{low:.2f}, {high:.2f}] "
        print(f"    {name:18} {recall}{line}")
    return out
