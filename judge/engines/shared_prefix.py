"""Scores many prompts about few images: each image and the words before the questions run through the model once.

Prefixes of equal tokens run as one batch, and leave their keys and values in a cache. Behind it the questions run in
one of two ways, `packed` (all questions of an image in one row, see `packing`: nothing is copied, nothing padded) or
`expanded` (one row per question, right-padded, against copies of the cache: for models that take no mask of ours).
Both are exact under causal attention. Whether they are for the model at hand is found by the engine's start-up probe.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal

import torch
from torch import Tensor

from judge.engines.encoding import FrameGroup
from judge.engines.masks import packed_masks
from judge.engines.memory import PassBudget
from judge.engines.model_interface import Cache, Model, Output
from judge.engines.packing import Packing, pack

Read = Callable[[Tensor], Tensor]
"""Reduces next-token logits `(rows, vocabulary)` to `(rows, k)`, so that no full logits are kept."""
Way = Literal["packed", "expanded"]
"""How questions share the prefix."""


@dataclass(frozen=True, slots=True)
class _Tail:
    group: int
    prompt: int
    ids: tuple[int, ...]


def score_groups(
    model: Model, groups: Sequence[FrameGroup], read: Read, *, budget: PassBudget, way: Way
) -> list[list[list[float]]]:
    """What `read` makes of the next-token logits of each prompt of each group."""
    scores: dict[int, list[list[float]]] = {}
    for members in _cohorts(model, groups, way):
        size = budget.images(len(groups[members[0]].head), groups[members[0]].n_pixels)
        for start in range(0, len(members), size):
            batch = members[start : start + size]
            found = _score_batch(model, [groups[index] for index in batch], read, budget=budget, way=way)
            scores.update(zip(batch, found, strict=True))
    return [scores[index] for index in range(len(groups))]


def score_one(model: Model, inputs: Mapping[str, Tensor], read: Read) -> list[float]:
    """The plain way: one full forward pass of one prompt."""
    forget_positions(model)
    last = torch.tensor([inputs["input_ids"].shape[1] - 1])
    return _values(forward_at(model, to_device(model, inputs), last, use_cache=False), read)[0]


def to_device(model: Model, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Move inputs to the model; pixels also take its precision."""
    return {
        key: tensor.to(model.device, model.dtype) if tensor.is_floating_point() else tensor.to(model.device)
        for key, tensor in inputs.items()
    }


@contextmanager
def frames_encoded_once(model: Model) -> Iterator[None]:
    """Within the block every forward pass is about the same frames: the first one's image features serve all."""
    owner: Any = model.base_model
    original = getattr(owner, "get_image_features", None)
    if original is None:
        yield
        return
    features: list[object] = []

    def remembered(*args: object, **kwargs: object) -> object:
        if not features:
            features.append(original(*args, **kwargs))
        return features[0]

    owner.get_image_features = remembered
    try:
        yield
    finally:
        del owner.get_image_features


def _cohorts(model: Model, groups: Sequence[FrameGroup], way: Way) -> list[list[int]]:
    """Groups whose prefixes can run as one batch: the same tokens, image tensors of the same shape.

    Models with M-RoPE keep the position offset of the last image on the module: one image at a time, unless the
    positions are ours.
    """
    alone = way != "packed" and _has_rope_deltas(model)
    cohorts: dict[object, list[int]] = {}
    for index, group in enumerate(groups):
        shapes = tuple((key, tuple(value.shape[1:])) for key, value in sorted(group.images.items()))
        cohorts.setdefault((group.head, shapes, index if alone else -1), []).append(index)
    return list(cohorts.values())


