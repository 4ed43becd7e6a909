"""What is asked: each query's document in a contestant's dialect, and the HTTP requests that ask it."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from bench.contestants import Running

DOCUMENTS = Path(__file__).parent / "queries"
QUERIES = ("one_fund", "nested", "rows_with_parent", "history", "portfolio_page")
COLD_QUERIES = ("one_fund", "nested")
COUNTER = b"0000000000"
"""Ten digits that the load generator counts up, where a request is to hold a document never seen before."""


@dataclass(frozen=True)
class Ids:
    """The ids of the objects asked for, as one contestant calls them."""

    funds: Sequence[str]
    portfolio: str


def document(running: Running, name: str) -> str:
    """The query's document in the contestant's dialect."""
    return (DOCUMENTS / running.contestant.dialect / f"{name}.graphql").read_text()


def payload(running: Running, query: str, ids: Ids, number: int = 0) -> dict[str, Any]:
    """The body of the ``number``-th request of a query: the ones for one fund go round all of the funds."""
    variables = {
        "one_fund": {"id": ids.funds[number % len(ids.funds)]},
        "nested": {},
        "rows_with_parent": {"id": ids.portfolio},
        "history": {"id": ids.funds[0]},
        "portfolio_page": {"id": ids.portfolio},
    }[query]
    text = document(running, query)
    return {"query": text, "operationName": _operation_name(text), "variables": variables}


def find_ids(running: Running, token: str) -> Ids:
    """Asks the contestant for its ids."""
    text = document(running, "ids")
    data = ask(running, token, {"query": text, "operationName": _operation_name(text), "variables": {}})
    return Ids([fund["id"] for fund in data["funds"]["nodes"]], data["portfolios"]["nodes"][0]["id"])


def ask(running: Running, token: str, body: dict[str, Any]) -> dict[str, Any]:
    """The data of one answer; raises RuntimeError where the contestant reports an error."""
    headers = {"Authorization": f"Bearer {token}"}
    response = httpx.post(f"http://127.0.0.1:{running.port}/graphql", json=body, headers=headers, timeout=30)
    if response.status_code != httpx.codes.OK or '"errors"' in response.text:
        raise RuntimeError(
            f"{running.name} answers {response.status_code}: {response.text[:2000]}\n{running.printed()}"
        )
    data: dict[str, Any] = response.json()["data"]
    return data


def http_request(token: str, body: dict[str, Any] | bytes) -> bytes:
    """The bytes of one POST."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    lines = (
        "POST /graphql HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        "Accept: application/json",
        f"Authorization: Bearer {token}",
        f"Content-Length: {len(content)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of an answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


def _operation_name(text: str) -> str:
    found = re.match(r"query (\w+)", text)
    assert found is not None  # noqa: S101 - every document here is a named query
    return found[1]


def never_seen(body: dict[str, Any]) -> dict[str, Any]:
    """The same request with an alias whose name holds COUNTER, one in each document."""
    return body | {"query": re.sub(r"\bname\b", f"a{COUNTER.decode()}: name", body["query"], count=1)}
