"""From what a client asks over a socket to its responses: the way of the HTTP endpoint, without statuses."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from api.errors import RequestError, Unauthenticated
from api.graphql.context import SignedIn
from api.http.documents import NEEDS_A_TOKEN, Documents
from api.http.error_answers import format_error, masked
from api.http.live.answers import Answers, Body
from api.http.persisted_documents import PersistedDocuments
from api.http.reading import read
from api.http.reports import count_errors, report
from api.http.requests import BadRequest, check_request


class Perform:
    """Answers the payloads of ``subscribe`` messages."""

    def __init__(self, answers: Answers, documents: Documents, persisted: PersistedDocuments) -> None:
        self.answers = answers
        self.documents = documents
        self.persisted = persisted

    async def message(self, payload: Any, signed_in: SignedIn | None, request_id: str) -> AsyncGenerator[Body, None]:
        """The responses to one operation; a single one without data where it is refused."""
        started = time.perf_counter()
        try:
            request = check_request(payload)
            text, rates = self.persisted.text_of(request), self.answers.operations.rates
            document = await read(self.documents, rates, text, signed_in)
            if document.errors:
                errors = [format_error(error, request_id, document.error_code) for error in document.errors]
                yield _refused({"errors": errors}, signed_in, request_id, started)
                return
            operation = document.operation(request.operation_name)
            if operation is None:
                raise BadRequest(400, "operationName: must name one of the document's operations.")
            if signed_in is None and not operation.is_public:
                raise Unauthenticated(NEEDS_A_TOKEN)
            self.persisted.keep(request, is_signed_in=signed_in is not None)
        except BadRequest as error:
            yield _refused(_refusal(error.message, error.code), signed_in, request_id, started)
        except RequestError as error:
            yield _refused(_refusal(str(error), error.code), signed_in, request_id, started)
        except Exception as error:
            yield _refused({"errors": [masked(error, request_id)]}, signed_in, request_id, started)
        else:
            responses = self.answers.bodies(document, operation, request, signed_in, request_id)
            async with aclosing(responses) as bodies:
                async for body in bodies:
                    yield body


def _refused(body: Body, signed_in: SignedIn | None, request_id: str, started: float) -> Body:
    """The body, counted and logged."""
    report(None, signed_in, request_id, time.perf_counter() - started, count_errors(body), responses=0)
    return body


def _refusal(message: str, code: str) -> Body:
    return {"errors": [{"message": message, "extensions": {"code": code}}]}
