"""An operation for every root field, with all of its arguments as variables and all of its fields, some levels down."""

from graphql import GraphQLField, GraphQLObjectType, OperationType, get_named_type

from tests.contracts.operations import graphql_schema, selection

DEPTH = 3


def every_operation() -> list[str]:
    """The operations: all fields of what a root field leads to, some levels down."""
    schema = graphql_schema()
    roots = [(operation, schema.get_root_type(operation)) for operation in OperationType]
    return [_operation(operation, name, field) for operation, root in roots for name, field in _fields(root)]


def _fields(root: GraphQLObjectType | None) -> list[tuple[str, GraphQLField]]:
    return list(root.fields.items()) if root else []


def _operation(operation: OperationType, name: str, field: GraphQLField) -> str:
    # Relay wants the module's name first and the kind of operation last.
    title = f"Every{name[0].upper()}{name[1:]}{operation.value.title()}"
    declared = ", ".join(f"${argument}: {of.type}" for argument, of in field.args.items())
    passed = ", ".join(f"{argument}: ${argument}" for argument in field.args)
    variables, arguments = (f"({declared})", f"({passed})") if field.args else ("", "")
    return (
        f"{operation.value} {title}{variables} {{ {name}{arguments} {selection(get_named_type(field.type), DEPTH)} }}"
    )


def as_module(tag: str, source: str) -> str:
    """A TypeScript module with all of them, each in a template of this tag."""
    imported = f'import {{ {tag} }} from "{source}";\n'
    return imported + "".join(f"{tag}`{operation}`;\n" for operation in every_operation())
