"""Every detector under the contract. Add the name of a fixture that gives a `Subject`."""

from __future__ import annotations

import pytest

from tests.contracts.detectors import DetectorContract, Subject

SUBJECTS = ["ours_fast", "ours_full", "ours_policy_direct", "nudenet", "openai_moderation", "i2p"]


@pytest.fixture(scope="module", params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Subject:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Subject)
    return found


class TestContract(DetectorContract):
    """Its tests."""
