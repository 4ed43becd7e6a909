"""The house keeps its walls: who may import what, where SQL may stand, and how long anything may get."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE_LINES_MAX = 320
FUNCTION_LINES_MAX = 70

KNOW_STRAWBERRY = ("api/graphql/", "api/http/")
KNOW_SQL = ("api/reads/", "api/services/", "api/tables/", "api/db/")
WITH_SQL_OF_THEIR_OWN = {"api/cli/databases.py"}
"""The command line finds an organization by its slug as the owner, before there is a principal."""

SQL_LIBRARIES = {"sqlalchemy", "asyncpg"}
SQL = re.compile(
    r"^\s*(WITH \w+ AS|SELECT\s|INSERT INTO\s|UPDATE \w+\s.*\bSET\b|DELETE FROM\s|TRUNCATE\s|GRANT\s|REVOKE\s"
    r"|(CREATE|ALTER|DROP) (TABLE|ROLE|INDEX|POLICY)|SET (LOCAL|ROLE|SESSION)\b|(BEGIN|ROLLBACK|LISTEN|NOTIFY)\b)",
    re.DOTALL,
)
ENDS_A_TRANSACTION = re.compile(r"\bCOMMIT\b")
THE_WRITER = "api/services/commands.py"
THE_RATE_LIMITS = "api/services/rate_limits.py"
"""Counts what is asked, which is nobody's change of anything: no key, no role, no entry in the log."""

DOMAIN_LIBRARIES = {"pyxirr", "iso4217"}
CLOCKS = {
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.perf_counter",
}
LAYERS_BELOW = {
    "domain": {"domain", "errors"},
    "tables": {"tables"},
    "db": {"db", "tables", "errors", "private_files", "config"},
    "reads": {"reads", "db", "domain", "tables", "errors", "config", "metrics"},
    "services": {"services", "db", "domain", "tables", "errors", "config", "metrics"},
    "graphql": {"graphql", "reads", "services", "db", "domain", "tables", "errors", "config", "metrics"},
}
"""What each layer may import of api; http and the command line may import all."""


