"""The database: its schema and upgrades, keys, kept verdicts, what is deleted when, and what goes wrong."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text, update

from judge.errors import ConfigError, MediaError
from serve.command import main
from serve.problems import Conflict, StoreError
from serve.settings import KeySettings, StoreSettings
from serve.store.database import Database
from serve.store.migrate import migrate, newest_revision
from serve.store.models import Base, DeliveryRow, JobRow, KeyRow, VerdictRow
from serve.store.opening import open_database, open_store

from .gateways import KEY, OTHER_KEY, asks, bearer, client_of, picture, with_keys
from .remembering import count, remembering, started, store_of, video, waiting_files

# --- schema -------------------------------------------------------------------------------------------------


def test_migrations_and_models_agree(tmp_path: Path) -> None:
    with (
        closing(open_store(StoreSettings(folder=tmp_path))) as store,
        store.database.engine.connect() as connection,
    ):
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_an_older_schema_is_upgraded_and_keeps_what_it_has(tmp_path: Path) -> None:
    settings = StoreSettings(folder=tmp_path)
    with closing(open_database(settings)) as old:
        assert migrate(old, "0001") == ("", "0001")
        assert not inspect(old.engine).has_table("jobs")
        row = "INSERT INTO api_keys (id, name, sha256, scopes, created_at_s) VALUES ('1', 'old', :sha256, 'judge', 1.0)"
        old.write_now(lambda session: session.execute(text(row), {"sha256": "0" * 64}))
    with closing(open_store(settings)) as store:
        assert inspect(store.database.engine).has_table("jobs")
        assert [key.name for key in store.keys.list()] == ["old"]
        assert migrate(store.database) == (newest_revision(), newest_revision())


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    settings = StoreSettings(folder=tmp_path)
    with closing(open_store(settings)) as store:
        store.database.write_now(lambda session: session.execute(text("UPDATE alembic_version SET version_num='9999'")))
    with pytest.raises(ConfigError, match="not known to this version") as refused:
        open_store(settings)
    assert "newer version" in refused.value.hint
    with closing(open_database(settings)) as database:
        found = database.read_now(lambda session: session.scalar(text("SELECT version_num FROM alembic_version")))
    assert found == "9999"


def test_several_processes_that_start_together_all_start(tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib\n"
        "from serve.settings import StoreSettings\n"
        "from serve.store.opening import open_store\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "(folder / f'ready-{sys.argv[2]}').touch()\n"
        "while len(list(folder.glob('ready-*'))) < 3: time.sleep(0.001)\n"
        "store = open_store(StoreSettings(folder=folder))\n"
        "store.keys.new(f'key-{sys.argv[2]}')\n"
        "store.close()\n"
    )
    started = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(number)]) for number in range(3)]
    assert [process.wait(timeout=120) for process in started] == [0, 0, 0]
    with closing(open_store(StoreSettings(folder=tmp_path))) as store:
        assert sorted(key.name for key in store.keys.list()) == ["key-0", "key-1", "key-2"]


async def test_writers_of_two_gateways_lose_nothing(tmp_path: Path) -> None:
    settings = StoreSettings(folder=tmp_path)
    with closing(open_store(settings)) as one, closing(open_store(settings)) as other:
        one.keys.new("counted")

        def count_up(database: Database) -> None:
            def add(session: object) -> None:
                row = session.scalar(text("SELECT media_per_day FROM api_keys"))  # type: ignore[attr-defined]
                session.execute(text("UPDATE api_keys SET media_per_day = :n"), {"n": (row or 0) + 1})  # type: ignore[attr-defined]

            database.write_now(add)

        each = [asyncio.to_thread(count_up, store.database) for _ in range(25) for store in (one, other)]
        await asyncio.gather(*each)
        found = one.database.read_now(lambda session: session.scalar(text("SELECT media_per_day FROM api_keys")))
    assert found == 50


# --- what goes wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("no-url", "names no database"),
        ("nosuchdatabase://host/name", "names no database"),
        ("mssql+pymssql://host/name", "driver of store.url is not installed: pymssql"),
    ],
)
def test_a_url_that_cannot_be_used(url: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        open_store(StoreSettings(url=url, folder=tmp_path))


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"this is something else" * 100)
    with pytest.raises(StoreError, match="cannot be opened"):
        open_store(StoreSettings(folder=tmp_path))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be made"):
        open_store(StoreSettings(folder=tmp_path / "file" / "folder"))


async def test_a_database_that_breaks_is_503_without_its_text(tmp_path: Path) -> None:
    async with remembering(tmp_path) as context, client_of(context) as http:
        store_of(context).database.write_now(lambda session: session.execute(text("DROP TABLE jobs")))
        answer = await http.get("/v1/video/jobs/0")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
    assert answer.json()["error"]["message"] == "the database cannot be used now"
    assert answer.headers["Retry-After"] == "1"


# --- keys ---------------------------------------------------------------------------------------------------


async def test_a_key_is_found_by_its_digest_until_it_is_revoked(tmp_path: Path) -> None:
    with closing(open_store(StoreSettings(folder=tmp_path))) as store:
        key = store.keys.new("app", ("judge", "admin"), requests_per_minute=5, media_per_day=7)
        sha256 = hashlib.sha256(key.encode()).hexdigest()
        expected = KeySettings(
            name="app", sha256=sha256, scopes=("judge", "admin"), requests_per_minute=5, media_per_day=7
        )
        assert await store.keys.find(sha256) == expected
        assert await store.keys.find("0" * 64) is None
        with pytest.raises(Conflict, match="there is a key 'app' already"):
            store.keys.new("app")
        store.keys.revoke("app")
        assert await store.keys.find(sha256) is None
        with pytest.raises(ConfigError, match="no key 'app' in use"):
            store.keys.revoke("app")
        assert store.keys.new("app") != key
    for path in tmp_path.iterdir():
        assert key.encode() not in path.read_bytes()


@pytest.mark.parametrize(("name", "scopes"), [("", ("judge",)), ("n" * 101, ("judge",)), ("app", ("root",))])
def test_a_key_that_cannot_be(name: str, scopes: tuple[str, ...], tmp_path: Path) -> None:
    with closing(open_store(StoreSettings(folder=tmp_path))) as store:
        with pytest.raises(ConfigError, match="is not valid"):
            store.keys.new(name, scopes)  # type: ignore[arg-type]
        assert count(store, KeyRow) == 0


async def test_the_gate_asks_the_store(tmp_path: Path) -> None:
    async with remembering(tmp_path, auth={"mode": "keys"}) as context, client_of(context) as http:
        keys = store_of(context).keys
        key = keys.new("app")
        right = await http.get("/v1/constitutions", headers=bearer(key))
        wrong = await http.get("/v1/constitutions", headers=bearer(key + "x"))
        keys.revoke("app")
        revoked = await http.get("/v1/constitutions", headers=bearer(key))
    assert (right.status_code, wrong.status_code, revoked.status_code) == (200, 401, 401)


def test_keys_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert main(["migrate"]) == 0
    assert main(["migrate"]) == 0
    assert capsys.readouterr().out == f"schema none -> {newest_revision()}\nschema {newest_revision()}\n"
    assert main(["keys", "new", "app", "--scope", "judge", "--scope", "admin"]) == 0
    key = capsys.readouterr().out.strip()
    with closing(open_store(StoreSettings(folder=tmp_path / "visual-judge"))) as store:
        found = asyncio.run(store.keys.find(hashlib.sha256(key.encode()).hexdigest()))
        assert found is not None
        assert found.scopes == ("judge", "admin")
    assert main(["keys", "new", "app"]) == 2
    assert main(["keys", "new", "other", "--scope", "root"]) == 2
    assert main(["keys", "revoke", "nobody"]) == 2
    assert "no key 'nobody' in use" in capsys.readouterr().err
    assert main(["keys", "revoke", "app"]) == 0
    assert main(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert "judge admin" in listed
    assert key not in listed


def test_the_store_is_for_its_owner_only(tmp_path: Path) -> None:
    with closing(open_store(StoreSettings(folder=tmp_path / "new"))):
        assert (tmp_path / "new").stat().st_mode & 0o077 == 0


# --- verdicts and deletion ----------------------------------------------------------------------------------


async def test_a_kept_verdict_survives_a_restart_and_is_its_keys_alone(tmp_path: Path) -> None:
    async with remembering(tmp_path, auth=with_keys()) as context, client_of(context) as http:
        answer = await http.post("/v1/judge", json=asks(picture(), store=True, explain=True), headers=bearer(KEY))
    (result,) = answer.json()["results"]
    async with remembering(tmp_path, auth=with_keys()) as context, client_of(context) as http:
        mine = await http.get(f"/v1/verdicts/{result['id']}", headers=bearer(KEY))
        others = await http.get(f"/v1/verdicts/{result['id']}", headers=bearer(OTHER_KEY))
        odd = await http.get("/v1/verdicts/%00", headers=bearer(KEY))
    assert (mine.status_code, mine.json()) == (200, result)
    assert (others.status_code, odd.status_code) == (404, 404)


async def test_nothing_is_kept_where_the_settings_say_so(tmp_path: Path) -> None:
    async with remembering(tmp_path, store={"keep_verdicts": False}) as context, client_of(context) as http:
        answer = await http.post("/v1/judge", json=asks(picture(), store=True))
        found = await http.get(f"/v1/verdicts/{answer.json()['results'][0]['id']}")
        assert (found.status_code, count(store_of(context), VerdictRow)) == (404, 0)


async def test_what_is_old_is_deleted_and_jobs_that_wait_are_not(tmp_path: Path) -> None:
    async with remembering(tmp_path, store={"keep_days": 1}) as context, client_of(context) as http:
        store = store_of(context)
        new, old = [
            (await http.post("/v1/judge", json=asks(picture(), store=True))).json()["results"][0]["id"] for _ in "12"
        ]
        gone, waits = [await started(http, video(number)) for number in (0, 1)]
        await http.delete(f"/v1/video/jobs/{gone}")
        past_s = time.time() - 2 * 86_400
        for change in (
            update(VerdictRow).where(VerdictRow.id == old).values(created_at_s=past_s),
            update(JobRow).where(JobRow.id == gone).values(created_at_s=past_s, ended_at_s=past_s),
            update(JobRow).where(JobRow.id == waits).values(created_at_s=past_s),
        ):
            store.database.write_now(lambda session, change=change: session.execute(change))  # type: ignore[misc]
        await store.clean()
        assert (await http.get(f"/v1/verdicts/{new}")).status_code == 200
        assert (await http.get(f"/v1/verdicts/{old}")).status_code == 404
        assert (await http.get(f"/v1/video/jobs/{gone}")).status_code == 404
        assert (await http.get(f"/v1/video/jobs/{waits}")).json()["JobStatus"] == "IN_PROGRESS"
        assert count(store, DeliveryRow) == 0


async def test_media_of_no_job_are_swept_once_they_are_old(tmp_path: Path) -> None:
    async with remembering(tmp_path) as context, client_of(context) as http:
        store = store_of(context)
        waits = await started(http, video())
        for name in ("young", "old"):
            store.media.keep(name, hashlib.sha256(b"x").hexdigest(), b"x")
        (tmp_path / "waiting" / "left.part").touch()
        for path in (tmp_path / "waiting").iterdir():
            if not path.name.endswith("young"):
                os.utime(path, (0, 0))
        await store.clean()
    assert {name.rpartition(".")[2] for name in waiting_files(tmp_path)} == {waits, "young"}


def test_waiting_media_that_were_changed_are_not_read(tmp_path: Path) -> None:
    with closing(open_store(StoreSettings(folder=tmp_path))) as store:
        sha256 = hashlib.sha256(b"video").hexdigest()
        store.media.keep("job", sha256, b"video")
        assert store.media.read("job", sha256) == b"video"
        (tmp_path / "waiting" / f"{sha256}.job").write_bytes(b"other")
        with pytest.raises(MediaError, match="changed on the disk"):
            store.media.read("job", sha256)
        store.media.remove("job", sha256)
        with pytest.raises(MediaError, match="cannot be read"):
            store.media.read("job", sha256)
