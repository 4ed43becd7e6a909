"""Writers of capital: random changes of random sources, each sent again until it is answered."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any

import httpx

from tests.chaos.place import Place

FIRST_DAY = date(2024, 1, 1)
DAYS = 365
AGAIN = {"IN_PROGRESS", "TIMEOUT", "UNAVAILABLE"}
"""What a server says whose database connections are cut, or where the request before is not over yet."""
REFUSALS = {"INVALID_INPUT", "INVALID_TRANSITION"}
"""What the rules may say to a random change: the source is not active on that day."""
INPUTS = {
    "addCapitalSource": ("name", "annualRate", "availableCents"),
    "updateCapitalAmount": ("sourceId", "availableCents"),
    "updateCapitalRate": ("sourceId", "annualRate"),
    "removeCapitalSource": ("sourceId",),
}


def document(name: str) -> str:
    """The document of one mutation."""
    type_name = f"{name[0].upper()}{name[1:]}Input!"
    fields = "source { id } entry { id } userErrors { code }"
    return f"mutation ($input: {type_name}) {{ {name}(input: $input) {{ {fields} }} }}"


@dataclass
class Written:
    """What all writers have been told. ``entries``: the id of the entry by the key under which it was asked for."""

    entries: dict[str, str] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    repeats: int = 0


async def write(
    place: Place, client: httpx.AsyncClient, written: Written, number: int, is_over: Callable[[], bool]
) -> None:
    """Writes one change after the other until it is over."""
    random = Random(number)
    count = 0
    while not is_over():
        count += 1
        name, values = _change(random, written.sources)
        values |= {"idempotencyKey": f"{number}-{count}", "notes": f"{number}-{count}"}
        payload = await _answered(place, client, name, values, written)
        codes = {error["code"] for error in payload["userErrors"]}
        if codes:
            assert codes <= REFUSALS, payload
            continue
        written.entries[values["idempotencyKey"]] = payload["entry"]["id"]
        if name == "addCapitalSource":
            written.sources.append(payload["source"]["id"])


def _change(random: Random, sources: list[str]) -> tuple[str, dict[str, Any]]:
    names, weights = list(INPUTS), (15, 45, 35, 5)
    name = random.choices(names, weights)[0] if sources else "addCapitalSource"
    values: dict[str, Any] = {
        "name": f"Source {random.randrange(10**9)}",
        "annualRate": f"0.{random.randrange(10**6):06}",
        "availableCents": str(random.randrange(1, 10**9)),
        "sourceId": random.choice(sources) if sources else "",
    }
    on = FIRST_DAY + timedelta(random.randrange(DAYS))
    return name, {key: values[key] for key in INPUTS[name]} | {"effectiveOn": on.isoformat()}


async def _answered(
    place: Place, client: httpx.AsyncClient, name: str, values: dict[str, Any], written: Written
) -> Any:
    """The payload, from whichever server gives one; the same request goes out again until one does."""
    body = {"query": document(name), "variables": {"input": values}}
    while True:
        try:
            answer = (await client.post(place.url(), json=body)).json()
        except httpx.TransportError:
            codes = AGAIN
        else:
            payload = (answer.get("data") or {}).get(name)
            errors = answer.get("errors", [])
            codes = {error["extensions"]["code"] for error in errors} | {
                error["code"] for error in (payload or {}).get("userErrors", []) if error["code"] in AGAIN
            }
            if not codes:
                return payload
        assert codes <= AGAIN, answer
        written.repeats += 1
        await asyncio.sleep(0.05)
