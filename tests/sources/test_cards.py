"""Cards of tables on small files written to their schemas, with what is easily read wrongly in them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from judge.media import FileMedia
from judge.sources.card_file import load_card
from judge.sources.cards import open_card
from judge.sources.intervals import IntervalRule
from judge.sources.read import read_bytes
from judge.sources.sample import Intervals, Sample, TableCell
from tests.sources.making import FILES, below, png, put, samples, write_jsonl, write_table

VHD11K = ["Path", "decision", "harmfulType", "affirmativeDebater_argument_0", "affirmativeDebater_argument_1",
          "negativeDebater_argument_0", "negativeDebater_argument_1"]  # fmt: skip


def vhd11k(path: Path, kind: str, *rows: tuple[str, str, str]) -> None:
    """Lines of mixed encodings, with commas and line breaks in the arguments."""
    write_table(path, [f"{kind}Path", *VHD11K[1:]])
    for media, decision, said in rows:
        line = f'{media},{decision},"{said}","a caf\xe9, and\nmore",none,\'None\',none\n'
        path.write_bytes(path.read_bytes() + line.encode("utf-8" if "\u5199" in media else "iso-8859-1"))


def test_vhd11k_images(tmp_path: Path) -> None:
    shown = "写真_0006.jpg".encode().decode("cp437")
    folder = tmp_path / "harmful_images_10000"
    put(
        folder,
        "Real_0001.jpg",
        "sdxl_harmful_0002.png",
        "x/AniDiff_0003.png",
        "Real_0004.jpg",
        shown,
        "a/t.png",
        "b/t.png",
    )
    vhd11k(
        tmp_path / "harmful_image_10000_ann.csv", "image",
        ("/data/vhd/harmful/Real_0001.jpg", "yes", "violence, and Weapons"),
        ("/data/vhd/harmful/sdxl_harmful_0002.png", "No.", "a toy, no weapon"),
        ("..\\..\\vhd\\AniDiff_0003.png", "yes", "API refuse to answer"),
        ("../Real_0004.jpg", "error", "error"),
        ("Real_0005.jpg", "yes", "gore"),
        ("/写真_0006.jpg", "'yes'", "Nudity"),
        ("t.png", "no", "none"),
        ("Real_0001.jpg", "no", "the same picture again"),
        ("Real_0004.jpg", "maybe", ""),
    )  # fmt: skip
    found = samples("vhd11k-images", tmp_path)
    assert found[0] == Sample(
        id="harmful_images_10000/Real_0001.jpg", locator=FileMedia(path=folder / "Real_0001.jpg"), modality="image",
        harmful=True, labels=("violence, and Weapons",), categories=("violence", "weapons"), origin="real",
    )  # fmt: skip
    assert found[1] == Sample(
        id="harmful_images_10000/sdxl_harmful_0002.png", locator=FileMedia(path=folder / "sdxl_harmful_0002.png"),
        modality="image", harmful=False, origin="synthetic",
    )  # fmt: skip
    assert [(each.harmful, each.origin, each.problem) for each in found[2:]] == [
        (True, "synthetic", "the annotating model refused, and its decision is no judgement"),
        (None, "real", "the label cannot be read: decision is 'error'"),
        (True, "real", "'Real_0005.jpg' does not exist below the root"),
        (True, "unknown", ""),
        (False, "unknown", f"'t.png' is the name of 2 files: '{folder}/a/t.png', '{folder}/b/t.png'"),
        (False, "real", "'harmful_images_10000/Real_0001.jpg' stands in an earlier row as well"),
        (None, "real", "the label cannot be read: decision is 'maybe'"),
    ]
    assert (found[5].categories, below(found[5], folder)) == (("sexual",), shown)


def test_vhd11k_videos(tmp_path: Path) -> None:
    put(tmp_path, "v/Real_1.mp4", "v/HiGen_2.mp4")
    vhd11k(
        tmp_path / "harmful_video_1000_ann.csv", "video", ("Real_1.mp4", "harmful", "gambling"),
        ("HiGen_2.mp4", "unharmful", "nothing"),
    )  # fmt: skip
    found = samples("vhd11k-videos", tmp_path)
    assert [(each.modality, each.harmful, each.categories, each.origin) for each in found] == [
        ("video", True, ("gambling",), "real"), ("video", False, (), "synthetic"),
    ]  # fmt: skip


def test_stickers_load_through_the_card_of_vhd11k(tmp_path: Path) -> None:
    put(tmp_path, "test-twins/0-a.png", "test-twins/0-b.png", "test-scope/0.png")
    vhd11k(
        tmp_path / "harmful_image_test-twins_ann.csv", "image",
        ("test-twins/0-a.png", "yes", "injury.gore; violence.weapon_threat"),
        ("test-twins/0-b.png", "no", "no rule is violated"),
    )  # fmt: skip
    vhd11k(tmp_path / "harmful_image_test-scope_ann.csv", "image", ("test-scope/0.png", "no", "no rule is violated"))
    scene = {"style": "noto", "stickers": []}
    write_jsonl(
        tmp_path / "scenes_test-twins.jsonl",
        [{"id": "0-b", "group": "0", "scene": scene}, {"id": "0-a", "group": "0", "scene": scene}],
    )
    first, second = samples("stickers", tmp_path, "test-twins")
    assert first == Sample(
        id="test-twins/0-a.png", locator=FileMedia(path=tmp_path / "test-twins/0-a.png"), modality="image",
        harmful=True, labels=("injury.gore", "violence.weapon_threat"),
        categories=("shocking", "violence", "weapons"), origin="synthetic", group="0", attributes={"style": "noto"},
    )  # fmt: skip
    assert (second.harmful, second.labels, second.group) == (False, (), "0")
    assert [(each.harmful, each.labels, each.group) for each in samples("stickers", tmp_path, "test-scope")] == [
        (None, (), "")
    ]


def test_sticker_clips(tmp_path: Path) -> None:
    put(tmp_path, "demo-video/demo-video-0.mp4")
    vhd11k(
        tmp_path / "harmful_video_demo-video_ann.csv", "video",
        ("demo-video/demo-video-0.mp4", "yes", "violence.attack_begins"),
    )  # fmt: skip
    truth = {"intervals": {"a": [[950, 1850]], "b": [[50, 350], [450, 850]]}, "unclear": {"c": [[0, 50]]}}
    write_jsonl(
        tmp_path / "clips_demo-video.jsonl", [{"id": "demo-video-0", "plan": {"calm": {"style": "noto"}}, **truth}]
    )
    (found,) = samples("stickers-videos", tmp_path, "demo-video")
    assert (found.harmful, found.categories, found.attributes) == (True, ("violence",), {"style": "noto"})
    assert found.intervals == Intervals(unit="ms", harmful=((50, 350), (450, 850), (950, 1850)), unclear=((0, 50),))


def test_a_field_that_came_later_changes_no_digest_where_it_is_not_used(tmp_path: Path) -> None:
    """Benchmarks that were begun before are resumed."""
    put(tmp_path, "a.jpg")
    write_table(tmp_path / "SMID_norms.csv", ["img_name", "moral_mean"], ["a", "1.2"])
    card = load_card("smid")
    fields = {name: value for name, value in card.model_dump(mode="json").items() if name != "intervals"}
    old = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    assert open_card(card, tmp_path).digest == hashlib.sha256(old.encode()).hexdigest()
    used = card.model_copy(update={"intervals": IntervalRule(column="x", unit="ms")})
    assert open_card(used, tmp_path).digest != open_card(card, tmp_path).digest


def test_smid_leaves_the_middle_out(tmp_path: Path) -> None:
    put(tmp_path, "img/b10_p1_1.jpg", "images/b10_p1_2.png", "b1.JPG", "b2.jpg", "b3.jpg")
    write_table(
        tmp_path / "SMID_norms.csv", ["img_name", "moral_mean"], ["b10_p1_1", "1.2"], ["b10_p1_2", "4.9"],
        ["b1", "3.5"], ["b2", "NA"], ["b3", "2.5"], ["b4", "2.4999"],
    )  # fmt: skip
    assert [(each.id, below(each, tmp_path), each.harmful, each.problem) for each in samples("smid", tmp_path)] == [
        ("b10_p1_1", "img/b10_p1_1.jpg", True, ""),
        ("b10_p1_2", "images/b10_p1_2.png", False, ""),
        ("b1", "b1.JPG", None, "left out by the card: moral_mean 3.5 lies between 2.5 and 3.5"),
        ("b2", "b2.jpg", None, "the label cannot be read: moral_mean is 'NA'"),
        ("b3", "b3.jpg", None, "left out by the card: moral_mean 2.5 lies between 2.5 and 3.5"),
        ("b4", "", True, "'b4' does not exist below the root"),
    ]


def write_parquet(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def picture(shade: int) -> dict[str, object]:
    return {"bytes": png(shade), "path": "x.png"}


def test_unsafebench_keeps_the_category_of_safe_pictures(tmp_path: Path) -> None:
    table = tmp_path / "data/test-00000-of-00001.parquet"
    rows = [("Unsafe", "Hate", "Laion5B"), ("Safe", "Sexual", "Lexica"), ("", "Spam", "Lexica")]
    write_parquet(
        table,
        [
            {"image": picture(shade), "safety_label": label, "category": kind, "source": source, "text": "words"}
            for shade, (label, kind, source) in enumerate(rows)
        ],
    )
    found = samples("unsafebench", tmp_path, "test")
    assert found[:2] == [
        Sample(
            id="data/test-00000-of-00001.parquet#0", locator=TableCell(path=str(table), row=0, column="image.bytes"),
            modality="image", harmful=True, labels=("Hate",), categories=("hate",), text="words", origin="real",
        ),
        Sample(
            id="data/test-00000-of-00001.parquet#1", locator=TableCell(path=str(table), row=1, column="image.bytes"),
            modality="image", harmful=False, labels=("Sexual",), categories=("sexual",), text="words",
            origin="synthetic",
        ),
    ]  # fmt: skip
    assert found[2].problem == "the label cannot be read: safety_label is empty"
    assert read_bytes(found[1].locator, FILES).data == png(1)


def test_llavaguard_groups_a_picture_under_several_policies(tmp_path: Path) -> None:
    rows = [("p1", "Unsafe", "O2: Violence, Harm, or Cruelty"), ("p1_v2", "Safe", "NA: None applying"),
            ("q_7", "Safe", "O8: Animal Cruelty")]  # fmt: skip
    write_parquet(
        tmp_path / "data/test-00000-of-00001.parquet",
        [{"image": picture(0), "id": id, "rating": rating, "category": kind} for id, rating, kind in rows],
    )
    found = samples("llavaguard", tmp_path, "test")
    assert [(each.id, each.harmful, each.categories, each.group, each.attributes) for each in found] == [
        ("p1", True, ("violence", "shocking"), "p1", {}),
        ("p1_v2", False, (), "p1", {"policy": "v2"}),
        ("q_7", False, ("animal-cruelty",), "q_7", {}),
    ]


def test_t2isafety(tmp_path: Path) -> None:
    put(tmp_path, "test/a/1.png", "2.png")
    rows = [{"image": "a/1.png", "label": "unsafe", "category": "violence"}, {"image": "x/2.png", "label": "safe"}]
    for part in ("toxicity_privacy_generated", "fairness_real"):
        (tmp_path / f"hf_test_{part}.json").write_text(json.dumps(rows))
    assert [
        (below(each, tmp_path), each.harmful, each.categories, each.origin)
        for each in samples("t2isafety", tmp_path, "test_toxicity_privacy_generated")
    ] == [("test/a/1.png", True, ("violence",), "synthetic"), ("2.png", False, (), "synthetic")]
    assert [(each.harmful, each.origin) for each in samples("t2isafety", tmp_path, "test_fairness_real")] == [
        (None, "real"), (None, "real"),
    ]  # fmt: skip


def test_unsafe_diffusion_needs_two_raters(tmp_path: Path) -> None:
    put(tmp_path, *(f"{row}.png" for row in range(6)))
    write_table(
        tmp_path / "labels.csv", ["prompt", "final_label", "rater_0", "rater_1", "rater_2"],
        ["", "1", "1,3", "3, 1", "2"], ["", "0", "0", "0", "4"], ["", "1", "1", "2", "0"], ["", "", "", "", ""],
        ["", "9", "9", "9", "9"], ["", "0", "0,5", "0", "5"],
    )  # fmt: skip
    found = samples("unsafe-diffusion", tmp_path)
    assert [(each.id, each.harmful, each.labels, each.problem) for each in found] == [
        ("0.png", True, ("sexual", "disturbing"), ""),
        ("1.png", False, (), ""),
        ("2.png", None, (), "left out by the card: no value has 2 raters"),
        ("3.png", None, (), "the label cannot be read: no rater said anything"),
        ("4.png", None, (), "the label cannot be read: rater_0 is '9'"),
        ("5.png", True, ("political",), ""),
    ]
    assert found[0].categories == ("sexual", "shocking")
