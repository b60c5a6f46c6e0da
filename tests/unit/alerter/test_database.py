"""What SQLAlchemy and the drivers do by default, and must not do here."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from alerter.store import migrate
from alerter.store.database import BUSY_MS, Database, default_url, engine_of, fold
from alerter.store.tables import endpoints, positions, secrets
from services.base.errors import ConfigError


def test_a_transaction_that_reads_before_it_writes_is_never_refused_for_another_s_write(tmp_path: Path) -> None:
    ours, theirs = (engine_of(default_url(tmp_path)) for _ in range(2))
    migrate.up(ours)
    with ours.begin() as connection:
        connection.execute(insert(positions).values(partition=0, next=1))

    def step_in() -> None:
        with theirs.begin() as other:
            other.execute(insert(positions).values(partition=1, next=1))

    with ours.begin() as connection:
        assert connection.scalar(select(positions.c.next)) == 1
        thread = threading.Thread(target=step_in)
        thread.start()
        thread.join(timeout=0.3)  # a transaction that had only read so far would let it through
        connection.execute(update(positions).values(next=2))
    thread.join()
    with ours.connect() as connection:
        assert connection.scalars(select(positions.c.next).order_by(positions.c.partition)).all() == [2, 1]
    ours.dispose()
    theirs.dispose()


def test_an_error_of_the_database_repeats_no_value(tmp_path: Path) -> None:
    engine = engine_of(default_url(tmp_path))
    migrate.up(engine)
    row = {"name": "desk", "kind": "webhook", "url": "https://hooks.example/T0KEN", "brands": "[]", "state": "enabled"}
    with engine.begin() as connection, pytest.raises(IntegrityError) as raised:
        connection.execute(insert(endpoints).values(**row))  # without the time at which it was made
    assert "T0KEN" not in str(raised.value)
    with engine.begin() as connection, pytest.raises(IntegrityError) as raised:
        connection.execute(insert(secrets).values(endpoint="nobody", secret="whsec_T0KEN"))
    assert "T0KEN" not in str(raised.value)
    engine.dispose()


async def test_a_database_whose_file_cannot_be_made_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    database = Database(f"sqlite+pysqlite:///{tmp_path}/file/alerter.db")
    with pytest.raises(ConfigError, match=r"alerter\.db cannot be made or used: Not a directory"):
        await database.start()
    await database.close()


def test_the_write_ahead_log_is_emptied_as_soon_as_nobody_reads_from_it(tmp_path: Path) -> None:
    engine = engine_of(default_url(tmp_path))
    migrate.up(engine)
    log = tmp_path / "alerter.db-wal"
    with closing(sqlite3.connect(tmp_path / "alerter.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM positions").fetchone()
        with engine.begin() as connection:
            connection.execute(insert(positions).values(partition=0, next=1))
        fold(engine)
        assert log.stat().st_size > 0, "somebody reads, and is not disturbed"
        reader.execute("ROLLBACK")
        fold(engine)
        assert log.stat().st_size == 0
    with engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == BUSY_MS, "as it was"
    engine.dispose()
