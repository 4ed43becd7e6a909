"""Two organizations with data of every kind, and tokens that were good once."""

import time
from typing import Any
from uuid import UUID

from api.domain.access import Role
from api.http.tokens import Tokens
from api.reads import global_ids
from api.reads.declarations import ENTITIES, Entity
from api.tables import GLOBAL_TABLES
from tests.contracts.operations import PENDING_ALLOCATION, UNIQUE, Known, mutation
from tests.people_client import PASSWORD
from tests.server import RunningServer

UNKNOWN_NUMBER = 2**62
UNKNOWN_UUID = UUID("01890000-0000-4000-8000-000000000000")


async def call(
    server: RunningServer, organization: str, mutation_name: str, /, *, by: Role = Role.EDITOR, **given: Any
) -> Any:
    """The payload of a mutation that must succeed."""
    operation = mutation(mutation_name, given)
    answer = await server.execute(operation.query, operation.variables, organization=organization, role=by)
    payload = answer.data[mutation_name]
    assert payload["userErrors"] == []
    return payload


async def populate(server: RunningServer, organization: str) -> Known:
    """Adds rows to every table of an organization and returns the latest of each; its slug is part of every text.

    The latest portfolio does not hold the latest fund, and the latest fund has the latest company. The latest snapshot
    has no allocation for it.
    """
    label = f"{organization} {next(UNIQUE)}"
    held = await call(server, organization, "createFund", name=f"Held {label}", idempotencyKey=label)
    portfolio = await call(server, organization, "createPortfolio", name=label, currency="USD")
    holding = await call(
        server,
        organization,
        "createHolding",
        portfolioId=portfolio["portfolio"]["id"],
        fundId=held["fund"]["id"],
        commitmentCents="1000",
    )
    statement = {"holdingId": holding["holding"]["id"], "asOf": "2024-03-31", "committedCents": "1000"}
    await call(server, organization, "recordHoldingStatements", statements=[statement | {"paidInCents": "500"}])
    await _populate_returns(server, organization, label, holding["holding"]["id"])
    fund = await call(server, organization, "createFund", name=label, strategy=label, sizeCents="100000000000")
    planned = await call(server, organization, "createPortfolioCompany", fundId=fund["fund"]["id"], name=label)
    company = await call(
        server,
        organization,
        "createPortfolioCompany",
        fundId=fund["fund"]["id"],
        name=label,
        sector=label,
        plannedReservesCents="100000000",
    )
    proposal = {"companyId": company["company"]["id"], "plannedReservesCents": "150000000"}
    await call(
        server,
        organization,
        "commitReallocation",
        fundId=fund["fund"]["id"],
        expectedVersion="3",
        proposals=[proposal],
        reason=label,
    )
    await _populate_investments(server, organization, company["company"]["id"], label)
    await _populate_forecasts(server, organization, fund["fund"]["id"], planned["company"]["id"], label)
    await _populate_deals(server, organization, held["fund"]["id"], label)
    await call(
        server,
        organization,
        "addCapitalSource",
        name=label,
        externalKey=label,
        annualRate="0.05",
        availableCents="100",
        effectiveOn="2024-01-31",
        notes=label,
    )
    await server.owner.execute(
        "INSERT INTO rate_limits (organization_id, caller, remaining, granted) VALUES ($1, $2, 1, 1)",
        server.organization_ids[organization],
        label,
    )
    secrets = await _populate_people(server, organization, label)
    known = await latest(server, organization)
    known.secrets.update(secrets)
    return known


async def _populate_investments(server: RunningServer, organization: str, company_id: str, label: str) -> None:
    """Adds an investment in the company, and a lot of shares."""
    investment = await call(
        server,
        organization,
        "createInvestment",
        companyId=company_id,
        round=label,
        investedOn="2024-01-31",
        amountCents="100000000",
    )
    await call(
        server,
        organization,
        "createInvestmentLot",
        investmentId=investment["investment"]["id"],
        lotType="INITIAL",
        sharePriceCents="100",
        sharesAcquired="1000000",
        costBasisCents="100000000",
        acquiredOn="2024-01-31",
        idempotencyKey=label,
    )


async def _populate_forecasts(
    server: RunningServer, organization: str, fund_id: str, company_id: str, label: str
) -> None:
    """Adds a snapshot with an allocation for the company."""
    planned: dict[str, Any] = {"companyId": company_id, "plannedReserveCents": "1000", "rationale": label}
    snapshot = await call(
        server, organization, "createForecastSnapshot", fundId=fund_id, name=label, idempotencyKey=label
    )
    await call(server, organization, "createReserveAllocation", snapshotId=snapshot["snapshot"]["id"], **planned)


