"""The training recipe of the dual encoder: pictures are read by frozen lower layers once, the rest learns from pairs.

Every picture of a batch meets every statement of it, and each pair is a yes or no of its own. Runs on one core, keeps
what it gathered and its checkpoints, and resumes.
Source of the loss: SigLIP (arXiv 2303.15343), section 3.2, with truth instead of "belongs to this picture".
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch.nn import functional

from judge.errors import ConfigError
from judge.stickers.allocator import keep_freed_memory
from judge.stickers.dual_encoder_corpus import PictureStream, StatementDraw, statement_texts
from judge.stickers.dual_encoder_network import (
    TEXT_TOKENS,
    build_dual_encoder,
    save_dual_encoder,
    start_from_embedded,
    train_statement_tokenizer,
)
from judge.stickers.muon import Muon
from judge.stickers.precision import fastest_dtype
from judge.stickers.statements import Atom
from judge.stickers.streams import loader
from judge.stickers.truth_table import SceneTable, truths

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast, SiglipModel

_GATHERED = 64
"""Pictures of a part while gathering."""
_TABLE = ("counts", "first", "second", "relation", "is_scene")


@dataclass(frozen=True, slots=True)
class DualRecipe:
    """Everything that the weights depend on, beside the code and the embedded model."""

    pictures: int = 32_000
    steps: int = 1_000
    batch: int = 96
    statements: int = 168
    """Of a batch, beside those of the policy."""
    vision_layers: int = 4
    frozen_layers: int = 2
    rate: float = 4e-3
    vision_share: float = 0.5
    """Of the learning rate, for layers that come from the embedded model."""
    warmup_steps: int = 50
    final_rate_share: float = 0.02
    true_weight: float = 3.0
    """Of a pair that is true: most are not."""
    policy_weight: float = 2.0
    """Of a pair with a statement of the policy."""
    seed: int = 11


class DualTrainer:
    """Model, optimiser and position, in one checkpoint file beside the gathered pictures.

    Args:
        folder: Where everything lies; training continues from what is there.
        embedded: The folder of the embedded model, whose encoder the picture tower begins as.
        policy: Statements that every batch asks about.
        report: Called with one line of progress now and then.
    """

    def __init__(
        self,
        folder: Path,
        recipe: DualRecipe,
        *,
        embedded: Path,
        policy: Sequence[Atom],
        workers: int = 1,
        report: Callable[[str], None] = print,
    ) -> None:
        keep_freed_memory()
        torch.manual_seed(recipe.seed)
        folder.mkdir(parents=True, exist_ok=True)
        self.recipe, self._folder, self._workers, self._report = recipe, folder, workers, report
        self._policy = tuple(policy)
        self.tokenizer = _tokenizer(folder, recipe.seed)
        self.model: SiglipModel = build_dual_encoder(self.tokenizer, vision_layers=recipe.vision_layers)
        start_from_embedded(self.model, embedded)
        with torch.no_grad():
            self.model.logit_scale.fill_(math.log(10.0))
            self.model.logit_bias.fill_(-4.0)
        self.model.set_attn_implementation("eager")
        self._dtype = fastest_dtype(torch.device("cpu"))
        self._optimizers = self._new_optimizers()
        self.step = 0
        self._resume()

    def run(self) -> None:
        """Gathers pictures if there are none yet, then trains from wherever the checkpoint stands."""
        features, table = self._gathered()
        rng = np.random.default_rng([self.recipe.seed, self.step])
        draw = StatementDraw(self._policy, rng)
        self.model.train()
        started_s, losses = time.perf_counter(), list[float]()
        while self.step < self.recipe.steps:
            chosen = np.sort(rng.choice(len(table), size=min(self.recipe.batch, len(table)), replace=False))
            losses.append(self._learn(features[chosen], table.rows(chosen), draw))
            self.step += 1
            if self.step % 50 == 0 or self.step == self.recipe.steps:
                each_s = (time.perf_counter() - started_s) / len(losses)
                self._report(f"step {self.step}: loss {np.mean(losses[-50:]):.4f}, {each_s:.2f} s a step")
                self._save()

    def release(self, folder: Path) -> None:
        """Writes the model as `from_pretrained` reads it."""
        save_dual_encoder(self.model, self.tokenizer, folder)

    def _learn(self, features: NDArray[np.float16], table: SceneTable, draw: StatementDraw) -> float:
        said = draw.draw(table, self.recipe.statements)
        truth = truths([atom for atom, _ in said], table)
        holds = torch.from_numpy(truth.holds.T.astype(np.float32))
        weight = torch.from_numpy(truth.decided.T.astype(np.float32)) * (1 + (self.recipe.true_weight - 1) * holds)
        weight[:, : len(self._policy)] *= self.recipe.policy_weight
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._dtype is torch.bfloat16):
            pictures = upper_layers(self.model, torch.from_numpy(features).float(), self.recipe.frozen_layers)
            texts = self.model.text_model(input_ids=self._ids([text for _, text in said])).pooler_output
        cosines = functional.normalize(pictures.float(), dim=-1) @ functional.normalize(texts.float(), dim=-1).T
        logits = cosines * self.model.logit_scale.exp() + self.model.logit_bias
        losses = functional.binary_cross_entropy_with_logits(logits, holds, weight=weight, reduction="sum")
        loss = losses / weight.sum()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        rate = self._rate()
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["share"]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    def _ids(self, texts: list[str]) -> torch.Tensor:
        found = self.tokenizer(
            texts, padding="max_length", truncation=True, max_length=TEXT_TOKENS, return_tensors="pt"
        )["input_ids"]
        return cast("torch.Tensor", found)

    def _rate(self) -> float:
        warm = min(1.0, (self.step + 1) / self.recipe.warmup_steps)
        low = self.recipe.final_rate_share
        fallen = 0.5 * (1 + math.cos(math.pi * min(1.0, self.step / self.recipe.steps)))
        return self.recipe.rate * warm * (low + (1 - low) * fallen)

    def _new_optimizers(self) -> tuple[torch.optim.Optimizer, ...]:
        """Muon for the matrices inside the layers, AdamW for the rest; the frozen layers get none."""
        frozen = self.recipe.frozen_layers
        vision = self.model.vision_model
        vision.embeddings.requires_grad_(False)
        vision.encoder.layers[:frozen].requires_grad_(False)
        matrices: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = [{"params": [self.model.logit_scale, self.model.logit_bias], "share": 1.0}]
        for part, share in (
            (vision.encoder.layers[frozen:], self.recipe.vision_share),
            (vision.post_layernorm, self.recipe.vision_share),
            (vision.head, 1.0),
            (self.model.text_model, 1.0),
        ):
            named = [*part.named_parameters()]
            inside = [p for name, p in named if p.ndim == 2 and "embed" not in name]
            known = {id(p) for p in inside}
            matrices.append({"params": inside, "share": share})
            others.append({"params": [p for _, p in named if id(p) not in known], "share": 0.5 * share})
        return (
            Muon([group for group in matrices if group["params"]], weight_decay=0.02),
            torch.optim.AdamW([group for group in others if group["params"]], betas=(0.9, 0.98), weight_decay=0.0),
        )

    def _gathered(self) -> tuple[NDArray[np.float16], SceneTable]:
        """What the frozen layers make of the pictures, `(n, 64, 192)`, and what is on these."""
        path = self._folder / "pictures.npz"
        if path.exists():
            with np.load(path) as kept:
                return kept["features"], SceneTable(*(kept[name] for name in _TABLE))
        parts: list[NDArray[np.float16]] = []
        tables: list[SceneTable] = []
        started_s = time.perf_counter()
        for number, part in enumerate(loader(PictureStream(self.recipe.seed, _GATHERED), self._workers)):
            parts.append(self._lower_layers(part.pixels))
            tables.append(part.table)
            if (number + 1) * _GATHERED >= self.recipe.pictures:
                break
            if number % 100 == 99:
                speed = (number + 1) * _GATHERED / (time.perf_counter() - started_s)
                self._report(f"{(number + 1) * _GATHERED} pictures gathered, {speed:.0f} a second")
        columns = {name: np.concatenate([getattr(table, name) for table in tables]) for name in _TABLE}
        features = np.concatenate(parts)
        draft = self._folder / "pictures.part.npz"
        np.savez(draft, features=features, **columns)
        os.replace(draft, path)
        return features, SceneTable(**columns)

    def _lower_layers(self, pixels: NDArray[np.uint8]) -> NDArray[np.float16]:
        values = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
        vision = self.model.vision_model
        fast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._dtype is torch.bfloat16)
        with torch.no_grad(), fast:
            states = vision.embeddings(values)
            for layer in vision.encoder.layers[: self.recipe.frozen_layers]:
                states = layer(states, None)
        return cast("NDArray[np.float16]", states.to(torch.float16).numpy())

    def _save(self) -> None:
        """Writes the checkpoint, all or nothing."""
        state = {
            "step": self.step,
            "recipe": asdict(self.recipe),
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
        }
        draft = self._folder / "checkpoint.pt.part"
        torch.save(state, draft)
        os.replace(draft, self._folder / "checkpoint.pt")

    def _resume(self) -> None:
        path = self._folder / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        if state["recipe"] != asdict(self.recipe):
            raise ConfigError(f"'{path}' was made with another recipe", hint="use another folder, or the same recipe")
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        for optimizer, kept in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self._report(f"resumed at step {self.step}")


def upper_layers(model: SiglipModel, states: torch.Tensor, frozen_layers: int) -> torch.Tensor:
    """The pooled pictures `(batch, 192)` from what the frozen layers made of them."""
    for layer in model.vision_model.encoder.layers[frozen_layers:]:
        states = layer(states, None)
    pooled: torch.Tensor = model.vision_model.head(model.vision_model.post_layernorm(states))
    return pooled


def _tokenizer(folder: Path, seed: int) -> PreTrainedTokenizerFast:
    """The run's own tokenizer: made once, then kept beside the checkpoint, whose token numbers depend on it."""
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    kept = folder / "tokenizer"
    if not (kept / "tokenizer.json").exists():
        train_statement_tokenizer(statement_texts(seed)).save_pretrained(kept)
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(kept)
    return tokenizer
