"""Tasks for Label Studio with the verdicts as predictions, and the labelling interface that shows them.

A local file is named as Label Studio serves files of its machine (`/data/local-files/?d=...`, to be allowed there).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from pydantic import JsonValue

from judge.bulk.parts import Parts
from judge.bulk.row import LabelRow
from judge.bulk.run_file import RunRecord

_DECISIONS = ("unsafe", "safe", "uncertain")


def write_tasks(parts: Parts, record: RunRecord, folder: Path) -> None:
    """`tasks.json` to import, `config.xml` to paste into the project's settings."""
    folder.mkdir(parents=True)
    rules: dict[str, None] = {}
    with (folder / "tasks.json").open("w", encoding="utf-8") as file:
        file.write("[")
        for place, row in enumerate(parts.all_rows()):
            rules |= dict.fromkeys(rule.rule_id for rule in row.rules)
            file.write(("," if place else "") + "\n" + json.dumps(_task(row, record), ensure_ascii=False))
        file.write("\n]\n")
    (folder / "config.xml").write_text(_config(list(rules)), encoding="utf-8")


def _task(row: LabelRow, record: RunRecord) -> Mapping[str, JsonValue]:
    version = record.versions
    made_by = f"{row.model or 'none'}/{version.model[:12] if version else ''}"
    prediction: dict[str, JsonValue] = {"model_version": made_by, "score": row.score, "result": list(_results(row))}
    data: dict[str, JsonValue] = {
        "image": _address(row), "id": row.id, "index": row.index, "reason": row.reason, "decision": row.decision,
    }  # fmt: skip
    return {"data": data, "predictions": [] if row.failed else [prediction]}


def _results(row: LabelRow) -> Iterator[JsonValue]:
    yield _choices("decision", [row.decision])
    if row.violated:
        yield _choices("rules", list(row.violated))
    verdict = row.read_verdict()
    for rule in verdict.rules if verdict else ():
        for evidence in rule.evidence if rule.outcome == "violated" else ():
            for region in evidence.regions:
                yield {
                    "from_name": "regions",
                    "to_name": "media",
                    "type": "rectanglelabels",
                    "score": region.score,
                    "value": {
                        "x": 100 * region.left,
                        "y": 100 * region.top,
                        "width": 100 * (region.right - region.left),
                        "height": 100 * (region.bottom - region.top),
                        "rectanglelabels": [rule.rule_id],
                    },
                }


def _choices(name: str, values: list[str]) -> JsonValue:
    return {"from_name": name, "to_name": "media", "type": "choices", "value": {"choices": [*values]}}


def _address(row: LabelRow) -> str:
    where = json.loads(row.locator)
    if where.get("url"):
        return str(where["url"])
    if where["kind"] == "file":
        return "/data/local-files/?d=" + quote(str(where["path"]).lstrip("/"), errors="replace")
    return row.id  # inside an archive or a table: to be unpacked first


def _config(rules: list[str]) -> str:
    def options(tag: str, values: list[str]) -> str:
        return "".join(f"    <{tag} value={quoteattr(value)}/>\n" for value in values)

    return (
        '<View>\n  <Image name="media" value="$image"/>\n'
        '  <Choices name="decision" toName="media" choice="single" required="true">\n'
        f"{options('Choice', list(_DECISIONS))}  </Choices>\n"
        f'  <Choices name="rules" toName="media" choice="multiple">\n{options("Choice", rules)}  </Choices>\n'
        f'  <RectangleLabels name="regions" toName="media">\n{options("Label", rules)}  </RectangleLabels>\n'
        "</View>\n"
    )
