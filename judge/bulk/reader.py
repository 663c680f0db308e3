"""From the source to bundles of encoded media, in order: the one place that knows which rows are written already.

What is wrong with one row stays with it; a source that cannot be read on ends the run with a last, fatal bundle.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from hashlib import sha256

from judge.bulk.control import Control
from judge.bulk.item import Bundle, Item, as_input_error, key_of
from judge.bulk.parts import Parts, Span, ids_digest
from judge.bulk.plan import ReadPlan
from judge.bulk.seen import SeenKeys
from judge.errors import ConfigError, JudgeError, MediaError
from judge.media import Permissions
from judge.sources.read import read_bytes
from judge.sources.sample import NoMedia, Sample

_POLL_S = 0.01
_SLOWEST_POLL_S = 0.1
_LOOKED_AHEAD = 2
"""Media read ahead, for each thread."""


def read_bundles(plan: ReadPlan, control: Control) -> Iterator[Bundle]:
    """Every row that is not written, once; waits where `control` says so, and ends when it says so."""
    bundles = _Bundles(plan)
    try:
        for bundle in bundles:
            if not _may_go(bundle, control):
                return
            yield bundle
    except JudgeError as error:
        yield Bundle(bundles.number, (), fatal=as_input_error(error))
    except Exception as error:  # of a source's own library: the rows before it are not lost
        broken = ConfigError(f"'{plan.source.source}' cannot be read on: {error or type(error).__name__}")
        yield Bundle(bundles.number, (), fatal=as_input_error(broken))


def anything_left(plan: ReadPlan) -> bool:
    """Whether there is a row that is not written. No media is read.

    Raises:
        ConfigError: The source cannot be read, or is not the one that was labelled.
    """
    return next(_unwritten(plan, Parts(plan.parts, plan.written)), None) is not None


def read_item(index: int, sample: Sample, permissions: Permissions) -> Item:
    """The row with its media, or with the reason why not."""
    item = Item(index, sample)
    if isinstance(sample.locator, NoMedia):
        return item.failed(MediaError(sample.problem or "the row leads to no media"))
    try:
        data = read_bytes(sample.locator, permissions).data
    except JudgeError as error:
        return item.failed(error)
    except Exception as error:  # whatever a file system or an archive raises costs one row
        return item.failed(MediaError(f"'{sample.id}' cannot be read: {error or type(error).__name__}"))
    digest = sha256(data).hexdigest()
    return replace(item, data=data, digest=digest, key=key_of(digest, sample.text))


@dataclass
class _Bundles:
    """Iterates over the bundles; `number` is the next one's."""

    plan: ReadPlan
    number: int = 0
    _items: list[Item] = field(default_factory=list)
    _bytes: int = 0

    def __iter__(self) -> Iterator[Bundle]:
        parts = Parts(self.plan.parts, self.plan.written)
        seen = _written_keys(parts) if self.plan.duplicates else None
        broken: Exception | None = None
        for item in _fetched(_unwritten(self.plan, parts), self.plan):
            if isinstance(item, Exception):
                broken = item
                break
            self._items.append(_once(item, seen))
            self._bytes += len(self._items[-1].data or b"")
            if len(self._items) >= self.plan.bundle_rows or self._bytes >= self.plan.bundle_bytes:
                yield self._cut()
        if self._items:
            yield self._cut()
        if broken is not None:
            raise broken

    def _cut(self) -> Bundle:
        bundle = Bundle(self.number, tuple(self._items), self._bytes)
        self.number, self._items, self._bytes = self.number + 1, [], 0
        return bundle


def _once(item: Item, seen: SeenKeys | None) -> Item:
    """What came before is not judged again; its bytes are not passed on."""
    if seen is None or not item.key or (first := seen.first(item.key, item.index)) is None:
        return item
    return replace(item, data=None, duplicate_of=first)


def _written_keys(parts: Parts) -> SeenKeys:
    seen = SeenKeys()
    for span in parts.spans:
        found = parts.columns(span, ("key", "index", "duplicate_of"))
        for key, index, original in zip(found["key"], found["index"], found["duplicate_of"], strict=True):
            if key and original is None:
                seen.first(str(key), int(str(index)))
    return seen


def _unwritten(plan: ReadPlan, parts: Parts) -> Iterator[tuple[int, Sample]]:
    """Raises `ConfigError` if the source's rows are no longer those that were written."""
    spans = deque(parts.spans)
    ids: list[str] = []
    ended = 0
    for index, sample in enumerate(plan.selection.of(iter(plan.source.open()))):
        ended = index + 1
        if not spans or index < spans[0].first:
            yield index, sample
            continue
        ids.append(sample.id)
        if index == spans[0].last:
            _check_same(plan, parts, spans.popleft(), ids)
            ids = []
    limit = plan.selection.limit
    if spans and (limit is None or ended < limit):
        raise ConfigError(
            f"'{plan.source.source}' has {ended} rows now, and row {spans[-1].last} is written already",
            hint="label a changed source into a new folder",
        )


def _check_same(plan: ReadPlan, parts: Parts, span: Span, ids: list[str]) -> None:
    if ids_digest(ids) != parts.ids_of(span):
        raise ConfigError(
            f"rows {span.first} to {span.last} of '{plan.source.source}' are not those that were written",
            hint="the source has changed: label it into a new folder",
        )


def _fetched(rows: Iterator[tuple[int, Sample]], plan: ReadPlan) -> Iterator[Item | Exception]:
    """In order; the media of the next rows are read meanwhile. What ends the source comes last, behind its rows."""
    ahead: deque[Future[Item]] = deque()
    pool = ThreadPoolExecutor(plan.threads, thread_name_prefix="reader")
    try:
        broken: Exception | None = None
        try:
            for index, sample in rows:
                ahead.append(pool.submit(read_item, index, sample, plan.permissions))
                if len(ahead) > plan.threads * _LOOKED_AHEAD:
                    yield ahead.popleft().result()
        except Exception as error:
            broken = error
        while ahead:
            yield ahead.popleft().result()
        if broken is not None:
            yield broken
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _may_go(bundle: Bundle, control: Control) -> bool:
    pause_s = _POLL_S
    while (answer := control.may_read(bundle.number, bundle.n_bytes)) == "wait":
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, _SLOWEST_POLL_S)
    return answer == "go"
