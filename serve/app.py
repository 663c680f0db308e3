"""The Ray Serve application: gateway (HTTP) -> judges (the pipeline) -> engines (one model each).

The classes are plain; here they become deployments. Every limit that Serve leaves open is set: how much may be under
way and wait, how long a replica drains, how often it is asked whether it lives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from fastapi import FastAPI
from pydantic import ValidationError
from ray import serve
from ray.serve.config import BackpressureConfig

from judge.config import first_problem
from judge.errors import ConfigError
from serve.assembly import build_context
from serve.engine_replica import EngineReplica
from serve.gate import build_gate
from serve.gateway import create_gateway
from serve.judge_replica import JudgeReplica, RayBackend
from serve.limits import Admission
from serve.logs import configure_logs
from serve.settings import ReplicaSettings, ServeSettings

if TYPE_CHECKING:
    from ray.serve import Application
    from ray.serve.handle import DeploymentHandle

APP_NAME = "visual-judge"
_HASHED: Any = {
    "request_router_class": "ray.serve.experimental.consistent_hash_router.ConsistentHashRouter",
    "initial_backoff_s": 0.005,
    "max_backoff_s": 0.05,  # Ray's own pauses between two looks for a free replica grow to 0.5 s
}
"""The same picture to the same replica, by `session_id`: it has it encoded, or knows the verdict."""
_DRAIN_EXTRA_S = 10.0
_HEALTH_PERIOD_S = 10.0
_HEALTH_TIMEOUT_S = 60.0
"""A health question waits behind what the model is doing."""


class Gateway:
    """Speaks HTTP; Serve takes the application that it builds."""

    def __init__(self, settings: ServeSettings, judges: DeploymentHandle) -> None:  # type: ignore[type-arg]
        configure_logs(settings.telemetry.log_level)
        self._settings = settings
        self._judges = judges

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_gateway(build_context(self._settings, RayBackend(self._judges)))


def build_app(settings: ServeSettings) -> Application:
    """The whole application, for `serve.run`; `build_app_from_yaml` names it for `serve run` and `serve deploy`."""
    gateway = _deployment(
        serve.ingress()(Gateway),
        name="gateway",
        max_ongoing_requests=settings.gateways.max_ongoing,
        max_queued_requests=settings.queue.max_queued,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=settings.queue.retry_after_s),
        **_replicas(settings.gateways, settings),
    )
    return gateway.bind(settings, build_judges(settings))


def build_judges(settings: ServeSettings) -> Application:
    """The application without its gateways: for a gateway elsewhere, over a handle."""
    engine = None
    if not settings.engine_in_judge:
        engine = _engine("engine", settings.engine, settings).bind(settings.judge.engine, settings.batch_wait_ms)
    panel = {
        name: _engine(f"panel-{name}", settings.panel.get(name, ReplicaSettings()), settings).bind(
            config, settings.batch_wait_ms
        )
        for name, config in settings.judge.panel.items()
    }
    return _deployment(
        JudgeReplica,
        name="judge",
        max_ongoing_requests=settings.queue.max_ongoing,
        # Gateways refuse what is too much before they read it (`serve.limits`). Serve's own limit lies above theirs: it
        # counts a place as taken a little longer, and would refuse what was let in.
        max_queued_requests=Admission(settings).max_media + settings.http.max_media,
        request_router_config=_HASHED,
        **_replicas(settings.judges, settings),
    ).bind(settings, engine, panel)


def build_app_from_yaml(args: Mapping[str, Any]) -> Application:
    """For Serve's own configuration files: `import_path: serve.app:build_app_from_yaml`, settings under `args`.

    Raises:
        ConfigError: A setting is wrong; it is named. Or everybody would be let in.
    """
    try:
        settings = ServeSettings.model_validate(dict(args))
    except ValidationError as error:
        raise ConfigError(f"args: {first_problem(error)}") from error
    if not settings.gateways.in_ray:
        told = "args: gateways.in_ray must be true where no process of `judge serve` runs beside the cluster"
        raise ConfigError(told, hint="remove it, or start the service with `judge serve --config`")
    build_gate(settings)
    return build_app(settings)


def _engine(name: str, replicas: ReplicaSettings, settings: ServeSettings) -> serve.Deployment:
    return _deployment(
        EngineReplica,
        name=name,
        max_ongoing_requests=replicas.max_ongoing,
        max_queued_requests=settings.queue.max_ongoing * settings.judges.max_replicas,
        request_router_config=_HASHED,
        **_replicas(replicas, settings),
    )


def _deployment(cls: type, **options: Any) -> serve.Deployment:
    return cast("serve.Deployment", serve.deployment(cls, **options))


def _replicas(replicas: ReplicaSettings, settings: ServeSettings) -> dict[str, Any]:
    """How many there are, what each reserves, and how each is watched and ended."""
    fixed = replicas.min_replicas == replicas.max_replicas
    count: dict[str, Any] = {"num_replicas": replicas.min_replicas}
    scaled: dict[str, Any] = {
        "autoscaling_config": {
            "min_replicas": replicas.min_replicas,
            "max_replicas": replicas.max_replicas,
            "target_ongoing_requests": replicas.target_ongoing,
        }
    }
    return {
        **(count if fixed else scaled),
        "ray_actor_options": {"num_cpus": replicas.num_cpus, "num_gpus": replicas.num_gpus},
        "graceful_shutdown_timeout_s": settings.http.deadline_s + _DRAIN_EXTRA_S,
        "health_check_period_s": _HEALTH_PERIOD_S,
        "health_check_timeout_s": _HEALTH_TIMEOUT_S,
        # A new replica comes up before an old one ends, where there is room for both; a GPU has room for one.
        "max_surge_percent": 0 if replicas.num_gpus else 100,
    }