def _score_batch(
    model: Model, groups: Sequence[FrameGroup], read: Read, *, budget: PassBudget, way: Way
) -> list[list[list[float]]]:
    distinct = {tail for group in groups for tail in group.tails}
    if len(distinct) == 1:  # one question about many images: nothing to share behind the images
        output = _run_prefix(model, groups, len(groups[0].tails[0]), use_cache=False)
        return [[values] * len(group.tails) for group, values in zip(groups, _values(output, read), strict=True)]
    common = _common_length(distinct)
    cache = cached_prefix(model, groups, common)
    tails = [
        _Tail(index, prompt, tail[common:])
        for index, group in enumerate(groups)
        for prompt, tail in enumerate(group.tails)
    ]
    run = _packed_chunks if way == "packed" else _expanded_chunks
    scores: list[list[list[float]]] = [[[] for _ in group.tails] for group in groups]
    for chunk, logits in run(model, cache, tails, budget):
        for tail, values in zip(chunk, read(logits).tolist(), strict=True):
            scores[tail.group][tail.prompt] = values
    return scores


def _packed_chunks(
    model: Model, cache: Cache | None, tails: Sequence[_Tail], budget: PassBudget
) -> Iterator[tuple[Sequence[_Tail], Tensor]]:
    """One row per image, as many questions in it as the budget allows."""
    rows: dict[int, list[_Tail]] = {}
    for tail in tails:
        rows.setdefault(tail.group, []).append(tail)
    n_prefix = cache.get_seq_length() if cache is not None else 0
    longest = max(len(tail.ids) for tail in tails)
    n_packed = budget.questions(longest, n_prefix, len(rows))
    starts = _next_positions(model, n_prefix, len(rows))
    for first in range(0, max(len(row) for row in rows.values()), n_packed):
        chunk = [row[first : first + n_packed] for row in rows.values()]
        packing = pack([[tail.ids for tail in row] for row in chunk])
        yield [tail for row in chunk for tail in row], _run_packed(model, cache, packing, starts)


def _run_packed(model: Model, cache: Cache | None, packing: Packing, starts: Tensor) -> Tensor:
    """Logits behind each question's last token, `(questions, vocabulary)`, row by row."""
    positions = packing.offsets + starts[:, None]
    inputs: dict[str, object] = {
        "input_ids": packing.ids.to(model.device),
        "attention_mask": packed_masks(model, packing, cache),
        # M-RoPE has an axis for time, height and width; for text all three are equal.
        "position_ids": (positions.expand(3, *positions.shape) if _has_rope_deltas(model) else positions).to(
            model.device
        ),
    }
    if cache is not None:
        inputs["past_key_values"] = own_cache(cache)
    kept, columns = torch.unique(packing.last[:, 1], return_inverse=True)
    logits = forward_at(model, inputs, kept, use_cache=cache is not None).logits
    return logits[packing.last[:, 0].to(logits.device), columns.to(logits.device)]


def _has_rope_deltas(model: Model) -> bool:
    return hasattr(model.base_model, "rope_deltas")


def _next_positions(model: Model, n_prefix: int, n_rows: int) -> Tensor:
    """`(rows,)`: the position behind the prefix; with M-RoPE an image takes fewer positions than tokens."""
    starts = torch.full((n_rows,), n_prefix)
    base: Any = model.base_model
    deltas = getattr(base, "rope_deltas", None) if n_prefix else None
    return starts if deltas is None else starts + deltas.reshape(-1).cpu().to(starts.dtype)


def _expanded_chunks(
    model: Model, cache: Cache | None, tails: Sequence[_Tail], budget: PassBudget
) -> Iterator[tuple[Sequence[_Tail], Tensor]]:
    """One row per question."""
    ordered = sorted(tails, key=lambda tail: len(tail.ids))  # little padding
    n_prefix = cache.get_seq_length() if cache is not None else 0
    size = budget.rows(len(ordered[-1].ids), n_prefix)
    start_at = _next_positions(model, n_prefix, 1) if _has_rope_deltas(model) else None
    for start in range(0, len(ordered), size):
        chunk = ordered[start : start + size]
        yield chunk, _run_tails(model, cache, chunk, start_at)


def _common_length(tails: Collection[tuple[int, ...]]) -> int:
    """Length of the longest common beginning that leaves every tail a token of its own."""
    shortest = min(len(tail) for tail in tails)
    same = takewhile(lambda tokens: len(set(tokens)) == 1, zip(*tails, strict=False))
    return min(sum(1 for _ in same), shortest - 1)


