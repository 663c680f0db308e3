"""The training recipe of the embedded model: first the encoder on dense labels, then everything on questions.

Runs on a CPU or a GPU from one command, writes checkpoints, and resumes from the last one. Source of the recipe and
its figures: docs/log.md and the model card.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from judge.errors import ConfigError
from judge.stickers.allocator import keep_freed_memory
from judge.stickers.dense import BACKGROUND, CELLS, LABELS, label_words
from judge.stickers.muon import Muon
from judge.stickers.network import (
    VISION_WIDTH,
    VOCABULARY,
    Packed,
    Seen,
    build_model,
    packed_forward,
    save_model,
    see,
    train_tokenizer,
)
from judge.stickers.precision import fastest_dtype
from judge.stickers.streams import DenseBatch, DenseStream, PackedStream, loader, tokenizer_texts

if TYPE_CHECKING:
    from transformers import Idefics3ForConditionalGeneration, PreTrainedTokenizerFast

Stage = Literal["encoder", "language"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that the weights depend on, beside the code.

    A GPU wants larger batches and more steps; the shape of the schedule stays.
    """

    encoder_steps: int = 4600
    language_steps: int = 1060
    encoder_batch: int = 64
    language_batch: int = 32
    questions: int = 16
    encoder_rate: float = 6e-3
    language_rate: float = 4e-3
    final_rate_share: float = 0.02
    warmup_steps: int = 100
    dense_weight: float = 0.5
    contact_weight: float = 0.15
    word_weight: float = 0.5
    seed: int = 7


def _tokenizer(folder: Path, seed: int, start: Path | None) -> PreTrainedTokenizerFast:
    """The run's own tokenizer: made once, then kept beside the checkpoint, whose token numbers depend on it."""
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    kept = folder / "tokenizer"
    if not (kept / "tokenizer.json").exists():
        source = PreTrainedTokenizerFast.from_pretrained(start) if start else train_tokenizer(tokenizer_texts(seed))
        source.save_pretrained(kept)
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(kept)
    return tokenizer