@dataclass(frozen=True)
class Module:
    """A source file with its syntax tree."""

    path: str
    tree: ast.Module
    lines: int

    def imports(self) -> Iterator[str]:
        """The dotted names of all that is imported, wherever in the file."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}:{node.lineno} imports relatively"
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def texts(self) -> Iterator[tuple[int, str]]:
        """Line and text of every string that is not a docstring; of an f-string, its fixed parts joined."""
        aside = {id(part) for node in ast.walk(self.tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        aside |= {id(node.value) for node in ast.walk(self.tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.JoinedStr):
                yield node.lineno, "x".join(_constant(part) for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in aside:
                yield node.lineno, node.value


def _constant(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ""


def modules() -> list[Module]:
    """All of api."""
    found = []
    for path in sorted((ROOT / "api").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found.append(Module(path.relative_to(ROOT).as_posix(), ast.parse(text), text.count("\n")))
    return found


MODULES = modules()
DOMAIN = [module for module in MODULES if module.path.startswith("api/domain/")]


def packages(module: Module) -> set[str]:
    """The outermost packages that a module imports."""
    return {name.split(".")[0] for name in module.imports()}


def test_the_house_was_found() -> None:
    assert len(MODULES) > 50
    assert {module.path.split("/")[1] for module in MODULES} >= set(LAYERS_BELOW) | {"http"}


def test_only_graphql_and_http_know_strawberry() -> None:
    knowing = [module.path for module in MODULES if packages(module) & {"strawberry"}]
    assert [path for path in knowing if not path.startswith(KNOW_STRAWBERRY)] == []


def test_only_the_lower_layers_know_a_database_library() -> None:
    knowing = [module.path for module in MODULES if packages(module) & SQL_LIBRARIES]
    assert [path for path in knowing if not path.startswith(KNOW_SQL)] == []


def test_only_the_lower_layers_hold_sql() -> None:
    holding = [
        f"{module.path}:{line}"
        for module in MODULES
        if not module.path.startswith(KNOW_SQL) and module.path not in WITH_SQL_OF_THEIR_OWN
        for line, text in module.texts()
        if SQL.search(text)
    ]
    assert holding == []


@pytest.mark.parametrize(
    ("text", "is_sql"),
    [
        ("SELECT 1", True),
        ("\n  UPDATE funds\n  SET name = $1", True),
        ("INSERT INTO funds", True),
        ("DELETE FROM funds", True),
        ("WITH latest AS (SELECT 1)", True),
        ("SET LOCAL ROLE tranche_app", True),
        ("Selected fields", False),
        ("UPDATE", False),
        ("Begin here", False),
    ],
)
def test_sql_is_told_from_other_texts(text: str, is_sql: bool) -> None:
    assert bool(SQL.search(text)) is is_sql


def test_domain_imports_nothing_but_rules() -> None:
    allowed = sys.stdlib_module_names | DOMAIN_LIBRARIES
    for module in DOMAIN:
        for name in module.imports():
            assert name.split(".")[0] in allowed or name.startswith(("api.domain.", "api.errors.")), (module.path, name)


def test_domain_asks_nothing_of_the_world() -> None:
    world = {"asyncio", "os", "pathlib", "random", "secrets", "socket", "subprocess", "threading", "time", "uuid"}
    assert [module.path for module in DOMAIN if packages(module) & world] == []


def test_domain_never_reads_the_clock() -> None:
    read = [
        f"{module.path}:{node.lineno}"
        for module in DOMAIN
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and ".".join(ast.unparse(node).split(".")[-2:]) in CLOCKS
    ]
    assert read == []


@pytest.mark.parametrize("layer", LAYERS_BELOW)
def test_layer_imports_only_what_lies_below(layer: str) -> None:
    upward = [
        (module.path, name)
        for module in MODULES
        if module.path.startswith(f"api/{layer}/")
        for name in module.imports()
        if name.startswith("api.") and name.split(".")[1] not in LAYERS_BELOW[layer]
    ]
    assert upward == []


def test_only_the_writer_commits() -> None:
    """A ``commit`` of the database's: a service of that name is called on a module and takes a command."""
    services = {"reallocations"}
    committing = []
    for module in MODULES:
        if module.path in (THE_WRITER, THE_RATE_LIMITS):
            continue
        committing += [f"{module.path}:{line}" for line, text in module.texts() if ENDS_A_TRANSACTION.search(text)]
        committing += [
            f"{module.path}:{node.lineno}"
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit"
            if ast.unparse(node.func.value) not in services
        ]
    assert committing == []


def test_services_open_no_transaction_of_their_own() -> None:
    """But those that make, and look for, an organization: before that there is none to write in."""
    opening = {
        module.path
        for module in MODULES
        if module.path.startswith("api/services/")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr in {"transaction", "writing"}
    }
    assert opening == {THE_WRITER, THE_RATE_LIMITS, "api/services/organizations.py", "api/services/demo.py"}


def test_files_stay_short() -> None:
    assert {module.path: module.lines for module in MODULES if module.lines > FILE_LINES_MAX} == {}


def test_functions_stay_short() -> None:
    long = {
        f"{module.path}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for module in MODULES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    }
    assert long == {}


def test_no_room_is_a_grab_bag() -> None:
    names = {Path(module.path).stem for module in MODULES} | {Path(module.path).parent.name for module in MODULES}
    assert names & {"base", "common", "helpers", "manager", "misc", "shared", "utilities", "utils"} == set()


def test_every_module_says_what_it_is_for() -> None:
    assert [module.path for module in MODULES if not ast.get_docstring(module.tree)] == []


def test_migrations_make_no_triggers() -> None:
    making = [
        path.name
        for path in sorted((ROOT / "alembic/versions").glob("*.py"))
        if re.search(r"\bTRIGGER\b", path.read_text(encoding="utf-8"), re.IGNORECASE)
    ]
    assert making == []
