"""Asks the coordinator of a transactional id how its last transaction ended (KIP-664, DescribeTransactions).

aiokafka does not know this request. Its schema is the one of `DescribeTransactionsRequest.json` in Apache Kafka.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import CoordinationType
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

_NOT_FOUND: Final = 105
_SOON: Final = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)
"""While a coordinator is being found, or reads its log. aiokafka names these errors after groups; brokers answer with them
about transactions too."""
_SOON_SECONDS: Final = 0.1
_COMMITTED: Final = frozenset({"PrepareCommit", "CompleteCommit"})
_ABORTED: Final = frozenset({"PrepareAbort", "CompleteAbort", "Ongoing", "PrepareEpochFence"})


class TransactionEnd(Enum):
    COMMITTED = "committed"
    ABORTED = "aborted"
    """Aborted, or still open: opening the next producer of this id aborts it."""
    UNKNOWN = "unknown"
    """There was no transaction, or a producer of this id has been opened since."""


class _Response(Response):  # type: ignore[misc]
    API_KEY = 65
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "transaction_states",
            CompactArray(
                ("error_code", Int16),
                ("transactional_id", CompactString("utf-8")),
                ("transaction_state", CompactString("utf-8")),
                ("transaction_timeout_ms", Int32),
                ("transaction_start_time_ms", Int64),
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                (
                    "topics",
                    CompactArray(
                        ("topic", CompactString("utf-8")), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _Struct(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 65
    API_VERSION = 0
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(("transactional_ids", CompactArray(CompactString("utf-8"))), ("tags", TaggedFields))


class _Request(Request[_Struct]):  # type: ignore[misc]
    API_KEY = 65

    def __init__(self, transactional_id: str) -> None:
        self._transactional_id = transactional_id

    def build(self, request_struct_class: type[_Struct]) -> _Struct:
        return request_struct_class([self._transactional_id], {})


async def end_on_record(admin: AIOKafkaAdminClient, transactional_id: str) -> TransactionEnd:
    """Returns how the last transaction under this id ended. That needs the right to describe the id, which every process has
    that may write under it. While there is no coordinator yet it asks again, until the caller's time is up.

    Raises `KafkaError`.
    """
    while True:
        try:
            return await _asked(admin, transactional_id)
        except _SOON:
            await asyncio.sleep(_SOON_SECONDS)


async def _asked(admin: AIOKafkaAdminClient, transactional_id: str) -> TransactionEnd:
    client = admin._client  # noqa: SLF001 - the admin client has no public way to send a request of one's own
    node = await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
    answer = await client.send(node, _Request(transactional_id))
    code, _, state, *_ = answer.transaction_states[0]
    if code == _NOT_FOUND:
        return TransactionEnd.UNKNOWN
    if code:
        raise for_code(code)(f"the coordinator cannot say how {transactional_id} ended")
    if state in _COMMITTED:
        return TransactionEnd.COMMITTED
    return TransactionEnd.ABORTED if state in _ABORTED else TransactionEnd.UNKNOWN
