"""One suite that every detector passes: see `judge.bench.detectors.base`.

To hold another one to it: a fixture that gives a `Subject`, and its name in `tests/bench/detectors/test_contract.py`;
or a class of your own, `class TestMine(DetectorContract)`, with a fixture called `subject`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

import numpy as np
import pytest

from judge.bench.detectors.base import Detector, DetectorSettings, Prediction
from judge.bench.detectors.build import build_detector
from judge.errors import ConfigError
from judge.sources.categories import Category
from judge.types import Frame, Media, MediaKind


@dataclass
class Subject:
    """A detector under the contract.

    Attributes:
        settings: It is built of these.
        media: At least three that it takes and answers, with different scores.
        changes: Other settings, each of which changes what it predicts, so its digest: threshold, model...
        build: How; the shared one of most tests is built once.
        tolerance: Between a batch and the same one by one.
    """

    settings: DetectorSettings
    media: Sequence[Media]
    changes: Sequence[DetectorSettings]
    build: Callable[[DetectorSettings], Detector] = build_detector
    tolerance: float = 1e-4
    _built: list[Detector] = field(default_factory=list)

    @property
    def detector(self) -> Detector:
        if not self._built:
            self._built.append(self.build(self.settings))
        return self._built[0]

    def ask(self, media: Sequence[Media]) -> list[Prediction]:
        return asyncio.run(self.detector.detect(media))

    def close(self) -> None:
        for each in self._built:
            asyncio.run(each.close())


def words() -> Media:
    return Media("f" * 64, "text", (), 0.0, "words.txt", text="some words")


def without_pixels(kind: MediaKind = "image") -> Media:
    """What a broken file must not become: no frames, or frames without pixels."""
    return Media("e" * 64, kind, (Frame(0, 0.0, np.zeros((0, 0, 3), np.uint8)),), 0.0, "empty.png")


def sound(prediction: Prediction) -> bool:
    """What holds for every prediction, whatever it says."""
    numbers = [prediction.model_s, *prediction.category_scores.values()]
    numbers += [] if prediction.score is None else [prediction.score]
    assert all(isinstance(each, float | int) and each >= 0.0 for each in numbers), prediction
    assert prediction.score is None or prediction.score <= 1.0, prediction
    assert all(score <= 1.0 for score in prediction.category_scores.values()), prediction
    assert set(prediction.category_scores) <= set(get_args(Category)), prediction
    assert prediction.flagged is not None or prediction.reason, prediction
    assert not prediction.failed or prediction.flagged is None, prediction
    assert prediction.flagged is None or prediction.score is not None, prediction
    assert all(time_s >= 0.0 and 0.0 <= score <= 1.0 for time_s, score in prediction.moments), prediction
    return True


class DetectorContract:
    """Needs a fixture `subject`."""

    def test_nothing_gives_nothing(self, subject: Subject) -> None:
        assert subject.ask([]) == []

    def test_it_tells_what_it_is(self, subject: Subject) -> None:
        info = subject.detector.info
        assert info.name
        assert len(info.digest) == 64
        assert info.modalities
        assert 0.0 <= info.threshold <= 1.0
        assert info.categories is None or (info.categories and info.categories <= set(get_args(Category)))

    def test_a_label_is_its_name_and_changes_no_prediction(self, subject: Subject) -> None:
        other = subject.build(subject.settings.model_copy(update={"label": "my own name"}))
        try:
            assert (other.info.name, other.info.digest) == ("my own name", subject.detector.info.digest)
        finally:
            asyncio.run(other.close())

    def test_every_media_that_it_takes_is_answered(self, subject: Subject) -> None:
        found = subject.ask(subject.media)
        assert len(found) == len(subject.media) >= 3
        assert all(sound(each) and not each.failed and each.score is not None for each in found), found

    def test_order_is_kept_and_a_batch_is_its_singles(self, subject: Subject) -> None:
        """The scores differ, so that an answer in the wrong place is seen."""
        singles = [subject.ask([each])[0] for each in subject.media]
        assert len({round(each.score or 0.0, 6) for each in singles}) > 1, "the test's media are too much alike"
        for order in (1, -1):
            together = subject.ask(list(subject.media)[::order])
            for one, each in zip(singles[::order], together, strict=True):
                assert each.score == pytest.approx(one.score, abs=subject.tolerance)
                assert each.flagged == one.flagged
                assert each.category_scores == pytest.approx(one.category_scores, abs=subject.tolerance)

    def test_the_same_again_is_the_same(self, subject: Subject) -> None:
        first, second = subject.ask(subject.media[:2]), subject.ask(subject.media[:2])
        assert [replace(each, model_s=0.0) for each in first] == [replace(each, model_s=0.0) for each in second]

    def test_media_of_another_kind_are_abstained_in_their_place(self, subject: Subject) -> None:
        if "text" in subject.detector.info.modalities:
            pytest.skip("it takes every kind")
        one, other, two = subject.ask([subject.media[0], words(), subject.media[1]])
        assert sound(other)
        assert (other.score, other.flagged, other.failed) == (None, None, False)
        assert "text" in other.reason
        expected = subject.ask(subject.media[:2])
        assert [one.score, two.score] == pytest.approx([each.score for each in expected], abs=subject.tolerance)

    def test_a_picture_without_pixels_is_a_failure_that_spoils_nothing(self, subject: Subject) -> None:
        found = subject.ask([without_pixels(), subject.media[0], replace(without_pixels(), frames=())])
        for broken in (found[0], found[2]):
            assert sound(broken)
            assert broken.flagged is None, "what cannot be looked at is never harmless"
        assert found[1].score == pytest.approx(subject.ask(subject.media[:1])[0].score, abs=subject.tolerance)

    def test_the_same_settings_have_the_same_digest(self, subject: Subject) -> None:
        again = subject.build(subject.settings)
        try:
            assert again.info == subject.detector.info
        finally:
            asyncio.run(again.close())

    def test_settings_that_matter_change_the_digest(self, subject: Subject) -> None:
        digests = {subject.detector.info.digest}
        assert subject.changes
        for settings in subject.changes:
            other = subject.build(settings)
            digests.add(other.info.digest)
            asyncio.run(other.close())
        assert len(digests) == 1 + len(subject.changes)

    def test_an_unknown_option_is_an_error(self, subject: Subject) -> None:
        options = {**subject.settings.options, "no_such_option": 1}
        with pytest.raises(ConfigError, match="no_such_option"):
            subject.build(subject.settings.model_copy(update={"options": options}))

    def test_it_may_be_closed_twice(self, subject: Subject) -> None:
        other = subject.build(subject.settings)
        asyncio.run(other.close())
        asyncio.run(other.close())
        assert other.info.digest == subject.detector.info.digest  # what it was is still told
