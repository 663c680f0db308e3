"""Everything that can be set of the service: one YAML becomes one frozen model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from judge.config import JudgeConfig
from judge.config.base import Settings

Seconds = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Scope = Literal["judge", "admin"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class UrlSettings(Settings):
    """Whether callers may name media by URL."""

    enabled: bool = False
    """Off: only bytes in the request are judged."""
    hosts: tuple[str, ...] = ()
    """Hosts that may be asked, e.g. `images.example.org` or `*.example.org`; redirects too. Must not be empty if URLs
    are enabled; `*` = every public host."""
    timeout_s: Seconds = 20.0
    """For one URL, redirects included."""

    @model_validator(mode="after")
    def _some_host(self) -> UrlSettings:
        if self.enabled and not self.hosts:
            raise ValueError("hosts must name the hosts that may be asked, or `*` for every public one")
        return self


class HttpSettings(Settings):
    """What a request may be."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port; 0 = any free one."""
    max_body_bytes: Count = 32 * 2**20
    """Largest request body; larger ones are refused before they are read."""
    max_media: Annotated[int, Field(ge=1, le=64)] = 16
    """Most media in one request."""
    max_media_bytes: Count = 16 * 2**20
    """Largest single picture or video, decoded from base64."""
    deadline_s: Seconds = 60.0
    """Most seconds for one request; callers may ask for less."""
    body_timeout_s: Seconds = 30.0
    """A body that takes longer to arrive is refused: slow senders hold no place."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call the API; none by default."""
    page: bool = True
    """Serve the page to try it at `/`."""
    inline_constitutions: bool = False
    """Callers may send a constitution of their own with a request."""
    urls: UrlSettings = UrlSettings()
    """Media by URL."""


class KeySettings(Settings):
    """An API key that the settings know; others are in the database."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """For logs and metrics."""
    sha256: Sha256
    """Of the key; the key itself is written nowhere."""
    scopes: tuple[Scope, ...] = ("judge",)
    """What it may do."""
    requests_per_minute: Count | None = None
    """Over the default of `auth`."""
    media_per_day: Count | None = None
    """Over the default of `auth`."""


class AuthSettings(Settings):
    """Who may call."""

    mode: Literal["keys", "open"] = "keys"
    """`open`: everybody who reaches the port may do everything; taken only together with a loopback address."""
    keys: tuple[KeySettings, ...] = ()
    """Keys, beside those in the database."""
    requests_per_minute: Count | None = None
    """Limit of each key; None = none."""
    media_per_day: Count | None = None
    """Quota of each key, by day in UTC; None = none."""


class QueueSettings(Settings):
    """How much may be under way; what is beyond it gets 429 before memory grows."""

    max_ongoing: Count = 32
    """Media that are judged at the same time by one judge replica."""
    max_queued: Annotated[int, Field(ge=0)] = 64
    """Media that wait for a place, in each gateway."""
    max_queued_bytes: Count = 256 * 2**20
    """Bytes of bodies held at the same time in each gateway."""
    retry_after_s: Seconds = 1.0
    """What a refused caller is told."""


class CacheSettings(Settings):
    """Verdicts kept for the same bytes under the same versions."""

    entries: Annotated[int, Field(ge=0)] = 4096
    """Most verdicts in memory of each judge replica; 0 = none are kept."""
    max_bytes: Annotated[int, Field(ge=0)] = 128 * 2**20
    """Most memory for them."""
    in_database: bool = False
    """Keep them in the database of `store` as well: there they outlast a restart, and every judge that reaches it finds
    what another has judged. Costs a query for each picture that is new."""


class StoreSettings(Settings):
    """The database, and the folder of media that wait for a job."""

    url: str = ""
    """SQLAlchemy address, e.g. `postgresql+psycopg://...`; empty = an SQLite file in `folder`."""
    folder: Path | None = None
    """For the SQLite file and waiting media; None = the user's data folder."""
    keep_verdicts: bool = True
    """Keep verdicts when a request asks for it (`store`)."""
    keep_days: Count = 30
    """Days after which stored and cached verdicts and ended jobs are deleted."""


class WebhookSettings(Settings):
    """Who is told when a job has ended."""

    hosts: tuple[str, ...] = ()
    """Hosts that may be told; empty = no webhooks. `*` = every public host."""
    secret_env: str = "VISUAL_JUDGE_WEBHOOK_SECRET"
    """NAME of the environment variable that holds the key of the signatures. Never the key itself."""
    timeout_s: Seconds = 10.0
    """For one attempt."""
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 6
    """Attempts, with growing pauses."""
    first_pause_s: Seconds = 2.0
    """Pause after the first failed attempt; each next one is twice as long."""


