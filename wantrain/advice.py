"""Where a run leaves the ranges that public guides give, with the number and the guide.

The guides disagree by up to eight times on rank, so these are warnings and never refusals. [AIT] stands for AI
Toolkit's guide to Wan 2.2 (small sets, rank 16–32), [WAN] for the general Wan 2.2 training guide (large sets).
"""

from __future__ import annotations

from wantrain.config import TrainConfig

LR = {"character": (1e-4, 2e-4), "style": (8e-5, 1.5e-4), "motion": (5e-5, 1e-4), "domain": (8e-5, 1.2e-4)}
# Smallest set [AIT, WAN]; most rank for so many samples [WAN]; most epochs for so many samples [WAN].
FEWEST = {"character": (10, 30), "style": (10, 200), "motion": (10, 300), "domain": (400, 400)}
RANKS = ((100, 32), (200, 48), (400, 64), (800, 96), (float("inf"), 128))
EPOCHS = ((200, 20), (400, 18), (800, 15), (float("inf"), 12))
SMALL_SET, MANY_STEPS = 100, 4000
SWITCHING = (20, 50)
MOST_DROPPED = 0.5


def warnings_for(config: TrainConfig, *, clips: int, epoch: int) -> list[str]:
    """Sentences, each with the number and its source. config: settled; clips: trained on; epoch: samples in one."""
    found = []
    for name in config.stages:
        own = config.expert(name)
        most = next(rank for size, rank in RANKS if epoch < size)
        if own.rank > most:
            found.append(
                f"{name}.rank = {own.rank} is much for {epoch} samples an epoch: up to {most} is advised [WAN], "
                "16–32 for 10–40 clips [AIT]"
            )
        epochs = own.steps * own.accumulate * own.batch_size / max(1, epoch)
        usual = next(count for size, count in EPOCHS if epoch < size)
        if epochs > 3 * usual and epoch >= SMALL_SET:
            found.append(f"{name} trains {epochs:.0f} epochs: for {epoch} samples at most {usual} are usual [WAN]")
        if epoch < SMALL_SET and own.steps > MANY_STEPS:
            found.append(
                f"{name}.steps = {own.steps}: more than 3000–{MANY_STEPS} rarely help a set of {clips} clips, and the "
                "best checkpoint is often at 60–80 % of a run [AIT]"
            )
        if config.goal is not None and own.optimizer in ("AdamW", "AdamW8bit"):
            low, high = LR[config.goal]
            if not low <= own.lr <= high:
                found.append(f"{name}.lr = {own.lr:g} is outside {low:g}–{high:g} for a {config.goal} [WAN]")
    if config.goal is not None and clips < (least := FEWEST[config.goal])[0]:
        found.append(f"{clips} clips are few for a {config.goal}: at least {least[0]} [AIT], {least[1]} [WAN]")
    every = config.experts.switch_every
    alternating = len(config.stages) > 1 and config.experts.schedule == "alternate"
    if alternating and config.compute.idle != "gpu" and every < SWITCHING[0] // 2:
        found.append(
            f"experts.switch_every = {every} moves the experts often: {SWITCHING[0]}–{SWITCHING[1]} when the idle one "
            "is offloaded, 1 when both stay on the GPU [AIT]"
        )
    longest = max(config.expert(name).steps for name in config.stages)
    if config.previews.prompts is not None and config.previews.every > longest:
        found.append(
            f"previews.every = {config.previews.every} is more than the {longest} steps of the run: only "
            f"{'the base model and ' if config.previews.at_start else ''}the finished LoRAs are shown"
        )
    if config.caption_dropout > MOST_DROPPED:
        found.append(
            f"caption_dropout = {config.caption_dropout:g}: {config.caption_dropout:.0%} of the draws see no caption, "
            "so what the trigger means is hardly learned; 0.05 to 0.1 is common"
        )
    return found
