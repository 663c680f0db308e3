"""What can be set. Nothing here reads the environment, and nothing below the entry points reads files."""

from judge.config.base import Fraction, Logit, Margin, Settings
from judge.config.calibrated import (
    Calibrated,
    CalibratedSide,
    CalibratedStage,
    LabelledData,
    MadeWith,
    ScoreMap,
)
from judge.config.cascade import Cascade, ReasoningSettings, RegionSettings, RelevanceSettings
from judge.config.choices import StageChoice
from judge.config.debate import DebateRole, DebateSettings, RefusalPolicy, VoteSettings
from judge.config.engine import NO_TRAITS, EngineConfig, ModelTraits, QuestionSettings, VllmOptions
from judge.config.judge import JudgeConfig, first_problem, load_config, load_settings, one_line
from judge.config.server import OpenAIOptions
from judge.config.thresholds import CorpusStatistics, Mixture, Preset, Thresholds
from judge.config.video import (
    ClipSettings,
    DecodingSettings,
    SamplingName,
    SamplingSettings,
    TimelineSettings,
    VideoSettings,
)

__all__ = [
    "NO_TRAITS",
    "Calibrated",
    "CalibratedSide",
    "CalibratedStage",
    "Cascade",
    "ClipSettings",
    "CorpusStatistics",
    "DebateRole",
    "DebateSettings",
    "DecodingSettings",
    "EngineConfig",
    "Fraction",
    "JudgeConfig",
    "LabelledData",
    "Logit",
    "MadeWith",
    "Margin",
    "Mixture",
    "ModelTraits",
    "OpenAIOptions",
    "Preset",
    "QuestionSettings",
    "ReasoningSettings",
    "RefusalPolicy",
    "RegionSettings",
    "RelevanceSettings",
    "SamplingName",
    "SamplingSettings",
    "ScoreMap",
    "Settings",
    "StageChoice",
    "Thresholds",
    "TimelineSettings",
    "VideoSettings",
    "VllmOptions",
    "VoteSettings",
    "first_problem",
    "load_config",
    "load_settings",
    "one_line",
]