async def _populate_returns(server: RunningServer, organization: str, label: str, holding_id: str) -> None:
    """Adds cash flows, a valuation with the returns that follow from it, and the price of a benchmark."""
    flow = {"holdingId": holding_id, "activityType": "INVESTMENT", "amountCents": "1000", "note": label}
    activities = [flow | {"occurredOn": "2023-03-31"}, flow | {"occurredOn": "2023-06-30"}]
    await call(server, organization, "createHoldingActivities", activities=activities, idempotencyKey=label)
    valuation = {"holdingId": holding_id, "valuedOn": "2024-03-31", "valueCents": "2100"}
    await call(server, organization, "recordHoldingValuations", valuations=[valuation])
    price = {"benchmark": label, "pricedOn": "2024-03-31", "price": "100.25"}
    await call(server, organization, "recordBenchmarkPrices", prices=[price])


async def _populate_deals(server: RunningServer, organization: str, fund_id: str, label: str) -> None:
    """Adds deals: one with an allocation that waits, one with an allocation that does not, one without; and rules."""
    for number, amount in enumerate(("600000000", "1000000", None)):
        deal = (await call(server, organization, "createDeal", name=f"{label} {number}", sector=label))["deal"]
        if amount is not None:
            given = {"fundId": fund_id, "dealId": deal["id"], "amountCents": amount, "securityType": "EQUITY"}
            made = await call(server, organization, "createDealAllocation", **given, notes=label)
    await _populate_calls(server, organization, made["allocation"]["id"])
    await call(
        server,
        organization,
        "updateBusinessRules",
        by=Role.ADMIN,
        expectedVersion=str(await rules_version(server, organization)),
        dealTotalCautionCents=str(10**9 + next(UNIQUE)),
    )


async def _populate_calls(server: RunningServer, organization: str, allocation_id: str) -> None:
    """Adds a capital call, a payment for it, and a distribution."""
    called = await call(server, organization, "createCapitalCall", allocationId=allocation_id, amountCents="500000")
    call_id = called["capitalCall"]["id"]
    await call(server, organization, "recordCapitalCallPayment", capitalCallId=call_id, amountCents="50")
    back: dict[str, Any] = {"amountCents": "1", "distributionType": "DIVIDEND"}
    await call(server, organization, "recordDistribution", allocationId=allocation_id, **back)


async def rules_version(server: RunningServer, organization: str) -> int:
    """The version of the organization's business rules."""
    version: int = await server.owner.fetchval(
        "SELECT coalesce(max(version), 1) FROM business_rules WHERE organization_id = $1",
        server.organization_ids[organization],
    )
    return version


async def _populate_people(server: RunningServer, organization: str, label: str) -> dict[str, str]:
    """Adds a member with a session, an API key and an invitation; returns what it takes to use them."""
    email = f"{label.replace(' ', '-')}@{organization}.example"
    invited = await call(server, organization, "inviteMember", by=Role.ADMIN, email=email, role="VIEWER", name=label)
    await call(server, organization, "acceptInvitation", token=invited["invitationToken"], password=PASSWORD)
    await server.owner.execute(
        "INSERT INTO sign_in_failures (email, network, reason) VALUES ($1, '', 'WRONG_PASSWORD')", email
    )
    await server.owner.execute(
        "INSERT INTO sign_in_throttles (email, network, attempts, window_ends_at) VALUES ($1, '', 1, now())", email
    )
    session = await call(server, organization, "signIn", email=email, password=PASSWORD, organization=organization)
    await call(server, organization, "createApiKey", by=Role.ADMIN, name=label, role="VIEWER", idempotencyKey=label)
    invited = await call(
        server, organization, "inviteMember", by=Role.ADMIN, email=f"invited-{email}", role="VIEWER", name=label
    )
    return {
        "email": email,
        "organization": organization,
        "refreshToken": session["refreshToken"],
        "invitationToken": invited["invitationToken"],
    }


async def populate_with_equal_ids(server: RunningServer) -> tuple[Known, Known]:
    """Alpha and beta populated with rows of the same ids: a key is (organization, id), and ids alone tell nothing."""
    sequences = await server.owner.fetch(
        "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public' AND sequencename <> ALL ($1)",
        [f"{table}_id_seq" for table in GLOBAL_TABLES],
    )
    alpha = await populate(server, "alpha")
    for sequence in sequences:
        last = sequence["last_value"]
        await server.owner.execute("SELECT setval($1, $2, $3)", sequence["sequencename"], last or 1, last is not None)
    return alpha, await populate(server, "beta")


