"""The tables are made of what PostgreSQL has too; a moment survives the database to the microsecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from alerter.store.tables import Moment, metadata

ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-11))])


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_every_table_can_be_made_in_postgresql(table: Table) -> None:
    ddl = str(CreateTable(table).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    assert "DATETIME" not in ddl
    assert "BLOB" not in ddl


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=ZONES))  # noqa: DTZ001 - hypothesis adds the zone
def test_a_moment_comes_back_as_it_was(moment: datetime) -> None:
    column, dialect = Moment(), sqlite.dialect()
    stored = column.process_bind_param(moment, dialect)
    assert isinstance(stored, int)
    assert column.process_result_value(stored, dialect) == moment
