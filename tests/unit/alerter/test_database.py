"""What SQLAlchemy and the drivers do by default, and must not do here."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from alerter.store import migrate
from alerter.store.database import default_url, engine_of
from alerter.store.tables import endpoints, positions, secrets


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