class JobSettings(Settings):
    """Video jobs."""

    workers: Annotated[int, Field(ge=0)] = 1
    """Videos judged at the same time; 0 = jobs are taken and wait."""
    lease_s: Seconds = 60.0
    """A worker that does not report for so long is taken for dead, and its job begins again."""
    max_attempts: Count = 3
    """Beginnings of one job before it has failed."""
    deadline_s: Seconds = 900.0
    """Most seconds for one video."""
    max_waiting: Count = 1000
    """Jobs that may wait; further ones get 429."""
    webhooks: WebhookSettings = WebhookSettings()
    """Who is told."""


class ReplicaSettings(Settings):
    """Replicas of one kind of deployment."""

    min_replicas: Count = 1
    """Fewest."""
    max_replicas: Count = 1
    """Most; more than the fewest = autoscaled."""
    target_ongoing: Annotated[float, Field(gt=0.0)] = 8.0
    """Requests of each replica that autoscaling aims at."""
    num_cpus: Annotated[float, Field(ge=0.0)] = 0.0
    """Reserved in the cluster. 0 = Ray counts none: right for one small machine."""
    num_gpus: Annotated[float, Field(ge=0.0)] = 0.0
    """Reserved in the cluster; fractions share a GPU."""
    max_ongoing: Count = 64
    """Calls that one replica works on at the same time."""


class GatewaySettings(ReplicaSettings):
    """What speaks HTTP."""

    max_ongoing: Count = 512
    """Requests that one replica works on at the same time."""
    in_ray: bool = True
    """Replicas behind Ray's proxy, any number of them. Off: `judge serve` speaks HTTP itself, in its own process, and
    calls the judges from there: nothing of Ray stands between a caller and what refuses it. The other settings of
    gateways are not read then."""


class ContractSettings(Settings):
    """Contracts of others (OpenAI's moderations, LiteLLM's guardrail), which know yes and no and nothing between."""

    uncertain: Literal["flag", "pass"] = "flag"
    """What an undecided verdict, or for a guardrail an unreadable picture, becomes: `flag` = as unsafe is told;
    `pass` = as safe is told. What was decided stands in `visual_judge` either way."""
    unjudged_text: Literal["pass", "block"] = "pass"
    """A guardrail's answer to text without a picture where the constitution has no rule about text."""


class TelemetrySettings(Settings):
    """Logs, metrics, traces."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Of the service's own log."""
    metrics: bool = True
    """Serve `/metrics`."""
    traces_endpoint: str = ""
    """Address of an OpenTelemetry collector (OTLP over HTTP); empty = no traces."""


class ServeSettings(Settings):
    """The service."""

    judge: JudgeConfig = JudgeConfig()
    """Model, thresholds, stages, videos: as `judge score --config`."""
    constitution: str = "stickers"
    """The one that is applied when a request names none."""
    http: HttpSettings = HttpSettings()
    """What a request may be."""
    auth: AuthSettings = AuthSettings()
    """Who may call."""
    queue: QueueSettings = QueueSettings()
    """How much may be under way."""
    cache: CacheSettings = CacheSettings()
    """Verdicts kept in memory."""
    store: StoreSettings = StoreSettings()
    """The database."""
    jobs: JobSettings = JobSettings()
    """Video jobs."""
    decoders: Count = 2
    """Processes of each judge replica that decode pictures."""
    gateways: GatewaySettings = GatewaySettings()
    """Replicas that speak HTTP, or the process that does."""
    judges: ReplicaSettings = ReplicaSettings()
    """Replicas that run the pipeline."""
    engine: ReplicaSettings = ReplicaSettings()
    """Replicas of the judge's own model."""
    engine_in_judge: bool = False
    """Every judge replica loads the judge's model itself: one process and one hop fewer for each request, right for one
    small model on one machine. `engine` is not read then, and `judges` reserves what the model needs."""
    panel: Mapping[str, ReplicaSettings] = Field(default_factory=dict)
    """Replicas of the models of `judge.panel`, by name; those not named get one replica."""
    batch_wait_ms: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.0
    """How long an idle model waits for more calls to ask together; a busy one gathers them anyway. Not for engines that
    batch by themselves."""
    contracts: ContractSettings = ContractSettings()
    """Contracts of others."""
    telemetry: TelemetrySettings = TelemetrySettings()
    """Logs, metrics, traces."""
