"""The schema in the eyes of linters, and an operation for every root field in the hands of compilers."""

import json

from graphql import OperationDefinitionNode, parse, validate

from api.http.persisted_documents import read_trusted_documents
from tests.clients.tools.conftest import Workspace
from tests.clients.tools.every_operation import as_module, every_operation
from tests.contracts.operations import graphql_schema

NOT_ALPHABETICAL = (
    "enum-values-sorted-alphabetically",
    "input-object-fields-sorted-alphabetically",
    "interface-fields-sorted-alphabetically",
    "type-fields-sorted-alphabetically",
)
"""Fields and values stand in the order of their meaning: what identifies first, what goes together side by side."""


ESLINT = (
    "docs/clients/node_modules/.bin/eslint",
    *("--config", "docs/clients/tools/eslint.config.mjs", "--max-warnings", "0", "schema.graphql"),
)


def test_graphql_eslint_finds_nothing(node: Workspace) -> None:
    assert node.run(*ESLINT, within="../..") == ""


def test_graphql_eslint_looks_at_the_schema(node: Workspace) -> None:
    schema = node.root / "schema.graphql"
    schema.write_text(schema.read_text().replace("  generalPartner: String\n", "  general_partner: String\n"))
    assert "naming-convention" in node.run(*ESLINT, within="../..", status=1)


def test_schema_linter_finds_nothing(node: Workspace) -> None:
    node.run("npx", "graphql-schema-linter", "--except", ",".join(NOT_ALPHABETICAL), "../../schema.graphql")


def test_relay_compiles_every_operation(node: Workspace) -> None:
    (node.clients / "relay" / "src" / "Every.ts").write_text(as_module("graphql", "react-relay"))
    node.run("npx", "relay-compiler", within="relay")
    node.run("npx", "tsc", within="relay")
    made = {path.name for path in (node.clients / "relay" / "src" / "__generated__").iterdir()}
    assert {"EveryFundsQuery.graphql.ts", "EveryCommitReallocationMutation.graphql.ts"} <= made


def test_codegen_types_every_operation(node: Workspace) -> None:
    calls = "".join(f"graphql(`{operation}`);\n" for operation in every_operation())
    source = node.clients / "typescript-urql" / "src"
    (source / "every.ts").write_text(f'import {{ graphql }} from "./gql";\n{calls}')
    node.run("npx", "graphql-codegen", within="typescript-urql")
    node.run("npx", "tsc", within="typescript-urql")
    types = (source / "gql" / "graphql.ts").read_text()
    assert "EveryFundsQueryQueryVariables" in types
    assert ": any" not in types


def assert_trusted(node: Workspace, manifest: str, operations: set[str]) -> None:
    """The server can read the manifest, whose documents are these operations and fit the schema."""
    documents = [parse(text) for text in read_trusted_documents(node.clients / manifest).values()]
    for document in documents:
        assert validate(graphql_schema(), document) == []
    found = [
        part for document in documents for part in document.definitions if isinstance(part, OperationDefinitionNode)
    ]
    assert {operation.name.value for operation in found if operation.name} == operations


def test_manifest_of_codegen_holds_trusted_documents(node: Workspace) -> None:
    config = node.clients / "typescript-urql" / "codegen.ts"
    config.write_text(config.read_text().replace("presetConfig: {", "presetConfig: { persistedDocuments: true,"))
    node.run("npx", "graphql-codegen", within="typescript-urql")
    names = {"Funds", "Fund", "UpdateFund", "FundsWithCompanies", "Commit", "ReallocationCommitted"}
    assert_trusted(node, "typescript-urql/src/gql/persisted-documents.json", names)


def test_manifest_of_relay_holds_trusted_documents(node: Workspace) -> None:
    config = node.clients / "relay" / "relay.config.json"
    # The compiler adds to a file, and expects to find one.
    (node.clients / "relay" / "persisted.json").write_text("{}")
    persist = {"persistConfig": {"file": "./persisted.json", "algorithm": "SHA256"}}
    config.write_text(json.dumps(json.loads(config.read_text()) | persist))
    node.run("npx", "relay-compiler", within="relay")
    assert_trusted(node, "relay/persisted.json", {"FundsQuery", "FundsNextPage", "FundCompanies"})
