"""What a profile says of a model really reaches its tokenizer, chat template, image processor and server."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, ShieldGemma2ForImageClassification

from judge.config import EngineConfig, ModelTraits, OpenAIOptions, QuestionSettings
from judge.engines.answer_tokens import answer_tokens
from judge.engines.build import build_engine
from judge.engines.choice_reading import ChoiceReader
from judge.engines.encoding import PromptEncoder
from judge.engines.openai import OpenAIEngine
from judge.engines.transformers import TransformersEngine
from judge.errors import ConfigError, EngineError
from judge.prompts.render import GUARD_TEMPLATES, precondition_prompt
from judge.types import ChoiceProbabilities, Frame, Message, Prompt, PromptLayout, QuestionFormat
from tests.contracts.tiny_models import CHAT_TEMPLATE, build_shieldgemma2, byte_level_tokenizer, metaspace_tokenizer
from tests.engines.openai_server import JSON, Request, one_token, serve_chat

FRAME = Frame(0, 0.0, np.random.default_rng(1).integers(0, 256, (96, 64, 3), dtype=np.uint8))
ASKED = Prompt((Message("user", "Is there a dog?"),), (FRAME,))
THINKING = CHAT_TEMPLATE.replace(
    "Assistant:{% endif %}",
    "Assistant:{% if enable_thinking is false %} (no thinking){% endif %}{{ policy }}{% endif %}",
)


def choose(engine: TransformersEngine | OpenAIEngine, *prompts: Prompt) -> list[ChoiceProbabilities]:
    return asyncio.run(engine.choose(prompts))


# --- spellings ----------------------------------------------------------------------------------------------

GUARD_WORDS = ("safe unsafe Safe. Yes No yes no. It is safe, unsafe",) * 3


@pytest.mark.parametrize("make", [byte_level_tokenizer, metaspace_tokenizer])
def test_the_words_of_a_guard_model_are_read(make: Callable[..., object]) -> None:
    tokenizer = make(GUARD_WORDS)
    plain = answer_tokens(tokenizer, ("Yes", "No"))
    more = answer_tokens(tokenizer, ("Yes", "No"), {"Yes": ["unsafe"], "No": ["safe"]})
    for ours, theirs, word in zip(plain.token_ids, more.token_ids, ("unsafe", "safe"), strict=True):
        added = {tokenizer.decode([token]).strip() for token in set(theirs) - set(ours)}
        assert set(ours) < set(theirs)
        assert added == {word}


def test_a_word_that_is_no_single_token_is_read_by_its_beginning() -> None:
    """The trap: "unsafe" is one token and "Unsafe", which the model writes, is not."""
    tokenizer = byte_level_tokenizer(("Yes No yes no unsafe unsafe safe safe Safe Safe Uncle Under",) * 3)
    written = tokenizer.encode("Unsafe", add_special_tokens=False)
    assert len(written) > 1
    found = answer_tokens(tokenizer, ("Yes", "No"), {"Yes": ["Unsafe"], "No": ["Safe"]})
    assert written[0] in found.token_ids[0]


def test_a_beginning_of_both_says_nothing() -> None:
    tokenizer = byte_level_tokenizer(("Yes No yes no",) * 3)
    plain = answer_tokens(tokenizer, ("Yes", "No"))
    more = answer_tokens(tokenizer, ("Yes", "No"), {"Yes": ["bad"], "No": ["bold"]})
    both = tokenizer.encode("b", add_special_tokens=False)[0]
    assert all(both not in ids for ids in more.token_ids)
    assert [set(ids) <= set(theirs) for ids, theirs in zip(plain.token_ids, more.token_ids, strict=True)] == [
        True,
        True,
    ]


def test_an_engine_reads_the_spellings_of_its_model(model_folder: Callable[[str], Path]) -> None:
    folder = str(model_folder("idefics3"))
    plain = TransformersEngine(folder)
    spelled = TransformersEngine(folder, traits=ModelTraits(spellings={"Yes": ("dog",)}))
    (before,), (after,) = choose(plain, ASKED), choose(spelled, ASKED)
    assert after.mass > before.mass
    assert after.probabilities["Yes"] > before.probabilities["Yes"]
    assert spelled.info.digest != plain.info.digest
    assert spelled.info.runtime == plain.info.runtime


def test_served_tokens_are_read_by_the_spellings() -> None:
    reader = ChoiceReader(("Yes", "No"), {"Yes": ["Unsafe", "unsafe"], "No": ["Safe", "safe"]})
    expected = {
        "Un": "Yes", " Unsafe": "Yes", "uns": "Yes", "Sa": "No", "safe": "No", "yes": "Yes", "S": None, "U": None,
        "s": None, "no": "No",
    }  # fmt: skip
    assert {token: reader.token(token) for token in expected} == expected
    assert reader.written("Unsafe, because") == "Yes"
    assert reader.written("safely") is None


def test_without_spellings_nothing_but_the_choices_is_read() -> None:
    reader = ChoiceReader(("Yes", "No"))
    assert [reader.token(token) for token in ("Ye", "N", "Unsafe", "Yes")] == [None, None, None, "Yes"]


# --- the chat template --------------------------------------------------------------------------------------


def with_template(folder: Path, template: str) -> object:
    processor = AutoProcessor.from_pretrained(folder)
    processor.chat_template = template
    return processor


def test_options_reach_the_chat_template(model_folder: Callable[[str], Path]) -> None:
    processor = with_template(model_folder("idefics3"), THINKING)
    assert PromptEncoder(processor).render(ASKED).endswith("Assistant:")
    quiet = PromptEncoder(processor, template_options={"enable_thinking": False})
    assert quiet.render(ASKED).endswith("Assistant: (no thinking)")
    policy = Prompt(ASKED.messages, ASKED.frames, layout=PromptLayout(template_fields=(("policy", " No dogs."),)))
    assert quiet.render(policy).endswith("Assistant: (no thinking) No dogs.")


def test_a_policy_that_the_template_leaves_out_is_no_answer(model_folder: Callable[[str], Path]) -> None:
    """Else the model would judge by another policy than the one that was asked about."""
    prompt = precondition_prompt("A dog.", (FRAME,), QuestionFormat("guard_singguard"))
    with pytest.raises(EngineError, match=r"chat template of .* leaves out 'policy'"):
        choose(TransformersEngine(str(model_folder("idefics3"))), prompt)


def test_an_option_that_the_template_does_not_know_is_named_once(
    model_folder: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    processor = AutoProcessor.from_pretrained(model_folder("idefics3"))
    encoder = PromptEncoder(processor, template_options={"enable_thinking": False})
    assert encoder.render(ASKED) == PromptEncoder(processor).render(ASKED)
    assert [r.message for r in caplog.records] == [
        "the chat template has no variable enable_thinking: it changes nothing"
    ]


def test_options_reach_the_template_of_a_tokenizer_too(model_folder: Callable[[str], Path]) -> None:
    processor = with_template(model_folder("idefics3"), THINKING)
    processor.tokenizer.chat_template, processor.chat_template = processor.chat_template, None
    assert PromptEncoder(processor, template_options={"enable_thinking": False}).render(ASKED).endswith("(no thinking)")


def test_frames_can_stand_behind_the_words_and_an_answer_can_be_begun(model_folder: Callable[[str], Path]) -> None:
    encoder = PromptEncoder(AutoProcessor.from_pretrained(model_folder("idefics3")))
    layout = PromptLayout(frames_last=True, answer_prefix='{"rating": "')
    text = encoder.render(Prompt(ASKED.messages, ASKED.frames, layout=layout))
    assert text == '<s>User: Is there a dog?<image><end_of_utterance>\nAssistant:{"rating": "'
    silent = Prompt((Message("user", ""),), (FRAME,))
    assert encoder.render(silent) == "<s>User: <image><end_of_utterance>\nAssistant:"


@pytest.fixture(scope="module")
def roomy_engine(model_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    """For guard models: long prompts (a small vocabulary makes many tokens of them), and a policy in the template."""
    folder = tmp_path_factory.mktemp("roomy") / "model"
    shutil.copytree(model_folder("idefics3"), folder)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 4096
    (folder / "config.json").write_text(json.dumps(config))
    assert (folder / "chat_template.jinja").is_file()
    (folder / "chat_template.jinja").write_text(THINKING)
    return TransformersEngine(str(folder))


@pytest.mark.parametrize("template", GUARD_TEMPLATES)
def test_every_guard_format_is_answered_whatever_its_layout(template: str, roomy_engine: TransformersEngine) -> None:
    """Questions about one picture in one batch, each answered as if it were alone."""
    style = QuestionFormat(template, frames_last=template == "guard_shieldstral")
    prompts = [precondition_prompt(text, (FRAME,), style) for text in ("A dog.", "A burning house.")]
    together, alone = choose(roomy_engine, *prompts), [choose(roomy_engine, each)[0] for each in prompts]
    for one, other in zip(together, alone, strict=True):
        assert one.prompt_tokens == other.prompt_tokens
        assert one.probabilities["Yes"] == pytest.approx(other.probabilities["Yes"], abs=1e-4)


def test_prompts_that_differ_in_layout_only_are_different_prompts(model_folder: Callable[[str], Path]) -> None:
    engine = TransformersEngine(str(model_folder("idefics3")))
    last = Prompt(ASKED.messages, ASKED.frames, layout=PromptLayout(frames_last=True))
    begun = Prompt(ASKED.messages, ASKED.frames, layout=PromptLayout(answer_prefix="I say "))
    found = choose(engine, ASKED, last, begun)
    assert len({answer.mass for answer in found}) == 3
    assert found[2].prompt_tokens > found[0].prompt_tokens


# --- the image budget ---------------------------------------------------------------------------------------


def test_the_image_budget_reaches_the_processor(model_folder: Callable[[str], Path]) -> None:
    folder = str(model_folder("idefics3"))
    whole = TransformersEngine(folder)
    tiled = ModelTraits(
        image={"size": {"longest_edge": 192}, "max_image_size": {"longest_edge": 96}, "do_image_splitting": True}
    )
    split = TransformersEngine(folder, traits=tiled)
    (one,), (many,) = choose(whole, ASKED), choose(split, ASKED)
    assert many.prompt_tokens > 3 * one.prompt_tokens
    assert split.info.digest != whole.info.digest


def test_an_unknown_image_setting_is_refused(model_folder: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match="its image processor has no setting 'max_pixles'"):
        TransformersEngine(str(model_folder("idefics3")), traits=ModelTraits(image={"max_pixles": 5}))


def test_an_unknown_class_is_refused(model_folder: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match="transformers has no class 'NoSuchProcessor'"):
        TransformersEngine(str(model_folder("idefics3")), traits=ModelTraits(processor_class="NoSuchProcessor"))


# --- from a profile to an engine ----------------------------------------------------------------------------


def test_a_profile_reaches_a_running_engine(model_folder: Callable[[str], Path]) -> None:
    """A folder that follows the profile of a guard model: asked, read and named as one."""
    folder = str(model_folder("idefics3"))
    engine = build_engine(EngineConfig(model=folder, profile="llavaguard-7b", device="cpu"))
    assert engine.info.question_format == QuestionFormat("guard_llavaguard")
    plain = build_engine(EngineConfig(model=folder, device="cpu"))
    assert (plain.info.question_format, plain.info.name) == (None, engine.info.name)
    assert engine.info.digest != plain.info.digest


def test_shieldgemma_2_runs_with_a_tiny_random_model_of_its_kind(tmp_path: Path) -> None:
    """It is wrapped in a classifier, and its own processor ignores the words it is given."""
    folder = build_shieldgemma2(tmp_path / "shieldgemma2")
    engine = build_engine(EngineConfig(model=str(folder), profile="shieldgemma-2", device="cpu"))
    style = engine.info.question_format
    assert style == QuestionFormat("guard_shieldgemma")
    prompts = [precondition_prompt(text, (FRAME,), style) for text in ("A dog.", "A house burns.")]
    found = asyncio.run(engine.choose(prompts))
    assert found[0].mass != found[1].mass
    for prompt, answer in zip(prompts, found, strict=True):
        masses = shieldgemma_masses(folder, prompt.messages[0].text)
        assert answer.mass == pytest.approx(sum(masses), abs=1e-4)
        assert answer.probabilities["Yes"] == pytest.approx(masses[0] / sum(masses), abs=1e-4)


def shieldgemma_masses(folder: Path, policy: str) -> list[float]:
    """As the library itself asks: its own processor, its own model, and the whole vocabulary read aloud."""
    processor = AutoProcessor.from_pretrained(folder)
    inputs = processor(
        images=[Image.fromarray(FRAME.image)],
        custom_policies={"ours": policy},
        policies=["ours"],
        return_tensors="pt",
    )
    assert policy in processor.decode(inputs["input_ids"][0])
    model = ShieldGemma2ForImageClassification.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        probabilities = torch.softmax(model.model(**inputs).logits[0, -1].double(), dim=-1)
    words = {token: processor.decode([token]).strip() for token in range(len(processor.tokenizer))}
    return [
        sum(
            float(probabilities[token])
            for token, word in words.items()
            if word in (choice, choice.lower(), choice.upper())
        )
        for choice in ("Yes", "No")
    ]


# --- a server -----------------------------------------------------------------------------------------------


def rated(request: Request) -> JSON:
    return one_token([("Un", 0.6), ("Safe", 0.3)])


def test_a_server_is_asked_and_read_as_the_profile_says() -> None:
    traits = ModelTraits(
        chat_template={"enable_thinking": False, "mode": "fast"},
        spellings={"Yes": ("Unsafe",), "No": ("Safe",)},
        question=QuestionSettings(template="guard_llavaguard"),
    )
    with serve_chat(rated) as server:
        options = OpenAIOptions(base_url=server.base_url, extra_body={"chat_template_kwargs": {"mode": "slow"}})
        engine = OpenAIEngine("m", options, traits=traits)
        prompt = precondition_prompt("A dog.", (FRAME,), engine.info.question_format)
        (answer,) = choose(engine, prompt)
        plain = OpenAIEngine("m", OpenAIOptions(base_url=server.base_url, extra_body=options.extra_body))
        body = server.requests[1].body
    assert answer.probabilities["Yes"] == pytest.approx(2 / 3)
    assert answer.mass == pytest.approx(0.9)
    assert body["chat_template_kwargs"] == {"enable_thinking": False, "mode": "slow"}, "what was set by hand wins"
    assert body["messages"][-1] == {"role": "assistant", "content": '{\n    "rating": "'}
    assert (body["add_generation_prompt"], body["continue_final_message"]) == (False, True)
    assert [part["type"] for part in body["messages"][0]["content"]] == ["image_url", "text"]
    assert engine.info.digest != plain.info.digest


def test_a_server_gets_the_policy_and_the_picture_where_the_model_wants_them() -> None:
    with serve_chat(rated) as server:
        engine = OpenAIEngine(
            "m",
            OpenAIOptions(base_url=server.base_url),
            traits=ModelTraits(spellings={"Yes": ("Un",), "No": ("Safe",)}),
        )
        styles = QuestionFormat("guard_singguard"), QuestionFormat("guard_shieldstral", frames_last=True)
        choose(engine, *(precondition_prompt("A dog.", (FRAME,), style) for style in styles))
        sent = {len(request.body["messages"]): request.body for request in server.requests[1:]}
    assert "A dog." in sent[1]["chat_template_kwargs"]["policy"]
    assert [part["type"] for part in sent[1]["messages"][0]["content"]] == ["image_url"]
    assert [part["type"] for part in sent[2]["messages"][1]["content"]] == ["text", "image_url"]
    assert "chat_template_kwargs" not in sent[2]


def test_words_that_no_server_token_spells_are_unreadable() -> None:
    with serve_chat(rated) as server:
        engine = OpenAIEngine("m", OpenAIOptions(base_url=server.base_url))
        assert choose(engine, ASKED)[0].mass == 0.0
