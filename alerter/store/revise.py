"""Writes a migration that matches `tables.py`: `python -m alerter.store.revise ["what changes"]`.

Without words it writes the first migration anew, which is right only as long as no release has a database. With words
it adds another one: read it before you commit it, especially if rows must be carried over.
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
        raise SystemExit('there is more than one migration, so say what changes: revise "what changes"')
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
    # Formatted as all our code. A line that is still too long is a name, and stays.
    subprocess.run([sys.executable, "-m", "ruff", "check", "--fix", "--quiet", path], check=True)  # noqa: S603
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", path], check=True)  # noqa: S603
    return path


if __name__ == "__main__":
    print(main(sys.argv[1] if len(sys.argv) > 1 else None))
