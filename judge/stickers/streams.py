"""Endless training data: dense batches for the encoder, packed batches for the whole model.

Every example depends on (seed, worker, position) alone; a resumed run continues with a fresh seed. Batches are made
in worker processes; each worker makes whole batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from judge.prompts.debate import Subject, debate_prompt, frame_labels
from judge.prompts.render import (
    clip_prompt,
    conclusion_prompt,
    describe_prompt,
    policy_prompt,
    precondition_prompt,
    reasoning_prompt,
    rule_prompt,
)
from judge.stickers.augment import augment, augment_alike
from judge.stickers.clips import CLIP_FRAMES, draw_clip
from judge.stickers.corpus import Asked, Asker, Question, clip_question, describe_question, description, scope_questions
from judge.stickers.dense import DenseLabels, dense_labels, no_labels
from judge.stickers.distractors import draw_distractor
from judge.stickers.network import ASSISTANT, END, PICTURE_TEXT, USER, Packed
from judge.stickers.render import render
from judge.stickers.sampling import draw_crowd, draw_scene
from judge.stickers.scene import Scene

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Batch = TypeVar("Batch")
Number = TypeVar("Number", int, float)
Task = Literal["precondition", "rule", "policy", "describe", "reason", "debate", "clip"]
PictureTask = Literal["precondition", "rule", "policy", "describe", "reason", "debate"]
_TASKS: tuple[tuple[Task, float], ...] = (
    ("precondition", 0.30), ("rule", 0.03), ("policy", 0.02), ("describe", 0.03), ("reason", 0.14), ("debate", 0.34),
    ("clip", 0.14),
)  # fmt: skip
"""Share of the batches."""
REASONINGS = 4
DEBATES = 3
"""Questions a picture in the tasks `reason` and `debate`, which are long."""
_WORDS_WEIGHT = 0.35
"""Of a token in a text, where an answer in one token counts 1: texts are long, and their words easy."""
_TOKENIZER_TASKS: tuple[Asked, ...] = ("precondition", "precondition", "precondition", "rule", "policy", "reason")
_MARK = "\u0001"
TEXT_ONLY_SHARE = 0.08
DISTRACTOR_SHARE = 0.08
CROWD_SHARE = 0.8
"""Of the encoder's pictures."""


@dataclass(frozen=True, slots=True)
class DenseBatch:
    """`pixels (batch, 144, 144, 3) uint8` and the labels of `DenseLabels`, stacked."""

    pixels: torch.Tensor
    shares: torch.Tensor
    contacts: torch.Tensor
    covered: torch.Tensor


