"""The report of bench_quality as text."""

from __future__ import annotations

from typing import Any

from camera import WALKERS


def show(report: dict[str, Any]) -> None:
    _rejects(report["false_rejects"])
    _filters(report["filters"])
    _cards_and_repeats(report["text_card"], report["duplicate"])
    _camera(report["camera"], report["subject"])
    _overlays(report["overlay_single"], report["overlay"])
    print(f"\n{report['seconds']:.0f} s")


def _rejects(wrong: dict[str, Any]) -> None:
    print(f"good clips rejected: {wrong['rejected_wrongly']} of {wrong['clips']} ({wrong['share']:.1%})")
    for clip, names in wrong["which"].items():
        print(f"  {clip}: {', '.join(names)}")


def _filters(filters: dict[str, Any]) -> None:
    for name, found in filters.items():
        lost = found["good_B_rejected"]
        print(f"\n{name}: default {found['default']:g} (rejects {lost['default']:.1%} of the good clips of half B), "
              f"chosen on half A {found['chosen_on_A']:.4g} ({lost['chosen']:.1%})")  # fmt: skip
        for fault, it in found["faults"].items():
            kind = "innocent" if it["innocent"] else f"AUC {it['auc']:.3f}"
            told = f"half B {it['found_B']:.2f}, all at default {it['found_default']:.2f}"
            if it.get("seen"):
                told += f", {it['found_seen']:.2f} of {it['seen']} where it shows (SSIM: median {it['like']:.3f})"
            print(f"  {fault:32} {kind:10} rejected: {told}")


def _cards_and_repeats(cards: dict[str, Any], copied: dict[str, Any]) -> None:
    print(f"\ntext_card: AUC {cards['auc']:.3f}, found {cards['found']:.2f}, "
          f"plain scenes rejected {cards['plain_rejected']:.3f}")  # fmt: skip
    print("  " + ", ".join(f"{kind} {value:.2f}" for kind, value in cards["kinds"].items()))
    print(f"\nduplicate: {len(copied['wrong'])} of {copied['pairs']} pairs of different clips taken for the same")
    for pair in copied["wrong"]:
        print(f"  {pair}")
    for kind, value in copied["recall"].items():
        print(f"  {kind:28} recall {value:.3f}")


def _camera(camera: dict[str, Any], subject: dict[str, Any]) -> None:
    print(f"\ncamera: {camera['agreement']:.3f} of {camera['cases']} moves over stills named right; "
          + ", ".join(f"{kind} {value:.2f}" for kind, value in camera["kinds"].items()))  # fmt: skip
    for kind, it in subject.items():
        print(f"subject motion, {kind} camera: nobody {it['nobody'][0]:.3f} (95 % below {it['nobody'][1]:.3f}); AUC of "
              + ", ".join(f"{size} walkers {it[size]['auc']:.2f}" for size in WALKERS))  # fmt: skip


def _overlays(singles: dict[str, Any], pools: dict[str, Any]) -> None:
    for which, single in singles.items():
        print(f"\noverlay, single clips, {which} ({single['clips']}): AUC {single['auc']:.3f}, unmarked flagged "
              f"{single['clean_flagged']:.3f}, unknown {single['unknown_clean']:.2f} (unmarked) and "
              f"{single['unknown_marked']:.2f} (marked)")  # fmt: skip
        for name, it in single["marks"].items():
            print(f"  {name:20} AUC {it['auc']:.3f}, found {it['found']:.2f}, unknown {it['unknown']:.2f}")
    for scenes, found in pools.items():
        print(f"\noverlay, {scenes}: {found['pools']} sources, unmarked flagged {found['clean_flagged']:.3f}")
        for name, it in found.items():
            if isinstance(it, dict):
                print(f"  {name:20} AUC {it['auc']:.3f}, found {it['found']:.2f}")
