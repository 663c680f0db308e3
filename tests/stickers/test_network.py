"""The embedded architecture: packed training equals asking one by one, and the tokenizer keeps answers whole."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from judge.prompts.render import precondition_prompt
from judge.stickers.network import ASSISTANT, END, PICTURE_TEXT, USER, build_model, packed_forward
from judge.stickers.network import train_tokenizer as train
from judge.stickers.streams import PackedStream, tokenizer_texts
from judge.stickers.train import Recipe, Trainer

SENTENCES = ("There is a dog.", "A weapon touches a person.", "A child is next to an alcoholic drink.")


@pytest.fixture(scope="module")
def tokenizer():  # type: ignore[no-untyped-def]
    return train(tokenizer_texts(0, scenes=60))


def test_yes_and_no_are_one_token_each_and_any_text_survives(tokenizer) -> None:  # type: ignore[no-untyped-def]
    assert [len(tokenizer(word, add_special_tokens=False)["input_ids"]) for word in ("Yes", "No")] == [1, 1]
    text = "Zwölf 犬 \U0001f600 </s>"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_packed_questions_read_as_if_asked_alone(tokenizer) -> None:  # type: ignore[no-untyped-def]
    from judge.stickers.corpus import Question  # noqa: PLC0415
    from judge.stickers.streams import Packer  # noqa: PLC0415

    torch.manual_seed(0)
    model = build_model(tokenizer).eval()
    model.set_attn_implementation("eager")
    questions = [Question(precondition_prompt(s).messages[0].text, "Yes", "exists") for s in SENTENCES]
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 144, 144, 3), dtype=np.uint8))
    packed = Packer(tokenizer).pack([questions], "precondition", pictures=1)
    batch = replace(packed, pixels=pixels)
    with torch.inference_mode():
        together, targets, weights, _ = packed_forward(model, batch)
        for number, question in enumerate(questions):
            text = USER + PICTURE_TEXT + question.text + END + ASSISTANT
            alone = model(
                input_ids=tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"],
                pixel_values=(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1)[None],
            ).logits[0, -1]
            torch.testing.assert_close(together[number], alone, atol=1e-4, rtol=1e-4)
    assert targets.tolist() == [tokenizer("Yes", add_special_tokens=False)["input_ids"][0]] * 3
    assert weights.tolist() == [1.0] * 3


def test_packed_batches_carry_answers_for_every_question(tokenizer) -> None:  # type: ignore[no-untyped-def]
    stream = iter(PackedStream(5, 4, 6, tokenizer))
    yes, no = (tokenizer(w, add_special_tokens=False)["input_ids"][0] for w in ("Yes", "No"))
    answers = set()
    for _ in range(6):
        packed, _dense = next(stream)
        assert (packed.targets != -100).any(dim=1).all()
        answers |= set(packed.targets[packed.targets != -100].tolist())
    assert {yes, no} <= answers


def test_training_resumes_where_it_stopped_and_releases_a_loadable_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("judge.stickers.train.tokenizer_texts", partial(tokenizer_texts, scenes=60))
    said: list[str] = []
    small = {"encoder_batch": 2, "language_batch": 2, "questions": 3, "warmup_steps": 1}
    Trainer(tmp_path, Recipe(encoder_steps=2, language_steps=1, **small), workers=0, report=said.append).run()
    again = Trainer(tmp_path, Recipe(encoder_steps=2, language_steps=2, **small), workers=0, report=said.append)
    assert (again.stage, again.step) == ("language", 1)
    assert said[-1] == "resumed in stage 'language' at step 1"
    again.run()
    again.release(tmp_path / "model")
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path / "model", dtype="auto")
    assert next(loaded.parameters()).dtype == torch.bfloat16
    assert AutoProcessor.from_pretrained(tmp_path / "model").image_seq_len == 16
    assert sum(p.numel() for p in loaded.parameters()) <= 12_000_000
