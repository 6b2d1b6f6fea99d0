"""What the transformer of each task is asked: its input, its timesteps, and which latent frames count.

t2v   the noised latent, one timestep.
i2v   the noised latent, all frames of it, with 4 mask and 16 condition channels behind it, one timestep; Wan 2.1 also
      sees CLIP's embedding of the first frame.
ti2v  (5B) a timestep for every token; with a first frame, that latent frame is clean, has timestep 0 and no loss.

As diffusers' WanPipeline and WanImageToVideoPipeline build their inputs; the tests compare the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from wanprep.families import Family
from wanprep.stage import UsageError
from wantrain import flow

if TYPE_CHECKING:
    import torch

    from wanprep.cached import CachedDataset, CachedSample


@dataclass(frozen=True)
class Question:
    """One forward pass, in float32; on the CPU until it is `sent`.

    hidden [C, T, h, w]; timesteps [1] or [tokens], 0–1000; first: latent frames left out of the loss. image: CLIP's
    embedding of the first frame, [257, 1280], for a family that takes one.
    """

    hidden: torch.Tensor
    timesteps: torch.Tensor
    first: int = 0
    image: torch.Tensor | None = None


def ask(
    family: Family,
    x0: torch.Tensor,
    noise: torch.Tensor,
    sigma: float,
    *,
    condition: torch.Tensor | None = None,
    image: torch.Tensor | None = None,
    first_frame: bool = False,
) -> Question:
    """The question at `sigma`. x0, noise [z, T, h, w] float32; condition, shaped as x0, is needed by i2v alone.

    image: as `Question` has it.
    """
    import torch

    noisy = flow.noised(x0, noise, torch.tensor(sigma, dtype=torch.float32))
    timestep = torch.tensor([1000 * sigma], dtype=torch.float32)
    if family.task == "i2v":
        assert condition is not None
        mask = torch.zeros(4, *x0.shape[1:])
        mask[:, 0] = 1
        return Question(torch.cat([noisy, mask, condition.float()]), timestep, image=image)
    if family.task == "ti2v":
        patch = family.grid // family.spatial_stride
        frames, height, width = x0.shape[1:]
        shown = torch.ones(frames, height // patch, width // patch)
        if first_frame:
            shown[0] = 0
            noisy = torch.cat([x0[:, :1], noisy[:, 1:]], dim=1)
        return Question(noisy, shown.flatten() * timestep, first=int(first_frame))
    return Question(noisy, timestep)


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """To the device without waiting for what it is busy with, which takes page-locked memory in between."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def true_tokens(text: torch.Tensor) -> torch.Tensor:
    """text [512, d] on the CPU without the zero rows at its end; one row is left of nothing."""
    rows = text.any(dim=1).nonzero()
    return text[: int(rows[-1]) + 1 if len(rows) else 1]


def sent(question: Question, device: torch.device) -> Question:
    """The question on the device."""
    image = None if question.image is None else send(question.image, device)
    return replace(
        question, hidden=send(question.hidden, device), timesteps=send(question.timesteps, device), image=image
    )


def predict(model: torch.nn.Module, question: Question, text: torch.Tensor) -> torch.Tensor:
    """The transformer's velocity, float32 [z, T, h, w] on its device. text [512 or fewer, d], see `true_tokens`."""
    return predict_batch(model, [question], [text])[0]


def predict_batch(model: torch.nn.Module, questions: Sequence[Question], texts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Velocities of questions of one shape, float32 [B, z, T, h, w]. Nothing else calls the model.

    texts: padded with zero rows to 512 tokens, as Wan was trained; the fast path is told how many are true.
    """
    import torch

    from wantrain.fast import tell_tokens

    device, dtype = next(model.parameters()).device, cast("torch.dtype", model.dtype)
    timesteps = torch.stack([question.timesteps for question in questions]).to(device, torch.float32)
    images = [question.image for question in questions if question.image is not None]
    seen = {"encoder_hidden_states_image": torch.stack(images).to(device, dtype)} if images else {}
    whole = torch.zeros(len(texts), Family.text_len, texts[0].shape[1], device=device, dtype=dtype)
    for row, text in zip(whole, texts, strict=True):
        row[: len(text)] = text
    tell_tokens(model, max(len(text) for text in texts))
    velocities = model(
        hidden_states=torch.stack([question.hidden for question in questions]).to(device, dtype),
        timestep=timesteps[:, 0] if timesteps.shape[1] == 1 else timesteps,
        encoder_hidden_states=whole,
        **seen,
        return_dict=False,
    )[0]
    return velocities.float()


def loss(velocity: torch.Tensor, wanted: torch.Tensor, question: Question) -> torch.Tensor:
    """Mean squared error over the latent frames that count."""
    return flow.flow_loss(velocity[:, question.first :], wanted.to(velocity.device)[:, question.first :])


def condition_of(dataset: CachedDataset, sample: CachedSample) -> torch.Tensor | None:
    """The cached condition where the family's task wants one."""
    return dataset.condition(sample) if dataset.family.task == "i2v" else None


def image_of(dataset: CachedDataset, sample: CachedSample) -> torch.Tensor | None:
    """The cached image embedding where the family's transformer takes one."""
    return dataset.image(sample) if dataset.family.clip_embeds else None


def shows_first_frame(share: float, number: int, sample: CachedSample) -> bool:
    """Whether draw `number` is given a clean first frame: evenly spread, and never a still, which is nothing else."""
    return sample.frames > 1 and picked(share, number)


def picked(share: float, number: int) -> bool:
    """Every 1/share-th number, evenly spread: of the first n numbers, floor(n · share) are picked."""
    return int((number + 1) * share + 1e-9) > int(number * share + 1e-9)


def refuse_unusable(samples: Sequence[CachedSample], family: Family, first_frame: float) -> None:
    """UsageError when samples cannot teach the task: to go on from its first frame, a still has nothing to go on to."""
    stills = [sample for sample in samples if sample.frames == 1]
    if stills and (family.task == "i2v" or first_frame == 1):
        views = ", ".join(sorted({sample.view for sample in stills}))
        raise UsageError(
            f"{len(stills)} samples have one frame (views: {views}): image to video gives that frame away and has "
            f"nothing left to learn. Leave these views out of the dataset's pipeline and run wanprep again"
            + (", or set first_frame below 1" if family.task == "ti2v" else "")
        )
