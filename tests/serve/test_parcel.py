"""Work between processes: the same work, and its constitution read once."""

from __future__ import annotations

import pickle
from dataclasses import replace

from judge.assets import constitution_path
from judge.config import StageChoice
from judge.constitution import load_constitution
from judge.media import InlineMedia
from serve.backend import Work
from serve.parcel import Packer, Parcel

POLICY = load_constitution(constitution_path("stickers"))
WORK = Work(
    InlineMedia(data=b"bytes"), "a.png", POLICY, StageChoice(), text="words \udcff", refine=True, deadline_s=1.5,
    deadline_chosen=True, completion_tokens=7,
)  # fmt: skip


def sent(parcel: Parcel) -> Parcel:
    found: Parcel = pickle.loads(pickle.dumps(parcel))
    return found


def test_work_arrives_as_it_was() -> None:
    assert Packer().open(sent(Packer().pack(WORK))) == WORK


def test_a_constitution_is_read_once_and_another_one_is_not_taken_for_it() -> None:
    sender, receiver = Packer(), Packer()
    first, second = (receiver.open(sent(sender.pack(replace(WORK, name=name)))) for name in ("a", "b"))
    assert first.constitution is second.constitution
    other = POLICY.model_copy(update={"version": "9.9.9"})
    other.__dict__.pop("digest", None)
    found = receiver.open(sent(sender.pack(replace(WORK, constitution=other))))
    assert found.constitution.version == "9.9.9"


def test_any_number_of_constitutions_may_come() -> None:
    sender, receiver = Packer(), Packer()
    for n in range(40):
        policy = POLICY.model_copy(update={"version": f"1.0.{n}"})
        policy.__dict__.pop("digest", None)
        assert receiver.open(sent(sender.pack(replace(WORK, constitution=policy)))).constitution.version == f"1.0.{n}"
