"""What a caller is told of errors that came through Ray."""

from __future__ import annotations

import pytest
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.exceptions import DeploymentUnavailableError

from judge.errors import EngineError, JudgeError
from serve.calls import ReplicaDied, to_judge_error
from serve.problems import Overloaded


def through_ray(cause: Exception) -> Exception:
    """As Ray hands it to whoever waits: with the other process's traceback as its text."""
    wrapped = RayTaskError("choose", 'Traceback (most recent call last):\n  File "secret/engine.py"', cause)
    found: Exception = wrapped.as_instanceof_cause()
    return found


@pytest.mark.parametrize("cause", [EngineError("out of memory", hint="smaller batches"), Overloaded("no room")])
def test_our_own_errors_come_through_as_they_were(cause: JudgeError) -> None:
    raised = through_ray(cause)
    assert "secret" in str(raised)
    told = to_judge_error(raised)
    assert (type(told), told.message, told.hint) == (type(cause), cause.message, cause.hint)
    assert "secret" not in str(told)


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        (through_ray(ZeroDivisionError("secret")), EngineError, "a part of the service failed"),
        (ActorDiedError(), ReplicaDied, "ended while it worked"),
        (through_ray(ActorDiedError()), ReplicaDied, "ended while it worked"),
        (DeploymentUnavailableError("engine"), EngineError, "is not running"),
    ],
)
def test_errors_of_ray_are_told_in_our_words(raised: Exception, kind: type[JudgeError], words: str) -> None:
    told = to_judge_error(raised)
    assert type(told) is kind
    assert words in told.message
    assert "secret" not in str(told)
