"""The embedded PostgreSQL: whoever starts it, wherever it lies, and whichever programs it runs."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from services.demo_file import Demo, write_demo
from services.embedded_postgres import (
    SOCKET_PATH_MAX,
    DatabaseError,
    FolderInUse,
    Server,
    data_folder,
    embedded_postgres,
    ensure_database,
    telling_line,
    wheel_programs,
)
from services.private_files import FolderProblem
from tests.support.process import SAID, end_all, fails, processes_of, running_up, say, server_pid, started, texts_of

ROOT = os.geteuid() == 0
DEBIANS = Path("/usr/lib/postgresql/15/bin")


# Where


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["d" * 120, pytest.param("a folder, with: ä % ? & # 'all'", id="odd letters")],
    ids=["longer than a socket's path may be", None],
)
async def test_any_path_will_do(copy_used: Callable[[Path], Path], tmp_path: Path, name: str) -> None:
    folder = copy_used(tmp_path / name)
    assert len(os.fsencode(folder / "run")) > SOCKET_PATH_MAX or name[0] == "a"
    async with running_up(folder) as up:
        assert await texts_of(up) == [SAID]
        await up.kill()
        async with running_up(folder) as again:  # taken over, with its socket elsewhere
            assert await texts_of(again) == [SAID]
            assert (await again.stop())[0] == 0


@pytest.mark.slow
async def test_the_folder_may_be_named_by_a_link_and_moved(used: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(used)
    async with running_up(used) as up:
        await up.kill()
        async with running_up(link) as again:
            assert await texts_of(again) == [SAID]
            assert (await again.stop())[0] == 0
    moved = Path(shutil.move(used, tmp_path / "moved"))
    async with running_up(moved) as up:
        assert await texts_of(up) == [SAID]


@pytest.mark.slow
async def test_a_relative_folder_and_the_home_sign_mean_what_they_say(used: Path) -> None:
    try:  # not alone: processes are told by the whole name of their folder, which these do not say
        async with started(Path("data"), cwd=used.parent, alone=False) as up:
            await up.ready()
            assert (await up.stop())[0] == 0
        async with started(Path("~/data"), cwd=Path("/"), env={"HOME": str(used.parent)}, alone=False) as up:
            await up.ready()
            assert (await up.stop())[0] == 0
        assert processes_of(used) == []
    finally:
        end_all(processes_of(used))


@pytest.mark.slow
@pytest.mark.skipif(not ROOT, reason="only root enters a folder that is closed to others and is not its own")
async def test_root_may_keep_the_data_below_a_closed_folder_and_the_folder_stays_closed(
    copy_used: Callable[[Path], Path], tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    folder = copy_used(closed / "data")
    before = modes(folder)
    async with running_up(folder) as up:
        assert await texts_of(up) == [SAID]
        assert (await up.stop())[0] == 0
    assert modes(folder) == before
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@pytest.mark.slow
@pytest.mark.skipif(not ROOT, reason="only root enters a folder that is closed to others and is not its own")
async def test_the_root_of_a_container_may_do_so_too_without_the_right_to_read_everything(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    less = ["setpriv", "--bounding-set=-dac_read_search", "--inh-caps=-dac_read_search"]
    async with started(closed / "data", before=less) as up:
        await up.ready()
        await say(up, SAID)
        assert (await up.stop())[0] == 0


def modes(folder: Path) -> dict[Path, int]:
    return {parent: parent.stat().st_mode for parent in folder.parents}


# Who


async def test_what_is_secret_can_be_read_by_its_owner_alone(used: Path) -> None:
    assert {name: stat.S_IMODE((used / name).stat().st_mode) for name in ("secret.key", "demo.json", "postgres")} == {
        "secret.key": 0o600,
        "demo.json": 0o600,
        "postgres": 0o700,
    }
    if ROOT:
        assert (used / "postgres").stat().st_uid != 0  # PostgreSQL refuses to run as root


@pytest.fixture
def nobodys_folder() -> Iterator[Path]:
    """A folder that others may walk to, unlike the tests' own, and that belongs to `nobody`."""
    with tempfile.TemporaryDirectory(prefix="shopbell-test-") as above:
        os.chmod(above, 0o755)
        folder = Path(above) / "data"
        folder.mkdir()
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
        yield folder


