"""Validation finds what graphql-core's own finds, in the same order."""

import re
from random import Random

from graphql import GraphQLError, parse
from graphql import validate as validate_by_the_book

from api.graphql.schema import schema
from api.http.validation import validate
from tests.reads.generated_queries import QueryWriter

DOCUMENTS = 200
ERRORS_MAX = 5


def broken(text: str, random: Random) -> str:
    """The document with a few words left out, repeated or exchanged, as long as it can still be parsed."""
    words = re.findall(r"\.\.\.|[$@]?\w+|[^\w\s]|\s+", text)
    for _ in range(random.randint(0, 3)):
        changed = list(words)
        index = random.randrange(len(changed))
        match random.randrange(3):
            case 0:
                del changed[index]
            case 1:
                changed.insert(index, random.choice(words))
            case 2:
                changed[index] = random.choice(["name", "Fund", "5", "true", '"x"', "node", "$unknown", "@skip(if: 1)"])
        try:
            parse("".join(changed))
        except GraphQLError:
            continue
        words = changed
    return "".join(words)


def test_errors_are_those_of_graphql_core_on_generated_and_broken_documents() -> None:
    core = schema()._schema
    wrong = 0
    for number in range(DOCUMENTS):
        random = Random(number)
        query, _ = QueryWriter(core, random, ["x"], ["x"]).write()
        document = parse(broken(query, random))
        expected = validate_by_the_book(core, document, max_errors=ERRORS_MAX)
        found = validate(core, document, errors_max=ERRORS_MAX)
        assert [error.formatted for error in found] == [error.formatted for error in expected], number
        wrong += bool(expected)
    assert 0.2 * DOCUMENTS < wrong < 0.9 * DOCUMENTS
