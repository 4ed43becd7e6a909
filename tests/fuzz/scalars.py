"""Values of the schema's own scalars for generated documents: good ones, and some that must be refused."""

from graphql import IntValueNode, StringValueNode, ValueNode
from hypothesis import strategies as st


def texts(*examples: str) -> st.SearchStrategy[ValueNode]:
    """One of these texts, or some other."""
    values = st.sampled_from(examples) | st.text(st.characters(codec="utf-8"), max_size=12)
    return values.map(lambda value: StringValueNode(value=value))


whole_numbers = st.integers(-(2**65), 2**65).map(str) | st.sampled_from(["0", "1", "-0", "9223372036854775807"])

SCALARS: dict[str, st.SearchStrategy[ValueNode]] = {
    "BigInt": whole_numbers.map(lambda value: StringValueNode(value=value)),
    "Cents": whole_numbers.map(lambda value: StringValueNode(value=value))
    | st.integers(-(2**31), 2**31 - 1).map(lambda value: IntValueNode(value=str(value))),
    "CurrencyCode": texts("USD", "EUR", "usd", "XXX", "USDX"),
    "Date": texts("2024-02-29", "2023-02-29", "0001-01-01", "9999-12-31", "2024-1-1"),
    "DateTime": texts("2024-02-29T00:00:00Z", "2024-02-29T00:00:00", "9999-12-31T23:59:59.999999+14:00"),
    "Decimal": texts("0", "0.1", "-1.000001", "1e3", "NaN", "Infinity", "1" * 40),
    "JSON": texts("{}", "null"),
}