def _repainted(scene: Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The scene on another background, with training's colour changes."""
    background = scene.background.model_copy(update={"seed": int(rng.integers(2**31))})
    return np.ascontiguousarray(augment(render(scene.model_copy(update={"background": background})), rng))


def _stack_dense(pixels: list[NDArray[np.uint8]], labels: list[DenseLabels]) -> DenseBatch:
    return DenseBatch(
        torch.from_numpy(np.stack(pixels)),
        torch.from_numpy(np.stack([x.shares for x in labels])),
        torch.from_numpy(np.stack([x.contacts for x in labels])),
        torch.from_numpy(np.stack([x.covered for x in labels])),
    )


def worker_generator(seed: int) -> np.random.Generator:
    """Of this worker process, which from now on computes in one thread."""
    worker = get_worker_info()
    torch.set_num_threads(1)
    return np.random.default_rng([seed, worker.id if worker else 0])


class DenseStream(IterableDataset[DenseBatch]):
    """Encoder batches; each scene is painted twice."""

    def __init__(self, seed: int, batch_size: int) -> None:
        self._seed, self._batch_size = seed, batch_size

    def __iter__(self) -> Iterator[DenseBatch]:
        rng = worker_generator(self._seed)
        while True:
            pixels: list[NDArray[np.uint8]] = []
            labels: list[DenseLabels] = []
            while len(pixels) < self._batch_size:
                draw = rng.random()
                if draw < DISTRACTOR_SHARE / 2:
                    pixels.append(draw_distractor(rng))
                    labels.append(no_labels())
                    continue
                scene = draw_crowd(rng) if draw < CROWD_SHARE else draw_scene(rng)
                pixels += [_repainted(scene, rng), _repainted(scene, rng)]
                labels += [dense_labels(scene)] * 2
            yield _stack_dense(pixels[: self._batch_size], labels[: self._batch_size])


class PackedStream(IterableDataset[tuple[Packed, DenseBatch | None]]):
    """Batches of pictures with packed questions; text-only batches carry no picture."""

    def __init__(self, seed: int, batch_size: int, questions: int, tokenizer: PreTrainedTokenizerFast) -> None:
        self._seed, self._batch_size, self._questions = seed, batch_size, questions
        self._packer = Packer(tokenizer)

    def __iter__(self) -> Iterator[tuple[Packed, DenseBatch | None]]:
        rng = worker_generator(self._seed)
        while True:
            yield self._batch(rng)

    def _batch(self, rng: np.random.Generator) -> tuple[Packed, DenseBatch | None]:
        task = _TASKS[rng.choice(len(_TASKS), p=[share for _, share in _TASKS])][0]
        if task == "clip":
            return self._clips(rng)
        text_only = task not in {"describe", "reason", "debate"} and rng.random() < TEXT_ONLY_SHARE
        rows: list[list[Question]] = []
        pixels: list[NDArray[np.uint8]] = []
        labels: list[DenseLabels] = []
        for _ in range(self._batch_size):
            scene = None if not text_only and rng.random() < DISTRACTOR_SHARE else draw_scene(rng)
            rows.append(self._ask(scene, task, rng))
            if not text_only:
                pixels.append(draw_distractor(rng) if scene is None else _repainted(scene, rng))
                labels.append(no_labels() if scene is None else dense_labels(scene))
        packed = self._packer.pack(rows, task, pictures=0 if text_only else 1)
        if text_only:
            return packed, None
        dense = _stack_dense(pixels, labels)
        return replace(packed, pixels=dense.pixels), dense

    def _clips(self, rng: np.random.Generator) -> tuple[Packed, DenseBatch]:
        """As many pictures as in the other tasks, several to a row."""
        count = int(rng.integers(CLIP_FRAMES[0], CLIP_FRAMES[1] + 1))
        rows: list[list[Question]] = []
        pixels: list[NDArray[np.uint8]] = []
        labels: list[DenseLabels] = []
        for _ in range(max(1, self._batch_size // count)):
            clip = draw_clip(draw_scene(rng), rng)
            chosen = sorted(rng.choice(len(clip.frames), size=count, replace=False))
            frames = [clip.frames[number] for number in chosen]
            rows.append([clip_question(frames, rng) for _ in range(self._questions)])
            pixels += [np.ascontiguousarray(each) for each in augment_alike([render(f) for f in frames], rng)]
            labels += [dense_labels(frame) for frame in frames]
        dense = _stack_dense(pixels, labels)
        return replace(self._packer.pack(rows, "clip", pictures=count), pixels=dense.pixels), dense

    def _ask(self, scene: Scene | None, task: PictureTask, rng: np.random.Generator) -> list[Question]:
        if task == "describe":
            said = "This is not a picture made of stickers." if scene is None else description(scene)
            return [Question(describe_question(), said, "describe")]
        if scene is None:
            return scope_questions(DEBATES if task == "debate" else 4, rng, task)
        asker = Asker(scene, rng)
        count = {
            "precondition": self._questions,
            "rule": self._questions // 2,
            "policy": 2,
            "reason": min(REASONINGS, self._questions),
            "debate": min(DEBATES, self._questions),
        }[task]
        return [asker.question(task) for _ in range(count)]


class Packer:
    """Turns questions about pictures into packed token rows."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._pad = int(tokenizer.pad_token_id)

    @cached_property
    def _heads(self) -> dict[Task, str]:
        """The constant text of each task, up to where its questions differ."""
        return {
            "precondition": precondition_prompt(_MARK).messages[0].text.split(_MARK)[0],
            "rule": rule_prompt(_MARK).messages[0].text.split(_MARK)[0],
            "policy": policy_prompt([_MARK]).messages[0].text.split(_MARK)[0],
            "describe": describe_prompt(()).messages[0].text,
            "reason": reasoning_prompt(_MARK, ()).messages[0].text.split(_MARK)[0],
            "debate": debate_prompt(Subject("precondition", (_MARK,)), "judge", (), ())
            .messages[0]
            .text.split(_MARK)[0],
            "clip": clip_prompt(_MARK).messages[0].text.split(_MARK)[0],
        }

    @cached_property
    def _conclude(self) -> list[int]:
        """The turn between a rationale and its answer."""
        return self._encode(USER + conclusion_prompt("", "", ()).messages[-1].text + END + ASSISTANT)

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def pack(self, rows: list[list[Question]], task: Task, *, pictures: int) -> Packed:
        """One row per picture or clip: the shared prefix, then each question with its answer in a group of its own."""
        head = self._heads[task].rstrip(" ")
        shown = _clip_text(pictures) if task == "clip" else PICTURE_TEXT * pictures
        prefix = self._encode(USER + shown + head)
        packed = [self._row(prefix, head, row) for row in rows]
        length = max(len(row.ids) for row in packed)
        return Packed(
            None,
            torch.tensor([_filled(row.ids, length, self._pad) for row in packed]),
            torch.tensor([_filled(row.positions, length, 0) for row in packed]),
            torch.tensor([_filled(row.groups, length, -1) for row in packed]),
            torch.tensor([_filled(row.targets, length, -100) for row in packed]),
            torch.tensor([_filled(row.weights, length, 0.0) for row in packed]),
        )

    def _row(self, prefix: list[int], head: str, row: list[Question]) -> _Row:
        size = len(prefix)
        packed = _Row(list(prefix), list(range(size)), [0] * size, [-100] * size, [0.0] * size)
        for number, question in enumerate(row, start=1):
            turns = self._turns(question, head)
            tail = [token for part, _ in turns for token in part]
            weights = [weight for part, weight in turns for _ in part]
            count = len(tail) - 1
            packed.ids += tail[:-1]
            packed.positions += range(size, size + count)
            packed.groups += [number] * count
            packed.targets += [token if weight else -100 for token, weight in zip(tail[1:], weights[1:], strict=True)]
            packed.weights += weights[1:]
        return packed

    def _turns(self, question: Question, head: str) -> list[tuple[list[int], float]]:
        """What follows the prefix, piece by piece, and how much it counts that the model says it; 0 = it does not."""
        asked = self._encode(question.text[len(head) :] + END + ASSISTANT)
        said = self._encode(question.answer + END)
        if question.kind == "describe":
            return [(asked, 0.0), (said, _WORDS_WEIGHT)]
        if question.said:
            first = 1.0 if question.answer.startswith(("Yes", "No,", "No.")) else _WORDS_WEIGHT
            return [(asked, 0.0), (said[:1], first), (said[1:], _WORDS_WEIGHT)]
        if not question.rationale:
            return [(asked, 0.0), (said[:1], 1.0)]
        thought = self._encode(question.rationale + END)
        learned = _WORDS_WEIGHT if question.learned else 0.0
        return [(asked, 0.0), (thought, learned), (self._conclude, 0.0), (said[:1], 1.0)]


@dataclass(slots=True)
class _Row:
    """Columns of one packed row, token by token."""

    ids: list[int]
    positions: list[int]
    groups: list[int]
    targets: list[int]
    weights: list[float]


def _filled(values: list[Number], length: int, fill: Number) -> list[Number]:
    return values + [fill] * (length - len(values))


def _clip_text(frames: int) -> str:
    """The frames of a clip as the engine's chat template writes them."""
    return "".join(f"{label}{PICTURE_TEXT}" for label in frame_labels(frames))


def loader(stream: IterableDataset[Batch], workers: int) -> DataLoader[Batch]:
    """Batches made ahead in worker processes (in this process if `workers` is 0)."""
    return DataLoader(stream, batch_size=None, num_workers=workers, prefetch_factor=3 if workers else None)


def tokenizer_texts(seed: int, scenes: int = 3000) -> Iterator[str]:
    """Sentences to train the tokenizer on: every task's questions and answers."""
    rng = np.random.default_rng(seed)
    for _ in range(scenes):
        scene = draw_scene(rng)
        asker = Asker(scene, rng)
        for task in _TOKENIZER_TASKS:
            question = asker.question(task)
            yield question.text
            yield question.rationale
            yield question.answer
        yield describe_question()
        yield description(scene)