@pytest.mark.slow
@pytest.mark.skipif(not ROOT, reason="this is the test of an ordinary user already")
async def test_an_ordinary_user_needs_nothing_else(nobodys_folder: Path) -> None:
    folder, nobody = nobodys_folder, pwd.getpwnam("nobody")
    before = as_user(nobody)
    async with started(folder, before=before, cwd=Path("/"), env={"HOME": "/nonexistent"}) as up:
        await up.ready()
        await say(up, SAID)
        assert {os.stat(f"/proc/{pid}").st_uid for pid in processes_of(folder)} == {nobody.pw_uid}
        assert (await up.stop())[0] == 0
    assert {os.stat(folder / name).st_uid for name in os.listdir(folder)} == {nobody.pw_uid}
    # Then once by root, which must not take the files away from their owner.
    async with running_up(folder) as up:
        assert await texts_of(up) == [SAID]
        assert (await up.stop())[0] == 0
    async with started(folder, before=before, cwd=Path("/"), env={"HOME": "/nonexistent"}) as up:
        await up.ready()
        assert await texts_of(up) == [SAID]


@pytest.mark.skipif(not ROOT, reason="needs root to make a folder of another user")
@pytest.mark.slow
async def test_an_ordinary_user_is_told_that_the_folder_is_not_theirs(used: Path) -> None:
    async with started(used, before=as_user(pwd.getpwnam("nobody")), cwd=Path("/")) as up:
        assert await up.ended() == 1
    assert up.text.startswith(f"shopbell: The data folder {used} cannot be written (Permission denied)")
    assert len(up.text.strip().splitlines()) == 1


