"""What a stored verdict would be under another constitution or other thresholds, without running the model. Pure.

A reading belongs to a statement, not to an id: a precondition takes over what was read of the same statement in the
same frame. Whatever the stored evidence does not settle is unknown, never taken to be unchanged:
- a precondition that was never asked, was asked in other words, or lacks a reading that the thresholds need;
- of a video, or an animation, all but a rule that means what a stored one means: one frame makes no moment;
- of other media with several frames, whose verdict keeps one frame per rule, all but: a rule that means what a
  stored one means; a violation that a kept frame proves; a rule that implies one which no frame violates;
- rules that a stage decided from more than the preconditions (relevance scan, whole-rule reading, a debate
  about the rule), unless unchanged;
- an abstention after slow stages: which questions they get depends on all rules.
The model, and what the slow stages answered, are taken as they were; so is an abstention of the whole media.
"""

from judge.replay.conditions import Conditions
from judge.replay.rules import RuleReplay
from judge.replay.verdict import Replay, replay

__all__ = ["Conditions", "Replay", "RuleReplay", "replay"]
