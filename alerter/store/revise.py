"""Brings the migrations in step with `tables.py`: `python -m alerter.store.revise ["what changes"]`.

Without words the first migration is written anew, which is right only while no database of a release exists. With words a
further one is added: read it before it is committed, above all where rows must be carried over.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

from alembic import command

from alerter.store import migrate
from alerter.store.database import engine_of

VERSIONS: Final = migrate.FOLDER / "versions"


def main(words: str | None) -> Path:
    known = sorted(VERSIONS.glob("[0-9]*.py"))
    if words is None and len(known) > 1:
        raise SystemExit('there is more than the first migration: say what changes: revise "what changes"')
    if words is None:
        for path in known:
            path.unlink()
    number = 1 if words is None else len(known) + 1
    config = migrate.configuration()
    with TemporaryDirectory() as folder:
        engine = engine_of(f"sqlite+pysqlite:///{folder}/empty.db")
        with engine.begin() as connection:
            if words is not None:
                migrate.to(connection, "head")
            config.attributes["connection"] = connection
            config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
            written = cast("Any", command.revision)(
                config, message=words or "initial", autogenerate=True, rev_id=f"{number:04}"
            )
        engine.dispose()
    path = Path(written.path)
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"^ *# ###.*\n", "", text, flags=re.MULTILINE), encoding="utf-8")
    # The same formatter as everywhere; a line that it cannot break is a name, and stays.
    subprocess.run([sys.executable, "-m", "ruff", "check", "--fix", "--quiet", path], check=True)  # noqa: S603
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", path], check=True)  # noqa: S603
    return path


if __name__ == "__main__":
    print(main(sys.argv[1] if len(sys.argv) > 1 else None))