async def latest(server: RunningServer, organization: str) -> Known:
    """The latest row of every type in an organization; fails where a type has none."""
    known = Known({}, {})
    for type_name, entity in ENTITIES.items():
        row = await server.owner.fetchrow(_latest_sql(entity), server.organization_ids[organization])
        assert row is not None, f"populate() makes no {type_name}"
        known.ids[type_name] = global_ids.encode(type_name, row["id"])
        if entity.id_type == "bigint":
            known.row_ids[type_name] = row["id"]
        if "version" in row:
            known.versions[type_name] = row["version"]
        if "allocation_version" in row:
            known.versions["Fund.allocation"] = row["allocation_version"]
        if type_name == "AuditEvent":
            known.versions[type_name] = row["sequence"]
    pending = await server.owner.fetchrow(
        "SELECT id, version FROM deal_allocations WHERE organization_id = $1 AND status = 'PENDING_APPROVAL'"
        " ORDER BY id DESC LIMIT 1",
        server.organization_ids[organization],
    )
    known.ids[PENDING_ALLOCATION] = global_ids.encode("DealAllocation", pending["id"])
    known.versions[PENDING_ALLOCATION] = pending["version"]
    known.versions["BusinessRules"] = await rules_version(server, organization)
    return known


def _latest_sql(entity: Entity) -> str:
    age = "created_at" if entity.id_type == "uuid" else "id"
    scope = f"{entity.scope_column} = $1" if entity.scope_column else _OF_ORGANIZATION[entity.table.name]
    return f"SELECT * FROM {entity.table.name} WHERE {scope} ORDER BY {age} DESC LIMIT 1"


_OF_ORGANIZATION = {"users": "id IN (SELECT user_id FROM memberships WHERE organization_id = $1)"}
"""How rows of a table without an organization belong to one."""


def unknown(like: Known) -> Known:
    """Well-formed ids that no row has, with the same versions."""
    ids = {
        type_name: global_ids.encode(type_name, UNKNOWN_UUID if entity.id_type == "uuid" else UNKNOWN_NUMBER)
        for type_name, entity in ENTITIES.items()
    }
    ids[PENDING_ALLOCATION] = ids["DealAllocation"]
    return Known(ids, like.versions, dict.fromkeys(like.row_ids, UNKNOWN_NUMBER), like.secrets)


async def ended_tokens(server: RunningServer, known: Known) -> dict[str, str]:
    """Tokens that were good once, each of an administrator of alpha."""
    owner, alpha = server.owner, server.organization_ids["alpha"]
    user_id = await owner.fetchval("SELECT id FROM users WHERE email = 'admin@alpha.example'")
    claims: dict[str, Any] = {"sub": str(user_id), "email": "admin@alpha.example", "organization": "alpha"}
    tokens, now = Tokens(server.settings), int(time.time())
    session = (
        "INSERT INTO sessions (organization_id, user_id, network, expires_at, idle_expires_at, revoked_at, revoked_for)"
        " VALUES ($1, $2, '', now() + interval '1 day', {idle}, {revoked}) RETURNING id"
    )
    revoked = await owner.fetchval(
        session.format(idle="now() + interval '1 day'", revoked="now(), 'SIGNED_OUT'"), alpha, user_id
    )
    idle = await owner.fetchval(session.format(idle="now()", revoked="NULL, NULL"), alpha, user_id)
    keys = [
        (await call(server, "alpha", "createApiKey", by=Role.ADMIN, name=name, role="ADMIN"))["secret"]
        for name in ("revoked", "expired")
    ]
    await owner.execute("UPDATE api_keys SET revoked_at = now() WHERE name = 'revoked'")
    await owner.execute("UPDATE api_keys SET expires_at = now() WHERE name = 'expired'")
    removed = await owner.fetchval(
        "UPDATE memberships SET role = 'ADMIN', removed_at = now() FROM users WHERE users.id = user_id AND email = $1"
        " RETURNING user_id",
        known.secrets["email"],
    )
    return {
        "expired token": tokens._signed(now - 60, **claims),
        "revoked session": tokens._signed(now + 60, **claims, sid=revoked),
        "idle session": tokens._signed(now + 60, **claims, sid=idle),
        "session that never was": tokens._signed(now + 60, **claims, sid=2**40),
        "revoked API key": keys[0],
        "expired API key": keys[1],
        "removed member": tokens._signed(now + 60, **claims | {"sub": str(removed)}),
    }
