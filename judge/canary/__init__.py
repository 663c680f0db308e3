"""The canary: does this build of a model still score as the recorded one did?

A few golden questions are asked when an engine starts, and the scores compared with a record. The same weights on
another runtime, number type or quantisation, or behind changed preprocessing, answer a little or a lot differently;
thresholds and figures measured with one build hold for another only while the scores do. Not a test of quality.

Record the embedded model again after training it: `judge canary record --out judge/canary/records/stickers-vlm.json`
"""

from judge.canary.check import CanaryReport, check_canary, record_canary
from judge.canary.record import CanaryRecord, load_record
from judge.canary.start import check_at_start, find_record

__all__ = [
    "CanaryRecord",
    "CanaryReport",
    "check_at_start",
    "check_canary",
    "find_record",
    "load_record",
    "record_canary",
]
