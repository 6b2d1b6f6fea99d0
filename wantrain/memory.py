"""What each block keeps between its forward and its backward, for a bucket and the memory that is free. No torch.

Keeping nothing but a block's input means computing almost all of the block a second time. Every tensor that is kept
instead saves the seconds of making it: attention's output by far the most for a byte (2·S operations), then the
outputs of linear layers (all alike: 2·width operations), last the results of elementwise kernels. `plan` fills the free
bytes in that order. Sizes and seconds are arithmetic over four rates measured on an H100; only their order matters
much, and it is the same on other cards.

Names of what can be kept, as fast.py uses them (u = tokens · width · 2 bytes, 0.34 GB for 832x480x81 of a 14B model):

    attn  self-attention's output and its log-sum-exp          1 u    qkv  its three inputs before norm      3 u
    h1    hidden state after self-attention                    1 u    h2   hidden state after cross-attention 1 u
    cq    cross-attention's queries before norm                1 u    kv   keys and values of the text      tiny
    f     feed-forward's inner activation before GELU        2.7 u    co   cross-attention's output          1 u
    qk    queries and keys after norm and rotation             2 u    cqn  cq after norm                     1 u
    (2 u for co, and kv for the image too, where a second cross-attention looks at one)
    x1, x2, x3, x4   inputs of qkv, cq, ffn.0 and ffn.2: cheap to make again
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

LINEAR_RATE = 700e12  # operations a second: bf16 matrix products
ATTENTION_RATE = 550e12
CROSS_RATE = 400e12  # attention over 512 keys: short rows
TRAFFIC_RATE = 2.6e12  # bytes a second: elementwise kernels
STRIP = 64  # columns of a LoRA's rank-wide products, kept with the output they belong to
ELEMENTWISE = ("qk", "cqn", "x1", "x2", "x3", "x4")
# What blocks keep where it is not planned but said (`fast.Plan.keep`).
KEPT: dict[str, frozenset[str]] = {
    "inputs": frozenset(),
    "attention": frozenset({"attn"}),
    "linears": frozenset({"attn", "kv", "h1", "qkv", "f", "cq", "h2", "co"}),
    "all": frozenset({"attn", "kv", "h1", "qkv", "f", "cq", "h2", "co", *ELEMENTWISE}),
}
LINK_RATE = 20e9  # bytes a second to host memory and back, at the same time: PCIe 4
AWAY = ("h0", "attn")  # what may wait in host memory, h0 (the block's input) first
MARGIN = 0.5 * 2**30  # bytes that stay free when the peak is known
HOST_STEPS = tuple(gib * 2**30 for gib in (0, 2, 4, 8, 16, 32, 64))
NEAR = 3  # last blocks whose tensors stay: they are wanted again at once


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """A transformer's sizes. text, image: tokens of its context. itemsize: bytes a number in activations. fp8, nf4: of
    weights.
    """

    layers: int
    dim: int
    inner: int
    heads: int
    text: int = 512
    image: int = 0
    itemsize: int = 2
    fp8: bool = False
    nf4: bool = False

    def __post_init__(self) -> None:
        for name in ("layers", "dim", "inner", "heads", "text", "itemsize"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}; must be at least 1")


@dataclass(frozen=True, kw_only=True)
class Item:
    """Something a block can keep: its bytes, and the seconds that keeping it saves."""

    name: str
    bytes: int
    seconds: float

    @property
    def worth(self) -> float:
        """Seconds saved a byte."""
        return self.seconds / self.bytes


@dataclass(frozen=True, kw_only=True)
class Keep:
    """keep: names for each block. bytes: of all that is kept on the card, block inputs included. seconds: saved,
    estimated. away: of each block, what waits in host memory (names of `keep`, or h0); host: its bytes.
    """

    keep: tuple[frozenset[str], ...]
    bytes: int
    seconds: float
    away: tuple[frozenset[str], ...] = ()
    host: int = 0

    def __str__(self) -> str:
        counts: dict[str, int] = {}
        for names in (*self.keep, *(frozenset(f"host.{n}" for n in names) for names in self.away)):
            for name in names:
                counts[name] = counts.get(name, 0) + 1
        whole = len(self.keep)
        return " ".join(n if c == whole else f"{n}:{c}/{whole}" for n, c in sorted(counts.items())) or "block inputs"


def items(sizes: Sizes, tokens: int, batch: int = 1) -> list[Item]:
    """What one block can keep, most seconds a byte first. tokens: of one example."""
    if tokens < 1 or batch < 1:
        raise ValueError(f"tokens = {tokens}, batch = {batch}; both must be at least 1")
    rows, dim, inner, size = tokens * batch, sizes.dim, sizes.inner, sizes.itemsize

    def linear(name: str, width: int, inputs: int = dim, count: int = rows) -> Item:
        made = 2 * count * width * inputs / LINEAR_RATE
        return Item(name=name, bytes=count * (width + STRIP) * size, seconds=made)

    def elementwise(name: str, width: int, moved: float) -> Item:
        return Item(name=name, bytes=rows * width * size, seconds=moved * rows * size / TRAFFIC_RATE)

    lse = 4 * rows * sizes.heads
    context, crossings = sizes.text + sizes.image, 2 if sizes.image else 1
    found = [
        Item(name="attn", bytes=rows * dim * size + lse, seconds=4 * rows * tokens * dim / ATTENTION_RATE),
        linear("kv", 2 * dim, count=batch * context),
        linear("h1", dim), linear("qkv", 3 * dim), linear("f", inner), linear("cq", dim), linear("h2", dim),
        Item(
            name="co", bytes=crossings * (rows * dim * size + lse), seconds=4 * rows * context * dim / CROSS_RATE
        ),
        elementwise("qk", 2 * dim, 4 * dim), elementwise("cqn", dim, 2 * dim),
        elementwise("x4", inner + STRIP, inner), elementwise("x3", dim + STRIP, dim),
        elementwise("x2", dim + STRIP, dim), elementwise("x1", dim + STRIP, dim),
    ]  # fmt: skip
    return sorted(found, key=lambda item: -item.worth)  # stable: equals stay in the order above


def input_bytes(sizes: Sizes, tokens: int, batch: int = 1) -> int:
    """Block inputs of all blocks and the strip of ffn.2, which are always kept."""
    return sizes.layers * tokens * batch * (sizes.dim + STRIP) * sizes.itemsize


def working_bytes(sizes: Sizes, tokens: int, batch: int = 1) -> int:
    """The block at work in backward, with nothing but its input kept: all that products make, and gradients beside it.

    Most is there when the gradient comes out of the feed-forward's second product (fast_back.py). What elementwise
    kernels make is let go of before and made again.
    """
    rows, size = tokens * batch, sizes.itemsize
    made = sum(item.bytes for item in items(sizes, tokens, batch) if item.name not in ELEMENTWISE)
    gradients = rows * (2 * sizes.dim + sizes.inner + 2 * STRIP) * size
    # In fp8 a product writes rows of its own, and reads a quantised operand and the widest weight transposed.
    scratch = rows * (sizes.inner * size + sizes.dim) + sizes.dim * sizes.inner if sizes.fp8 else 0
    if sizes.nf4:  # the widest weight as a whole, and rows of its own likewise
        scratch = rows * sizes.inner * size + sizes.dim * max(3 * sizes.dim, sizes.inner) * size
    return made + gradients + scratch


def plan(sizes: Sizes, tokens: int, free: float, batch: int = 1, *, host: float = 0.0) -> Keep:
    """The best use of `free` bytes (what is left beside weights, LoRA and optimizer) for one bucket.

    The last blocks keep most: their backward comes first. With too little for the block inputs nothing is kept and
    the caller finds out by running out of memory, since a smaller plan does not exist. With `host` bytes of host
    memory, block inputs and then attention's outputs go there, first blocks first, as far as the link can carry them
    unnoticed and only where the card is too small for all that products make.
    """
    found = _fill(sizes, tokens, free, batch, {})
    products = {item.name for item in items(sizes, tokens, batch)} - set(ELEMENTWISE)
    if not host or products <= found.keep[0]:
        return found
    return _fill(sizes, tokens, free, batch, _choose_away(sizes, tokens, batch, host))


SLOTS = 3  # blocks on the device that all streamed ones share
RESERVE = 1.25 * 2**30  # bytes left free: what fragments, and gradients that are there while the next come into being


def fixed_bytes(trained: int, outside: float, *, averages: bool = False) -> float:
    """Bytes on the card besides blocks and activations. trained: weights of a LoRA; outside: bytes of frozen layers
    outside the blocks. Parameter, gradient (while activations go), two moments; and twice in 16 bits, padded.
    """
    return trained * (4 + 8 + 4) + (4 * trained if averages else 0) + outside + RESERVE


def spare_bytes(limit: float, peak: float, later: float) -> float:
    """Bytes of `limit` that a whole forward and backward left unused, and that may be kept in next time.

    peak: highest of it. later: bytes that were not there and may be in other steps. A margin stays.
    """
    return max(0.0, limit - peak - later - MARGIN)


def arrange(
    sizes: Sizes, tokens: int, batch: int = 1, *, total: float, block: int, fixed: float, link: float = LINK_RATE,
    most: int | None = None, host: Callable[[int], float] = lambda streamed: 0.0,
) -> int:  # fmt: skip
    """How many frozen blocks to stream from host memory, for the shortest step of the largest bucket.

    A streamed block costs two copies a step, hidden behind the products as long as all copies together take less time;
    its place on the card goes to what blocks keep. total: bytes of the card. block: bytes of a frozen block. fixed:
    bytes of everything else that stays. most: blocks that host memory has room for. host: blocks streamed -> bytes
    there for activations. ValueError, with the bytes that are missing, when nothing fits.
    """
    products = sizes.layers * sum(item.seconds for item in items(sizes, tokens, batch))
    missing = 0.0
    best: tuple[float, int] | None = None
    for streamed in range(1 + (sizes.layers if most is None else min(most, sizes.layers))):
        slots = min(SLOTS, streamed)
        free = total - fixed - (sizes.layers - streamed + slots) * block
        kept = plan(sizes, tokens, free, batch, host=host(streamed))
        missing = kept.bytes + working_bytes(sizes, tokens, batch) - free
        if missing > 0 or streamed == 1:
            continue
        computing = 4 * products - kept.seconds
        seconds = max(computing, 2 * (streamed - slots) * block / link)
        if best is None or seconds < 0.995 * best[0]:
            best = seconds, streamed
    if best is None:
        raise ValueError(f"{missing / 2**30:.1f} GiB are missing on the GPU even with {streamed} blocks streamed")
    return best[1]


def settle(
    sizes: Sizes, tokens: int, batch: int, *, wanted: float | None, left: Callable[[float, int], float], **given: Any
) -> tuple[int, float]:
    """(blocks to stream, bytes of host memory for activations), see `arrange` for what else is given.

    wanted: bytes for activations that were asked for; None takes none, and where nothing fits so, the least of
    `HOST_STEPS` with which it does. left: (bytes wanted, blocks streamed) -> bytes that host memory has.
    """
    error: ValueError | None = None
    for size in HOST_STEPS if wanted is None else (wanted,):
        try:
            streamed = arrange(sizes, tokens, batch, host=partial(left, size), **given)
        except ValueError as now:
            error = error or now
            continue
        return streamed, left(size, streamed) if size else 0.0
    assert error is not None
    raise error


def _choose_away(sizes: Sizes, tokens: int, batch: int, host: float) -> dict[int, dict[str, int]]:
    """block -> name -> bytes in host memory. At most half of what the link could carry while the model goes forward."""
    choice = items(sizes, tokens, batch)
    each = {"h0": sizes.dim * tokens * batch * sizes.itemsize, "attn": sizes.dim * tokens * batch * sizes.itemsize}
    forward = sizes.layers * sum(item.seconds for item in choice if item.name not in ELEMENTWISE)
    left = min(host, 0.5 * forward * LINK_RATE)
    chosen: dict[int, dict[str, int]] = {}
    for name in AWAY:
        for number in range(sizes.layers - NEAR):
            if each[name] <= left:
                chosen.setdefault(number, {})[name] = each[name]
                left -= each[name]
    return chosen


def _fill(sizes: Sizes, tokens: int, free: float, batch: int, away: dict[int, dict[str, int]]) -> Keep:
    moving = 3 * max((sum(block.values()) for block in away.values()), default=0)  # on their way out or back
    gone = sum(block.get("h0", 0) for block in away.values())
    used = input_bytes(sizes, tokens, batch) - gone + moving
    left, seconds = free - used - working_bytes(sizes, tokens, batch), 0.0
    keep: list[set[str]] = [set() for _ in range(sizes.layers)]
    # What waits elsewhere first: it costs next to nothing here. Else last blocks first, and no gaps.
    order = [(item, number) for item in items(sizes, tokens, batch) for number in reversed(range(sizes.layers))]
    order.sort(key=lambda pair: pair[0].name not in away.get(pair[1], {}))
    full: set[str] = set()
    for item, number in order:
        size = item.bytes - away.get(number, {}).get(item.name, 0)
        if size > left or item.name in full:
            full.add(item.name)
            continue
        keep[number].add(item.name)
        left, used, seconds = left - size, used + size, seconds + item.seconds
    return Keep(
        keep=tuple(frozenset(names) for names in keep), bytes=used, seconds=seconds,
        away=tuple(
            frozenset(away.get(number, {})) & (names | {"h0"}) for number, names in enumerate(keep)
        ) if away else (),
        host=sum(sum(block.values()) for block in away.values()),
    )  # fmt: skip


def same(sizes: Sizes, tokens: int, names: frozenset[str], batch: int = 1) -> Keep:
    """Every block keeps `names`, whatever it costs."""
    chosen = [item for item in items(sizes, tokens, batch) if item.name in names]
    if unknown := names - {item.name for item in chosen}:
        raise ValueError(f"nothing is called {sorted(unknown)}; known: {[i.name for i in items(sizes, tokens)]}")
    return Keep(
        keep=(names,) * sizes.layers,
        bytes=input_bytes(sizes, tokens, batch) + sizes.layers * sum(item.bytes for item in chosen),
        seconds=sizes.layers * sum(item.seconds for item in chosen),
    )