def cached_prefix(model: Model, groups: Sequence[FrameGroup], common: int) -> Cache | None:
    """The cache behind the prefixes; None where there is no prefix."""
    if not groups[0].head and not common:
        return None
    return _run_prefix(model, groups, common, use_cache=True).past_key_values


def _run_prefix(model: Model, groups: Sequence[FrameGroup], n_tail: int, *, use_cache: bool) -> Output:
    """Heads with their images and the first tokens of the tails, which are the same for all groups."""
    prefix = groups[0].head + groups[0].tails[0][:n_tail]
    forget_positions(model)
    ids = torch.tensor([prefix] * len(groups))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    for key in groups[0].token_types:
        inputs[key] = torch.cat([group.token_types[key][:, : len(prefix)] for group in groups])
    for key in groups[0].images:
        inputs[key] = torch.cat([group.images[key] for group in groups])
    last = torch.tensor([len(prefix) - 1])
    return forward_at(model, to_device(model, inputs), last, use_cache=use_cache)


def _run_tails(model: Model, cache: Cache | None, tails: Sequence[_Tail], start_at: Tensor | None) -> Tensor:
    """Logits behind each tail's last token, `(tails, vocabulary)`.

    Positions begin at `start_at`; None leaves them to the model, which M-RoPE models get wrong behind a cache.
    """
    width = len(tails[-1].ids)
    # A tail's own last token pads it: always a valid id, and never an image token.
    ids = torch.tensor([tail.ids + tail.ids[-1:] * (width - len(tail.ids)) for tail in tails])
    lengths = torch.tensor([len(tail.ids) for tail in tails])
    mask = (torch.arange(width) < lengths[:, None]).long()
    inputs: dict[str, object] = {}
    if cache is None:
        forget_positions(model)
    else:
        inputs["past_key_values"], n_prefix = _rows(cache, [tail.group for tail in tails], model.device)
        mask = torch.cat([torch.ones(len(tails), n_prefix, dtype=mask.dtype), mask], dim=1)
    if start_at is not None:
        inputs["position_ids"] = (torch.arange(width) + start_at).expand(3, len(tails), width).to(model.device)
    kept, column = torch.unique(lengths - 1, return_inverse=True)
    inputs |= to_device(model, {"input_ids": ids, "attention_mask": mask})
    logits = forward_at(model, inputs, kept, use_cache=cache is not None).logits
    return logits[torch.arange(len(tails), device=logits.device), column.to(logits.device)]


def forward_at(model: Model, inputs: Mapping[str, object], positions: Tensor, *, use_cache: bool) -> Output:
    """With logits at these positions only: over the whole prefix they would be the largest tensor of all."""
    positions = positions.to(model.device)
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        return model(**inputs, use_cache=use_cache, logits_to_keep=positions)
    output = model(**inputs, use_cache=use_cache)
    output.logits = output.logits[:, positions]
    return output


def _values(output: Output, read: Read) -> list[list[float]]:
    """Of a forward pass that kept the last position only."""
    values: list[list[float]] = read(output.logits[:, -1]).tolist()
    return values


def _rows(cache: Cache, rows: Sequence[int], device: torch.device) -> tuple[Cache, int]:
    """A cache of its own for these rows of the prefix, and the prefix length: a forward pass extends what it gets."""
    own = own_cache(cache)
    own.reorder_cache(torch.tensor(rows, device=device))
    return own, cache.get_seq_length()


def own_cache(cache: Cache) -> Cache:
    """The same tensors in a cache of its own: extending it replaces them and leaves the original alone."""
    own = copy.copy(cache)
    own.layers = [_detached(layer) for layer in cache.layers]
    return own


def _detached(layer: object) -> object:
    """A layer with its own lists and dicts; its tensors are replaced, never written to."""
    own = copy.copy(layer)
    for name, value in vars(layer).items():
        if isinstance(value, (dict, list)):
            setattr(own, name, copy.copy(value))
    return own


def forget_positions(model: Model) -> None:
    """M-RoPE models would place a text-only prompt behind the image of the call before."""
    if _has_rope_deltas(model):
        base: Any = model.base_model
        base.rope_deltas = None