def as_user(user: pwd.struct_passwd) -> list[str]:
    """Become this user; with the right to walk through closed folders where this interpreter lies below one."""
    if shutil.which("setpriv") is None:
        pytest.skip("there is no setpriv to become another user with")
    become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    plain = subprocess.run(
        [*become, sys.executable, "-c", "import services.cli"], capture_output=True, cwd="/", check=False
    )
    if plain.returncode == 0:
        return become
    walk = [*become, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    able = subprocess.run(
        [*walk, sys.executable, "-c", "import services.cli"], capture_output=True, cwd="/", check=False
    )
    if able.returncode != 0:
        pytest.skip(f"{user.pw_name} cannot run {sys.executable}")
    return walk


# Which programs


@pytest.mark.slow
@pytest.mark.skipif(not (DEBIANS / "postgres").exists(), reason=f"no PostgreSQL in {DEBIANS}")
async def test_the_system_s_own_postgresql_will_do_and_is_not_mixed_with_ours(tmp_path: Path) -> None:
    folder, env = tmp_path / "data", {"SHOPBELL_POSTGRES_BIN": str(DEBIANS)}
    async with running_up(folder, env=env) as up:
        await say(up, SAID)
        assert await texts_of(up) == [SAID]
        assert (await up.stop())[0] == 0
    assert (folder / "postgres" / "PG_VERSION").read_text().strip() == "15"
    told = await fails(folder)
    assert "is of PostgreSQL 15" in told
    assert "SHOPBELL_POSTGRES_BIN" in told


# By itself


async def test_the_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with data_folder(tmp_path), pytest.raises(FolderInUse, match="in use by another Shopbell"), data_folder(tmp_path):
        pass
    with data_folder(tmp_path):
        pass


async def test_a_server_that_is_just_ending_is_waited_for_and_started_anew(used: Path) -> None:
    """As after a kill in the middle of a stop: what is left of the former start takes nobody in any more."""
    with data_folder(used) as folder:
        former, server = Server(folder, wheel_programs()), Server(folder, wheel_programs())
        try:
            await former.start()
            ended = asyncio.create_task(collected(former))  # as the system does with what a dead process leaves
            visitor = await asyncpg.connect(former.url)
            os.kill(server_pid(folder), signal.SIGTERM)  # it ends when the last connection has
            pid_file = folder / "postgres" / "postmaster.pid"
            async with asyncio.timeout(10):
                while "stopping" not in pid_file.read_text():  # noqa: ASYNC110 - nobody tells us
                    await asyncio.sleep(0.01)
            starting = asyncio.create_task(server.start())
            await asyncio.sleep(0)
            assert not starting.done()
            await visitor.close()
            await starting
            connection = await asyncpg.connect(server.url)
            assert await connection.fetchval("SELECT count(*) FROM messages") == 1
            await connection.close()
            await ended
        finally:
            await server.stop()
            await former.stop()


async def collected(server: Server) -> None:
    assert server._process is not None
    while server._process.poll() is None:  # noqa: ASYNC110 - this process waits for its children without a loop
        await asyncio.sleep(0.01)


def test_an_ordinary_life_leaves_no_complaint_in_the_log(used: Path) -> None:
    log = (used / "postgres.log").read_text()
    assert [line for line in log.splitlines() if "FATAL" in line or "ERROR" in line] == []


async def test_a_database_that_cannot_be_made_is_told_with_where_it_says_why(tmp_path: Path) -> None:
    nobody = f"postgresql://postgres@/shopbell?host={tmp_path}&port=5432"
    with pytest.raises(DatabaseError, match=f"The database in {tmp_path} .*; see {tmp_path}/postgres.log"):
        await ensure_database(nobody, folder=tmp_path)


@pytest.mark.parametrize("place", ["postgres", "run"])
async def test_a_file_where_the_database_should_be_is_told(tmp_path: Path, place: str) -> None:
    (tmp_path / place).write_text("")
    with data_folder(tmp_path) as folder, pytest.raises(FolderProblem, match=f"in the way of {folder / place}"):
        async with embedded_postgres(folder):
            pass


def test_the_demos_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    with pytest.raises(FolderProblem, match=f"The data folder {folder} cannot be written"):
        write_demo(folder, Demo("shp_1", "chn_1", "agt_1", "sb_live_x"))


@pytest.mark.slow
async def test_letters_beyond_ascii_compare_and_change_case_as_people_expect(tmp_path: Path) -> None:
    with data_folder(tmp_path) as folder:
        async with embedded_postgres(folder) as url:
            await ensure_database(url)
            connection = await asyncpg.connect(url)
            assert await connection.fetchval("SELECT lower('ČĆŽŠĐ') || upper('яё')") == "čćžšđЯЁ"
            assert await connection.fetchval("SHOW listen_addresses") == ""
            await connection.close()


async def test_a_socket_folder_of_somebody_else_is_not_trusted(
    copy_used: Callable[[Path], Path], tmp_path: Path
) -> None:
    if not ROOT:
        pytest.skip("needs root to make a folder of another user")
    folder = copy_used(tmp_path / ("d" * 120))
    server = Server(folder, wheel_programs())
    server.run_dir.mkdir()
    try:
        os.chown(server.run_dir, pwd.getpwnam("nobody").pw_uid, -1)
        with data_folder(folder), pytest.raises(DatabaseError, match="belongs to another user"):
            await server.start()
    finally:
        server.run_dir.rmdir()


def test_the_line_that_says_why_is_found_in_the_log() -> None:
    log = "1 FATAL:  of old\n2 LOG:  starting PostgreSQL 18\n3 FATAL:  lock file\n4 HINT:  is it?\n5 LOG:  shut down\n"
    assert telling_line(log) == "3 FATAL:  lock file"
    assert telling_line("initdb: error: no space\n") == "initdb: error: no space"
    assert telling_line("") == "it said nothing"