class Trainer:
    """Model, optimiser and position, in one checkpoint file.

    Args:
        folder: Where `checkpoint.pt` lies; training continues from it if it is there.
        start: A released model to begin with (weights and tokenizer) where there is no checkpoint yet.
        start_stage: The stage to begin with, `encoder` or `language`.
        report: Called with one line of progress now and then.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        *,
        device: str = "cpu",
        workers: int = 2,
        start: Path | None = None,
        start_stage: Stage = "encoder",
        report: Callable[[str], None] = print,
    ) -> None:
        from transformers import Idefics3ForConditionalGeneration  # noqa: PLC0415

        keep_freed_memory()
        torch.manual_seed(recipe.seed)
        folder.mkdir(parents=True, exist_ok=True)
        self.recipe, self._folder, self._workers, self._report = recipe, folder, workers, report
        self._device = torch.device(device)
        self.tokenizer = _tokenizer(folder, recipe.seed, start)
        self.model: Idefics3ForConditionalGeneration = build_model(self.tokenizer)
        self.model.set_attn_implementation("eager" if device == "cpu" else "sdpa")
        self.head = _dense_head()
        self._words = _word_targets(self.tokenizer).to(self._device)
        self._dtype = fastest_dtype(self._device)
        self.model.to(device=self._device)  # type: ignore[call-arg]
        self.head.to(self._device)
        self.stage: Stage = start_stage
        self.step = 0
        if start is not None:
            released = Idefics3ForConditionalGeneration.from_pretrained(start, dtype=torch.float32)
            self.model.load_state_dict(released.state_dict())
        self._optimizers = self._new_optimizers()
        self._resume()

    def run(self) -> None:
        """Both stages, from wherever the checkpoint stands."""
        if self.stage == "encoder":
            self._loop(self.recipe.encoder_steps, self.recipe.encoder_rate, self._encoder_batches())
            self.start_language()
        self._loop(self.recipe.language_steps, self.recipe.language_rate, self._language_batches())

    def start_language(self) -> None:
        """Ends the encoder stage."""
        self.stage, self.step = "language", 0
        self._optimizers = self._new_optimizers()
        self.save()

    def release(self, folder: Path) -> None:
        """Writes the model as `from_pretrained` reads it."""
        self.model.to(device="cpu")  # type: ignore[call-arg]
        save_model(self.model, self.tokenizer, folder)

    def save(self) -> None:
        """Writes the checkpoint, all or nothing."""
        state = {
            "stage": self.stage,
            "step": self.step,
            "recipe": asdict(self.recipe),
            "model": self.model.state_dict(),
            "head": self.head.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
        }
        draft = self._folder / "checkpoint.pt.part"
        torch.save(state, draft)
        os.replace(draft, self._folder / "checkpoint.pt")

    def _resume(self) -> None:
        path = self._folder / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self._device, weights_only=True)
        if state["recipe"]["seed"] != self.recipe.seed:
            raise ConfigError(f"'{path}' was made with another seed", hint="use another folder, or the same recipe")
        self.stage, self.step = state["stage"], state["step"]
        self.model.load_state_dict(state["model"])
        self.head.load_state_dict(state["head"])
        self._optimizers = self._new_optimizers()
        for optimizer, kept in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self._report(f"resumed in stage '{self.stage}' at step {self.step}")

    def _new_optimizers(self) -> tuple[torch.optim.Optimizer, ...]:
        """Muon for the matrices inside the layers, AdamW for the rest."""
        inner = self.model.model
        share = 1.0 if self.stage == "encoder" else 0.3
        parts: list[tuple[nn.Module, float]] = [(inner.vision_model, share), (inner.connector, 1.0)]
        if self.stage == "language":
            parts.append((inner.text_model, 1.0))
        matrices, others = [], []
        for module, part_share in parts:
            inside = [p for name, p in module.named_parameters() if p.ndim == 2 and "embed" not in name]
            known = {id(p) for p in inside}
            matrices.append({"params": inside, "share": part_share})
            rest = [p for p in module.parameters() if id(p) not in known]
            others.append({"params": rest, "share": 0.3 * part_share})
        others = [group for group in others if group["params"]]
        others.append({"params": list(self.head.parameters()), "share": 0.3})
        if self.stage == "encoder":
            others.append({"params": [self.model.model.text_model.get_input_embeddings().weight], "share": 0.3})
        return (
            Muon(matrices, weight_decay=0.02),
            torch.optim.AdamW(others, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.02, fused=True),
        )

    def _rate(self, steps: int, peak: float) -> float:
        warm = min(1.0, (self.step + 1) / self.recipe.warmup_steps)
        low = self.recipe.final_rate_share
        return peak * warm * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(1.0, self.step / steps))))

    def _loop(self, steps: int, peak: float, batches: Iterator[Callable[[], tuple[torch.Tensor, float]]]) -> None:
        started, recent = time.monotonic(), []
        first = self.step
        self.model.train()
        while self.step < steps:
            groups = [group for optimizer in self._optimizers for group in optimizer.param_groups]
            for group in groups:
                group["lr"] = self._rate(steps, peak) * group["share"]
            with torch.autocast(self._device.type, self._dtype, enabled=self._dtype is torch.bfloat16):
                loss, accuracy = next(batches)()
            self.model.zero_grad()
            self.head.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], 1.0)
            for optimizer in self._optimizers:
                optimizer.step()
            self.step += 1
            recent.append((loss.item(), accuracy))
            if self.step % 50 == 0:
                mean = np.nanmean(np.array(recent[-50:]), axis=0)
                pace = (time.monotonic() - started) / (self.step - first)
                self._report(
                    f"{self.stage} {self.step}/{steps}: loss {mean[0]:.4f}, accuracy {mean[1]:.4f}, "
                    f"{pace:.2f} s a step, {pace * (steps - self.step) / 60:.0f} min left"
                )
            if self.step % 200 == 0:
                self.save()
        self.save()

    def _encoder_batches(self) -> Iterator[Callable[[], tuple[torch.Tensor, float]]]:
        stream = DenseStream(self.recipe.seed + self.step, self.recipe.encoder_batch)
        for batch in loader(stream, self._workers):
            yield partial(self._encoder_loss, batch)

    def _language_batches(self) -> Iterator[Callable[[], tuple[torch.Tensor, float]]]:
        seed = 1_000_003 + self.recipe.seed + self.step
        stream = PackedStream(seed, self.recipe.language_batch, self.recipe.questions, self.tokenizer)
        for packed, dense in loader(stream, self._workers):
            yield partial(self._language_loss, packed, dense)

    def _encoder_loss(self, batch: DenseBatch) -> tuple[torch.Tensor, float]:
        return self._dense_loss(see(self.model, batch.pixels.to(self._device)), batch)

    def _dense_loss(self, seen: Seen, batch: DenseBatch) -> tuple[torch.Tensor, float]:
        """What is in each cell, what it touches and is close to, and the words for it in each visual token."""
        out = self.head(seen.features).float()
        shares, covered = batch.shares.to(self._device), batch.covered.to(self._device)
        classes, contacts = out[..., : BACKGROUND + 1], out[..., BACKGROUND + 1 :]
        # Background cells are many and easy: they count a fifth.
        weight = 1 - 0.8 * shares[..., BACKGROUND]
        found = (
            functional.cross_entropy(classes.transpose(1, 2), shares.transpose(1, 2), reduction="none") * weight
        ).sum()
        found = found / weight.sum()
        told = functional.binary_cross_entropy_with_logits(contacts, batch.contacts.to(self._device), reduction="none")
        told = (told.sum(-1) * covered).sum() / covered.sum().clamp(min=1)
        named = self._word_loss(seen.visual, shares)
        sure = covered & (shares[..., :BACKGROUND].amax(-1) > 0.5)
        right = ((classes.argmax(-1) == shares.argmax(-1)) & sure).sum().item() / max(1, int(sure.sum()))
        return found + self.recipe.contact_weight * told + self.recipe.word_weight * named, right

    def _word_loss(self, visual: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of each visual token, read as a word, against the words for what its four cells show."""
        text = self.model.model.text_model
        batch, side = shares.shape[0], CELLS // 2
        grid = shares[..., :BACKGROUND].reshape(batch, side, 2, side, 2, BACKGROUND).mean((2, 4)).flatten(1, 2)
        amount = grid.sum(-1)
        logits = self.model.lm_head(text.norm(visual)).float()
        wanted = (grid / amount[..., None].clamp(min=1e-6)) @ self._words
        losses = functional.cross_entropy(logits.transpose(1, 2), wanted.transpose(1, 2), reduction="none")
        return (losses * amount).sum() / amount.sum().clamp(min=1e-6)

    def _language_loss(self, packed: Packed, dense: DenseBatch | None) -> tuple[torch.Tensor, float]:
        fields = (packed.pixels, packed.ids, packed.positions, packed.groups, packed.targets, packed.weights)
        moved = Packed(*(None if f is None else f.to(self._device) for f in fields))  # type: ignore[arg-type]
        logits, targets, weights, seen = packed_forward(self.model, moved)
        losses = functional.cross_entropy(logits.float(), targets, reduction="none")
        loss = (losses * weights).sum() / weights.sum()
        right = float("nan") if dense is None else (logits.argmax(-1) == targets).float().mean().item()
        if dense is not None and seen is not None:
            loss = loss + self.recipe.dense_weight * self._dense_loss(seen, dense)[0]
        return loss, right


def _dense_head() -> nn.Linear:
    """Reads patch features: one of the labels or background, then what is touched, then what is close."""
    head = nn.Linear(VISION_WIDTH, 3 * len(LABELS) + 1)
    with torch.no_grad():
        head.bias[BACKGROUND + 1 :] = -4.0  # contacts are rare
    return head


def _word_targets(tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """`(n_labels, vocabulary)`: the tokens of each label's names, evenly; rows sum to one."""
    table = torch.zeros(len(LABELS), VOCABULARY)
    for number in range(len(LABELS)):
        for word in label_words(number):
            ids = tokenizer(" " + word, add_special_tokens=False)["input_ids"]
            table[number, ids] += 1 / len(ids)
    return table / table.sum(1, keepdim=True)
