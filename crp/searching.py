"""Whether a Temporal knows our search attributes, and how it learns them.

Touches the server. Who may list jobs may ask; to register, one must be an operator of the server.
"""

from __future__ import annotations

import weakref
from datetime import timedelta

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client, RPCError
from temporalio.common import TypedSearchAttributes
from temporalio.service import RPCStatusCode

from crp.attributes import SEARCH_ATTRIBUTES
from crp.errors import EngineError
from crp.failures import from_failure
from crp.models import Job
from crp_workflows.attributes import at_start

KINDS: dict[str, IndexedValueType.ValueType] = {
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "Double": IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE,
    "Int": IndexedValueType.INDEXED_VALUE_TYPE_INT,
}
WITHIN = timedelta(seconds=10)

_knowing: weakref.WeakSet[Client] = weakref.WeakSet()
"""Connections to servers that know all of them; one that does not is asked again."""


async def searchable(client: Client) -> bool:
    """Whether jobs can be found by our attributes; False also when the server does not say."""
    if client in _knowing:
        return True
    # Naming an unknown attribute is an error; this takes no more rights than to list jobs.
    query = " AND ".join(f"{name} IS NOT NULL" for name in SEARCH_ATTRIBUTES)
    try:
        await client.count_workflows(query, rpc_timeout=WITHIN)
    except RPCError:
        return False
    _knowing.add(client)
    return True


async def attributes_of(client: Client, job: Job, batch: str = "") -> TypedSearchAttributes:
    """Give the attributes that a job starts with; none where the server knows none."""
    empty = TypedSearchAttributes([])
    return at_start(job, batch) if await searchable(client) else empty


async def register(client: Client) -> list[str]:
    """Register what is missing, and give the names of it. Raises EngineError."""
    try:
        there = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace), timeout=WITHIN
        )
        _check_kinds(dict(there.custom_attributes))
        missing = {n: k for n, k in SEARCH_ATTRIBUTES.items() if n not in there.custom_attributes}
        if missing:
            request = AddSearchAttributesRequest(
                namespace=client.namespace,
                search_attributes={name: KINDS[kind] for name, kind in missing.items()},
            )
            await client.operator_service.add_search_attributes(request, timeout=WITHIN)
    except RPCError as error:
        raise _explained(error) from None
    return sorted(missing)


def _check_kinds(there: dict[str, IndexedValueType.ValueType]) -> None:
    for name, kind in SEARCH_ATTRIBUTES.items():
        if there.get(name, KINDS[kind]) != KINDS[kind]:
            found = IndexedValueType.Name(there[name]).removeprefix("INDEXED_VALUE_TYPE_")
            raise EngineError(
                f"the search attribute {name} is there as {found.title()}, and jobs need {kind}: "
                "remove it (`temporal operator search-attribute remove`), then do this again"
            )


def _explained(error: RPCError) -> Exception:
    refused = (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED)
    if error.status not in refused:
        return from_failure(error)
    wanted = ", ".join(f"{name} ({kind})" for name, kind in SEARCH_ATTRIBUTES.items())
    return EngineError(
        "this Temporal does not let us register search attributes (Temporal Cloud never does): "
        f"whoever runs it has to add {wanted}"
    )
