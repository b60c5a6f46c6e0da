"""The alerter's commands, each in a file of its own."""

from __future__ import annotations

import typer

from alerter.cli.explain import explain
from alerter.cli.purge import purge
from alerter.cli.rotate_secrets import rotate_secrets
from alerter.cli.rules_try import try_rules
from alerter.cli.whatif import whatif

app = typer.Typer(no_args_is_help=True, help="Try rules, explain incidents.")
rules = typer.Typer(no_args_is_help=True, help="Rules, before they are switched on.")
app.add_typer(rules, name="rules")
rules.command("try")(try_rules)
for command in (explain, whatif, purge, rotate_secrets):
    app.command()(command)
