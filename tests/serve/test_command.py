"""`judge serve` up to the point where Ray would start, and the configuration files that ship."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import yaml

from judge.config import load_settings
from judge.engines.build import ENGINES
from judge.errors import ConfigError
from judge.profiles import resolve_profile
from serve.app import build_app, build_app_from_yaml, build_judges
from serve.command import check, read_settings, with_options
from serve.gate import build_gate
from serve.settings import ServeSettings
from tests.cli.running import judge

FOLDER = Path(__file__).parents[2] / "serve"
KUBERAY = FOLDER / "configs" / "kuberay.yaml"
PLAIN = sorted({FOLDER / "config.yaml", *(FOLDER / "configs").glob("*.yaml")} - {KUBERAY})


def test_help_has_examples_that_are_options_of_the_command() -> None:
    shown = judge("serve", "--help")
    assert shown.returncode == 0
    for words in ("judge serve --config", "--port", "--host", "--model", "--constitution", "--address"):
        assert words in shown.stdout


def test_the_schema_describes_every_setting() -> None:
    schema = json.loads(judge("serve", "schema").stdout)
    assert {"http", "auth", "queue", "engine", "store", "jobs"} <= schema["properties"].keys()
    parts = {f"#/$defs/{name}": part.get("description") for name, part in schema["$defs"].items()}
    silent = [
        name for name, field in schema["properties"].items()
        if not field.get("description") and not parts.get(field.get("$ref", ""))
    ]  # fmt: skip
    assert silent == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "auth.mode 'open'"),
        (["--constitution", "genral"], "did you mean 'general'?"),
        (["--config", "no/such.yaml"], "cannot be read"),
        (["--port", "99999"], "65535"),
    ],
)
def test_wrong_usage_exits_with_2_before_anything_starts(options: list[str], words: str) -> None:
    found = judge("serve", *options)
    assert found.returncode == 2
    assert words in found.stderr


def test_a_port_that_is_taken_is_found_before_ray_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = with_options(read_settings(None), port=taken.getsockname()[1])
        with pytest.raises(ConfigError, match="cannot listen on") as caught:
            check(settings)
    assert caught.value.hint == "choose another --port"


def test_options_are_laid_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("http: {port: 1234, host: 0.0.0.0}\njudge: {engine: {device: cpu}}\n")
    settings = with_options(read_settings(path), port=9, model="smolvlm-256m", constitution="general")
    assert (settings.http.port, settings.http.host, settings.auth.mode) == (9, "0.0.0.0", "keys")
    assert (settings.judge.engine.model, settings.judge.engine.device) == ("smolvlm-256m", "cpu")
    assert settings.constitution == "general"


def test_a_wrong_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("http: {prot: 8000}\n")
    with pytest.raises(ConfigError, match=r"http\.prot: there is no such setting"):
        read_settings(path)
    with pytest.raises(ConfigError, match=r"args: queue\.max_ongoing"):
        build_app_from_yaml({"queue": {"max_ongoing": 0}})


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.name)
def test_a_shipped_file_is_settings_that_make_an_application(path: Path) -> None:
    settings = load_settings(ServeSettings, path)
    build_gate(settings)
    for engine in (settings.judge.engine, *settings.judge.panel.values()):
        assert resolve_profile(engine).name in ENGINES.names()
    assert settings.panel.keys() <= settings.judge.panel.keys()
    assert build_app(settings)._bound_deployment.name == "gateway"


def test_the_file_for_kuberay_is_a_ray_service_with_our_application() -> None:
    content = yaml.safe_load(KUBERAY.read_text(encoding="utf-8"))
    assert (content["apiVersion"], content["kind"]) == ("ray.io/v1", "RayService")
    (described,) = yaml.safe_load(content["spec"]["serveConfigV2"])["applications"]
    assert described["import_path"] == "serve.app:build_app_from_yaml"
    assert build_app_from_yaml(described["args"])._bound_deployment.name == "gateway"
    cluster = content["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    images = {each["image"] for group in groups for each in group["template"]["spec"]["containers"]}
    assert len(images) == 1  # Ray wants the same Python and packages on every node


def test_a_cluster_that_asks_for_no_keys_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"auth\.mode 'open'"):
        build_app_from_yaml({"auth": {"mode": "open"}, "http": {"host": "0.0.0.0"}})


def test_a_cluster_alone_has_no_process_that_would_speak_http() -> None:
    with pytest.raises(ConfigError, match=r"gateways\.in_ray must be true") as caught:
        build_app_from_yaml({"gateways": {"in_ray": False}})
    assert "judge serve --config" in caught.value.hint
    assert build_judges(ServeSettings())._bound_deployment.name == "judge"
