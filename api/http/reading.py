"""Reading documents at the caller's expense: checking one may take longer than answering it.

What is kept costs nothing, and what turns out to be good is not charged for. What is not takes from what its sender may
ask for in a minute, and where that is used up, it is not looked at.
"""

import asyncio

from api.graphql.context import SignedIn
from api.http.documents import Document, Documents
from api.services.rate_limits import RateLimits

CHARACTERS_FOR_ONE = 2
"""As a token has, with what is beside it, where they are packed."""
SMALL_CHARACTERS_MAX = 2_000
"""Of callers without a token: so much is looked at first, for attempts to sign in are not to be kept out by others."""


async def read(documents: Documents, rates: RateLimits | None, text: str, signed_in: SignedIn | None) -> Document:
    """The document of this text; raises RateLimited, and Unauthenticated where it is not for this caller."""
    if documents.keeps(text):
        return documents.get(text, is_signed_in=signed_in is not None)
    document = await _read_anew(documents, rates, text, signed_in)
    # That took about as long as others' whole requests do; they need not wait for the running of it as well.
    await asyncio.sleep(0)
    return document


async def _read_anew(documents: Documents, rates: RateLimits | None, text: str, signed_in: SignedIn | None) -> Document:
    if rates is None:
        return documents.get(text, is_signed_in=signed_in is not None)
    price = 1 + len(text) // CHARACTERS_FOR_ONE
    if signed_in is None:
        return _read_for_anybody(documents, rates, text, price)
    price = min(price, rates.per_minute)
    if not rates.take(signed_in.principal, price):
        await rates.lease(signed_in.principal, price)
    document = documents.get(text)
    if not document.errors:
        rates.give_back(signed_in.principal, price)
    return document


def _read_for_anybody(documents: Documents, rates: RateLimits, text: str, price: int) -> Document:
    is_small = len(text) <= SMALL_CHARACTERS_MAX
    if not is_small:
        rates.take_anonymously(price)
    document = documents.get(text, is_signed_in=False)
    if document.errors and is_small:
        rates.take_anonymously(price)
    elif not document.errors and not is_small:
        rates.give_back_anonymously(price)
    return document
