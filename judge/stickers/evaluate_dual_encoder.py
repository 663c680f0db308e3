"""What the dual encoder sees: how well its similarities tell true statements from false ones, and what a scan keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from judge.config import RelevanceSettings
from judge.constitution import Constitution
from judge.engines.base import Embedder
from judge.metrics import Bools, Floats, Measured, bootstrap, share
from judge.stages.relevance import RelevanceScan, drops, may_drop
from judge.stickers.dual_encoder_corpus import StatementDraw
from judge.stickers.splits import Item
from judge.stickers.statements import Atom, Kind, parse
from judge.stickers.truth_table import scene_table, truths
from judge.types import Frame

_STATEMENTS = 200
_VISIBLE: frozenset[Kind] = frozenset({"exists", "two", "sign", "sign_word", "sign_kind"})


async def statement_auroc(
    embedder: Embedder, items: Sequence[Item], policy: Constitution, *, seed: int = 0
) -> dict[str, Measured]:
    """AUROC of the similarity of decided pairs: of the policy's statements, of others about what is visible, and of
    others about relations and states. Whole pictures are resampled.
    """
    own = [(atom, each.statement) for each in policy.preconditions if (atom := parse(each.statement)) is not None]
    table = scene_table([item.scene for item in items])
    known = {atom for atom, _ in own}
    drawn = StatementDraw((), np.random.default_rng(seed)).draw(table, _STATEMENTS)
    others = [(atom, text) for atom, text in drawn if atom not in known and atom.kind != "stickers"]
    texts = await embedder.embed_texts([text for _, text in (*own, *others)])
    similarities = (await embedder.embed_frames(frames_of(items))) @ texts.T
    found = truths([atom for atom, _ in (*own, *others)], table)
    names = ["policy"] * len(own) + [_group(atom) for atom, _ in others]
    pictures = np.array([str(number) for number in range(len(items))])
    measured: dict[str, Measured] = {}
    for name in dict.fromkeys(names):
        columns = [number for number, other in enumerate(names) if other == name]
        decided = found.decided[columns].T
        groups = np.broadcast_to(pictures[:, None], decided.shape)[decided]
        measured[name] = bootstrap(
            ranked_auroc,
            found.holds[columns].T[decided],
            similarities[:, columns][decided].astype(np.float64),
            groups=[str(group) for group in groups],
            rounds=200,
        )
    return measured


def ranked_auroc(truth: Bools, scores: Floats) -> float:
    """As `judge.metrics.auroc`, which compares every pair, in the time of sorting; scores are numbers."""
    above, below = scores[truth], np.sort(scores[~truth])
    if not len(above) or not len(below):
        return float("nan")
    beaten = np.searchsorted(below, above, "left") + np.searchsorted(below, above, "right")
    return float(beaten.sum() / (2 * len(above) * len(below)))


def _group(atom: Atom) -> str:
    return "visible" if atom.kind in _VISIBLE else "relations"


async def kept_and_dropped(
    embedder: Embedder, items: Sequence[Item], policy: Constitution, settings: RelevanceSettings
) -> tuple[Measured, Measured]:
    """Share of the violated rules that a scan keeps, of those it may drop; and of all rules, the share it drops."""
    scan = RelevanceScan(embedder, policy, settings)
    similarities = await scan.similarities(frames_of(items))
    kept: list[bool] = []
    dropped: list[bool] = []
    for item, row in zip(items, similarities, strict=True):
        for rule in policy.rules:
            gone = drops(settings, rule, scan.nearest(rule, row))
            dropped.append(gone)
            if rule.id in item.violated and may_drop(settings, rule):
                kept.append(not gone)
    return share(kept), share(dropped)


def frames_of(items: Sequence[Item]) -> list[Frame]:
    """The pictures as the stages take them."""
    return [Frame(index=0, timestamp_s=0.0, image=item.image) for item in items]
