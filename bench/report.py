"""The report: medians over the rounds as Markdown, with the machine and the versions they were measured with."""

import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import orjson
import psutil

from bench.contestants import NODE_DIRECTORY, find_node
from bench.rounds import Cell, Sample, Samples, median

PYTHON_PACKAGES = ("strawberry-graphql", "graphql-core", "asyncpg", "uvicorn", "uvloop", "orjson", "sqlmodel")
NODE_PACKAGES = ("postgraphile", "grafast", "graphql-yoga", "graphql", "pg", "dataloader")
HEAD = (
    "contestant",
    "requests/s",
    "x postgraphile",
    "x floor",
    "p50 ms",
    "p95 ms",
    "server CPU ms",
    "PostgreSQL CPU ms",
    "requests per CPU second",
    "x postgraphile",
    "cores of others",
)


@dataclass(frozen=True)
class Setting:
    """What the figures were measured with."""

    postgresql: str
    cores: str
    rounds: int
    seconds: float
    missing: list[str]


def render(samples: Samples, setting: Setting) -> str:
    """The whole report."""
    medians = {key: median(list_) for key, list_ in samples.items()}
    cells = list(dict.fromkeys(cell for cell, _ in samples))
    parts = ["# Results of the benchmark", *_setting(setting, samples)]
    explanation = "In brackets: times PostGraphile's."
    parts += ["## Requests per second", explanation, _overview(cells, medians, _requests_per_second)]
    explanation += (
        " CPU time is the server's and PostgreSQL's together; it hardly depends on what else the machine does."
    )
    parts += ["## Requests per second of CPU time", explanation, _overview(cells, medians, _requests_per_cpu_second)]
    for cell in cells:
        parts += [f"## {_title(cell)}", _table(cell, medians)]
    return "\n\n".join(parts) + "\n"


def _title(cell: Cell) -> str:
    title = f"{cell.query}, {cell.connections} connection{'s' if cell.connections > 1 else ''}"
    if cell.is_cold:
        title += ", every document a new one"
    if cell.tenant_count > 1:
        title += f", {cell.tenant_count} tenants by turns"
    return title


def _overview(cells: list[Cell], medians: dict[tuple[Cell, str], Sample], figure: Callable[[Sample], float]) -> str:
    names = list(dict.fromkeys(name for _, name in medians))
    rows = []
    for cell in cells:
        reference = medians.get((cell, "postgraphile"))
        row = [_title(cell)]
        for name in names:
            sample = medians.get((cell, name))
            ratio = "" if sample is None or reference is None else f" ({_ratio(figure, sample, reference)})"
            row.append("" if sample is None else f"{figure(sample):.0f}{ratio}")
        rows.append(row)
    return markdown(["", *names], rows)


def _table(cell: Cell, medians: dict[tuple[Cell, str], Sample]) -> str:
    reference, floor = medians.get((cell, "postgraphile")), medians.get((cell, "floor"))
    rows = [
        [
            name,
            f"{_requests_per_second(sample):.0f}",
            _ratio(_requests_per_second, sample, reference),
            _ratio(_requests_per_second, sample, floor),
            f"{sample.p50_ms:.2f}",
            f"{sample.p95_ms:.2f}",
            f"{sample.server_ms_per_request:.3f}",
            f"{sample.database_ms_per_request:.3f}",
            f"{_requests_per_cpu_second(sample):.0f}",
            _ratio(_requests_per_cpu_second, sample, reference),
            f"{sample.foreign_cores:.2f}",
        ]
        for (other, name), sample in medians.items()
        if other == cell
    ]
    return markdown(list(HEAD), rows)


def _requests_per_second(sample: Sample) -> float:
    return sample.requests_per_second


def _requests_per_cpu_second(sample: Sample) -> float:
    return 1000 / (sample.server_ms_per_request + sample.database_ms_per_request)


def _ratio(figure: Callable[[Sample], float], sample: Sample, reference: Sample | None) -> str:
    return "" if reference is None else f"{figure(sample) / figure(reference):.2f}"


def measured_with(postgresql: str, how: str) -> str:
    """When, how, on what machine and with which versions something was measured, as a list."""
    return "\n".join(
        [
            f"- Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {how}.",
            f"- Machine: {psutil.cpu_count()} cores, {_processor()}, {psutil.virtual_memory().total / 2**30:.0f} GiB.",
            _versions(postgresql),
        ]
    )


def _versions(postgresql: str) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in PYTHON_PACKAGES)
    return f"- CPython {platform.python_version()}, PostgreSQL {postgresql}; {packages}."


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A table; all columns but the first are numbers."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _setting(setting: Setting, samples: Samples) -> list[str]:
    everything = [sample for list_ in samples.values() for sample in list_]
    foreign = median(everything).foreign_cores
    foreign_max = max(sample.foreign_cores for sample in everything)
    generator_max = max(sample.generator_cores for sample in everything)
    node = find_node()
    lines = [
        f"- Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {setting.rounds} rounds of {setting.seconds:g} s each,"
        " medians over the rounds.",
        f"- Machine: {psutil.cpu_count()} cores, {_processor()}, {psutil.virtual_memory().total / 2**30:.0f} GiB;"
        f" {setting.cores}.",
        f"- Work of others on the machine meanwhile: {foreign:.2f} cores in the median, {foreign_max:.2f} at most. The"
        f" load generator took {generator_max:.2f} cores at most.",
        _versions(setting.postgresql),
    ]
    if node is not None:
        packages = ", ".join(f"{name} {_node_package(name)}" for name in NODE_PACKAGES)
        lines.append(f"- Node {node[1].removeprefix('v')}; {packages}.")
    if setting.missing:
        lines.append(f"- Left out, for want of Node 22 or its packages: {', '.join(setting.missing)}.")
    lines.append(
        "- CPU times are milliseconds of all cores for each request. What is measured: [README.md](README.md)."
    )
    return ["\n".join(lines)]


def _node_package(name: str) -> str:
    found: str = orjson.loads((NODE_DIRECTORY / "node_modules" / name / "package.json").read_bytes())["version"]
    return found


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
