"""The named models: strict data, one place that resolves a name, and what the user chose always wins."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from judge.config import EngineConfig, ModelTraits, QuestionSettings
from judge.engines.build import ENGINES, build_engine
from judge.errors import ConfigError
from judge.profiles import find_profile, load_profiles, parse_profiles, resolve_profile
from judge.prompts.render import GUARD_TEMPLATES

NAMES = [
    "stickers-vlm",
    "smolvlm-256m",
    "smolvlm-2.2b",
    "smolvlm2-2.2b",
    "qwen3-vl-2b",
    "qwen3-vl-8b",
    "qwen3-vl-32b",
    "internvl3.5-8b",
    "gemma-3-4b",
    "shieldstral-3b",
    "singguard-2b",
    "singguard-8b",
    "llavaguard-7b",
    "shieldgemma-2",
]
MINE = """
profiles:
  - name: mine
    kind: guard
    purpose: ours
    repository: me/mine
    revision: 0123456789012345678901234567890123456789
    engine: vllm
    dtype: float16
    parameters: 1000000000
    verified: true
    tested: by me
    traits:
      chat_template: {enable_thinking: false, style: short}
      image: {max_pixels: 5}
      spellings: {"Yes": [bad]}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE, encoding="utf-8")
    return path


def test_every_promised_model_is_there() -> None:
    assert list(load_profiles()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_honest_and_usable(name: str) -> None:
    profile = find_profile(name)
    assert profile.tested.endswith(".")
    assert profile.sources
    assert profile.engine in ENGINES.names()
    assert (profile.repository is None) == (profile.kind == "embedded")
    assert (profile.traits.question is not None) == (profile.kind == "guard")
    assert profile.verified or profile.note, "what is not verified says so"
    if profile.traits.question:
        assert profile.traits.question.template in GUARD_TEMPLATES
    if profile.kind != "embedded":
        assert "not run here" in profile.tested


def test_only_the_embedded_model_claims_to_have_been_run_whole() -> None:
    assert [p.name for p in load_profiles().values() if "run whole" in p.tested] == ["stickers-vlm"]


def test_gated_models_say_so() -> None:
    assert [p.name for p in load_profiles().values() if p.gated] == ["gemma-3-4b", "shieldgemma-2"]


def test_memory_is_weights_in_bfloat16_and_a_stated_estimate(mine: Path) -> None:
    assert find_profile("mine", mine).memory_bytes == 2_000_000_000 + 400_000_000 + (1 << 30)
    without = parse_profiles(MINE.replace("    parameters: 1000000000\n", ""), "x")["mine"]
    assert without.memory_bytes is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("purpose:", "porpose:", "profile 'mine' in 'x': purpose: Field required (and 1 more)"),
        ("engine: vllm", "engine: vlm", "profile 'mine' in 'x': engine: Input should be 'transformers', 'vllm'"),
        ("kind: guard", "kind: guard\n    colour: red", "profile 'mine' in 'x': colour: there is no such setting"),
        ("image:", "images:", "profile 'mine' in 'x': traits.images: there is no such setting"),
        ("name: mine", "name: Mine!", "profile 'Mine!' in 'x': name: String should match"),
        ("name: mine", "name: [1]", "profile 1 in 'x': name: Input should be a valid string"),
        ("0123456789012345678901234567890123456789", "main", "profile 'mine' in 'x': revision:"),
        ("parameters: 1000000000", "parameters: 0", "profile 'mine' in 'x': parameters: Input should be greater"),
        ("profiles:", "profile:", "profiles 'x' must be a mapping with one list, 'profiles'"),
        ("profiles:", "profiles: {", "profiles 'x' are not valid YAML"),
        ("verified: true", "verified: !!python/name:os.system", "are not valid YAML"),
    ],
)
def test_a_wrong_profile_is_named(old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_profiles(MINE.replace(old, new, 1), "x")
    assert message in str(caught.value)


def test_a_name_is_given_once(tmp_path: Path) -> None:
    twice = MINE + MINE.split("profiles:\n", 1)[1]
    with pytest.raises(ConfigError, match="profiles 'x': the name 'mine' is taken"):
        parse_profiles(twice, "x")
    path = tmp_path / "more.yaml"
    path.write_text(MINE.replace("name: mine", "name: qwen3-vl-8b"))
    with pytest.raises(ConfigError, match="the name 'qwen3-vl-8b' is taken"):
        load_profiles(path)


def test_an_entry_that_is_no_mapping_is_counted() -> None:
    with pytest.raises(ConfigError, match="profile 1 in 'x'"):
        parse_profiles("profiles: [3]", "x")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_profiles(tmp_path / "none.yaml")


def test_an_unknown_name_gets_a_hint() -> None:
    with pytest.raises(ConfigError, match=r"unknown model profile 'qwen3-vl-7b' \(did you mean 'qwen3-vl-8b'\?\)"):
        find_profile("qwen3-vl-7b")


# --- resolution ---------------------------------------------------------------------------------------------


def test_what_is_no_profile_stays_as_it_is() -> None:
    for config in (EngineConfig(model="owner/name"), EngineConfig(name="scripted", model="script.json")):
        assert resolve_profile(config) is config


def test_the_default_model_is_used_as_before() -> None:
    found = resolve_profile(EngineConfig())
    assert (found.name, found.model, found.dtype, found.revision) == ("transformers", "stickers-vlm", "auto", None)
    assert found.traits == ModelTraits()
    assert found.traits.added_to("digest") == "digest"


def test_a_profile_fills_in_everything(mine: Path) -> None:
    found = resolve_profile(EngineConfig(model="mine", profiles_file=mine))
    profile = find_profile("mine", mine)
    assert (found.profile, found.name, found.model, found.dtype) == ("mine", "vllm", "me/mine", "float16")
    assert found.revision == profile.revision
    assert found.traits == profile.traits
    assert not found.trust_remote_code
    assert resolve_profile(found) == found


def test_what_was_chosen_wins(mine: Path) -> None:
    chosen = EngineConfig(
        model="mine",
        profiles_file=mine,
        name="transformers",
        dtype="float32",
        revision="main",
        trust_remote_code=True,
        traits=ModelTraits(
            chat_template={"style": "long"}, spellings={"Yes": ("evil",)}, question=QuestionSettings(template="other")
        ),
    )
    found = resolve_profile(chosen)
    assert (found.name, found.model, found.dtype, found.revision) == ("transformers", "me/mine", "float32", "main")
    assert found.trust_remote_code
    assert found.traits == ModelTraits(
        chat_template={"enable_thinking": False, "style": "long"},
        image={"max_pixels": 5},
        spellings={"Yes": ("evil",)},
        question=QuestionSettings(template="other"),
    )


def test_choosing_the_default_is_a_choice_too(mine: Path) -> None:
    found = resolve_profile(EngineConfig(model="mine", profiles_file=mine, name="transformers", revision=None))
    assert (found.name, found.revision) == ("transformers", None)


def test_options_laid_over_a_file_are_choices(mine: Path) -> None:
    from_file = EngineConfig(profiles_file=mine)
    found = resolve_profile(from_file.model_copy(update={"model": "mine", "name": "openai"}))
    assert (found.name, found.model) == ("openai", "me/mine")


def test_a_folder_or_a_served_name_can_follow_a_profile(mine: Path) -> None:
    found = resolve_profile(EngineConfig(model="/data/copy", profile="mine", profiles_file=mine))
    assert (found.model, found.revision) == ("/data/copy", None)
    assert found.traits == find_profile("mine", mine).traits


def test_which_revision_a_server_or_a_folder_holds_is_not_claimed(mine: Path) -> None:
    served = resolve_profile(EngineConfig(model="mine", profiles_file=mine, name="openai"))
    assert served.revision is None
    chosen = resolve_profile(EngineConfig(model="mine", profiles_file=mine, name="openai", revision="v2"))
    assert chosen.revision == "v2"


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"chat_template": {"tokenize": True}}, "tokenize: set by the engine itself"),
        ({"spellings": {"Yes": ["bad"], "No": ["bad"]}}, "mean one choice only"),
        ({"spellings": {"Yes": [""]}}, "not empty"),
        ({"spellings": {"Yes": [" bad"]}}, "must be bare"),
        ({"processor_class": "os.system"}, "String should match"),
        ({"question": {"template": "../secret"}}, "String should match"),
    ],
)
def test_traits_that_cannot_be_meant_are_refused(traits: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ModelTraits.model_validate(traits)


def test_a_wrong_profile_name_stops_the_engine() -> None:
    with pytest.raises(ConfigError, match="unknown model profile 'gwen3-vl-8b'"):
        build_engine(EngineConfig(model="owner/name", profile="gwen3-vl-8b"))


def test_traits_are_part_of_the_digest() -> None:
    every = [
        ModelTraits(),
        ModelTraits(chat_template={"enable_thinking": False}),
        ModelTraits(image={"max_pixels": 1}),
        ModelTraits(image={"max_pixels": 2}),
        ModelTraits(spellings={"Yes": ("Unsafe",)}),
        ModelTraits(question=QuestionSettings(template="a")),
        ModelTraits(question=QuestionSettings(template="a", frames_last=True)),
        ModelTraits(processor_class="Gemma3Processor"),
        ModelTraits(wrapper_class="Gemma3Model"),
    ]
    assert len({traits.added_to("digest") for traits in every}) == len(every)
