"""The `firebreak` command. Every command says what it does, what it needs and, when it fails, what to do next."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError

from services.base import logs
from services.base.errors import FirebreakError
from services.base.settings import Settings
from services.config.current import CurrentConfig
from services.config.file import ConfigFile
from services.config.model import Config
from services.runtime.registry import COMMANDS, SERVICES
from services.runtime.registry import load as load_object

app = typer.Typer(
    name="firebreak",
    help="Hears the complaint that is about to go viral and gets a human to it in time.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def fail(why: object, code: int = 1) -> NoReturn:
    typer.secho(f"firebreak: {why}", err=True, fg=typer.colors.RED)
    raise typer.Exit(code)


def settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        fail(
            "\n".join(
                f"FIREBREAK_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}"
                for e in error.errors(include_url=False, include_input=False)
            )
        )


def run_to_end(work: Coroutine[Any, Any, Any]) -> Any:
    import uvloop

    return uvloop.run(work)


@app.command()
def run(
    services: Annotated[
        list[str] | None, typer.Argument(help=f"any of {', '.join(SERVICES)}; without any, all of them in one process")
    ] = None,
) -> None:
    """Run the services until SIGTERM or Ctrl-C. Settings come from FIREBREAK_... variables (see `doctor --settings`).

    The configuration file is read again when it changes, on SIGHUP, and by `firebreak reload`."""
    # Until the loop listens to it: a SIGHUP that comes while we start asks for what is being done.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from services.runtime.process import Process, run_until_signalled
    from services.tools import data_folder

    names = services or list(SERVICES)
    if unknown := set(names) - set(SERVICES):
        fail(f"there is no service {', '.join(sorted(unknown))}; choose from {', '.join(SERVICES)}", 2)
    of = settings()
    logs.configure(of.log_level, of.log_format)
    if of.log == "sqlite" or ("alerter" in names and of.database is None):
        data_folder.check(of.data)
    config = CurrentConfig.from_file(ConfigFile(of.config, of.data))
    run_until_signalled(lambda: Process(of, config, names))


@app.command()
def reload(
    url: Annotated[
        str | None,
        typer.Option(help="URL of the process with the alerter; without it, FIREBREAK_HOST and FIREBREAK_PORT"),
    ] = None,
) -> None:
    """Have the configuration file read again, and say whether it was taken. Needs FIREBREAK_ADMIN_KEY.

    A file with mistakes changes nothing; the mistakes are printed and the exit code is 1. All other processes that read the
    same file take it by themselves within seconds."""
    from services.tools.reloading import ask_for_reload

    ask_for_reload(settings(), url)


@app.command()
def init(
    file: Annotated[
        Path | None, typer.Argument(help="where to write it; without one, FIREBREAK_CONFIG or firebreak.yaml")
    ] = None,
) -> None:
    """Write the example configuration, and say what to do next. A file that is there is left as it is."""
    from services.tools import shipped, tryout

    to = file or settings().config
    shipped.write_example(to)
    for line in tryout.after_writing(to):
        typer.echo(line)


@app.command()
def serve() -> None:
    """Try it here: run all services until Ctrl-C, with keys that are made once and kept beside the data.

    The configuration is FIREBREAK_CONFIG, or firebreak.yaml in this folder, or else the example that ships. What is set in the
    environment stays as it is; webhooks may reach this machine."""
    from services.tools.tryout import with_what_is_missing

    made, lines = with_what_is_missing(os.environ)
    os.environ.update(made)
    for line in lines:
        typer.echo(line)
    sys.stdout.flush()
    run(None)


@app.command()
def demo(
    seed: Annotated[int | None, typer.Option(help="another seed plays another evening")] = None,
    speed: Annotated[float, typer.Option(help="times as fast as real time", min=1, max=600)] = 60,
    chaos: Annotated[bool, typer.Option("--chaos", help="kill the scorer in the middle")] = False,
) -> None:
    """Play an evening with four storms through an installation of its own, and judge it (two minutes)."""
    from services.tools.shipped import DEMO

    drill(DEMO, seed=seed, speed=speed, chaos=chaos)


@app.command()
def drill(
    file: Annotated[Path, typer.Argument(help="a script, or the name of one that ships, such as 1-quoted-by-the-loud")],
    seed: Annotated[int | None, typer.Option(help="another seed plays another night")] = None,
    speed: Annotated[float, typer.Option(help="times as fast as real time", min=1, max=600)] = 60,
    manual: Annotated[bool, typer.Option("--manual", help="no waiting: time moves when nothing is left to do")] = False,
    against: Annotated[
        str | None,
        typer.Option(
            help="URL of a running installation, at real pace; keys from FIREBREAK_DRILL_POST_KEY and _ADMIN_KEY"
        ),
    ] = None,
    sink_host: Annotated[
        str, typer.Option(help="with --against: the address at which that installation reaches this machine")
    ] = "127.0.0.1",
    chaos: Annotated[
        bool, typer.Option("--chaos", help="kill the scorer in the middle, and check that nothing changes")
    ] = False,
) -> None:
    """Play a scripted night through the real thing, and judge who was told what, and when.

    Without --against, an installation of its own is started in a temporary directory, on FIREBREAK_LOG, and stopped again.
    The exit code is 1 if somebody was not told as expected."""
    from services.tools.drills.show import play

    of = settings()
    if not play(file, of, seed=seed, speed=speed, manual=manual, against=against, sink_host=sink_host, chaos=chaos):
        raise typer.Exit(1)


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="NDJSON of posts, or cascades as JSONL; .gz is read too")],
    speed: Annotated[float, typer.Option(help="times as fast as it happened", min=0.01, max=100_000)] = 60,
    to: Annotated[
        str | None, typer.Option(help="URL of a running ingest; without it, an installation of its own is started")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="most posts (or cascades) to send", min=1)] = None,
    brand: Annotated[str | None, typer.Option(help="brand of cascades without a text")] = None,
) -> None:
    """Send recorded posts again, in their order and at their pace, with a progress bar.

    Times are moved so that the first post happens now. An installation of its own runs on a clock that is as fast as the
    replay. A running one keeps its own clock: use --speed 1 there, unless it was started on a scaled clock."""
    from services.tools.drills.replay import replay as replay_file

    replay_file(file, settings(), speed=speed, to=to, limit=limit, brand=brand)


@app.command()
def sink(
    port: Annotated[int, typer.Option(help="port to listen on")] = 9090,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    secret: Annotated[
        list[str] | None,
        typer.Option(help="name=whsec_... of an endpoint; repeat for several", envvar="FIREBREAK_SINK_SECRETS"),
    ] = None,
) -> None:
    """Receive webhooks at /hooks/NAME, check their signatures with the reference library, and print them."""
    from services.tools.drills.show import run_sink

    secrets = dict(pair.partition("=")[::2] for pair in secret or [])
    if not secrets:
        fail("needs --secret name=whsec_...: the secret is shown when an endpoint is created (POST /v1/endpoints)", 2)
    run_to_end(run_sink(host, port, secrets))


@app.command()
def topics(
    create: Annotated[bool, typer.Option("--create", help="create what is missing")] = False,
) -> None:
    """Show the topics as they should be, and check or create them on FIREBREAK_KAFKA_BOOTSTRAP."""
    from services.tools.doctor import check_topics

    of = settings()
    if not run_to_end(check_topics(of, create=create)):
        raise typer.Exit(1)


@app.command()
def doctor(
    schema: Annotated[bool, typer.Option("--schema", help="print the JSON Schema of the configuration file")] = False,
    variables: Annotated[
        bool, typer.Option("--settings", help="list the FIREBREAK_... variables with their meaning")
    ] = False,
    quarantine: Annotated[
        str | None,
        typer.Option(help="PARTITION:KEY of a state entry that cannot be read: set it aside (stop the services first)"),
    ] = None,
    page: Annotated[
        bool, typer.Option("--page", help="ring everybody on duty once with a test page, and report who confirms it")
    ] = False,
    all_methods: Annotated[
        bool, typer.Option("--all-methods", help="with --page: by every method of each, and each is to be confirmed")
    ] = False,
    wait: Annotated[
        float, typer.Option(help="with --page: minutes that people have to confirm", min=0.05, max=120)
    ] = 5,
    url: Annotated[
        str | None, typer.Option(help="with --page: URL of the alerter; without it, FIREBREAK_HOST and FIREBREAK_PORT")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="with --page: do not ask for confirmation")] = False,
) -> None:
    """Explain what is wrong with the configuration or the machine. The exit code is 1 if something is.

    With --page, hold a drill instead: a running installation rings everybody who is on duty. The exit code is 1 if somebody
    does not confirm. The key comes from FIREBREAK_ADMIN_KEY."""
    from services.tools.doctor import diagnose, quarantine_state, settings_table

    if schema:
        typer.echo(json.dumps(Config.model_json_schema(), indent=2))
        return
    if variables:
        settings_table()
        return
    of = settings()
    if page:
        from services.tools.page_drill import hold

        if not run_to_end(hold(of, url, wait, every_method=all_methods, yes=yes)):
            raise typer.Exit(1)
        return
    if all_methods or yes or url is not None:
        fail("--all-methods, --yes and --url belong to --page", 2)
    if quarantine is not None:
        run_to_end(quarantine_state(of, quarantine))
        return
    if not run_to_end(diagnose(of)):
        raise typer.Exit(1)


def _lend_commands() -> None:
    """Add the commands that services bring. They are imported only when one of them is asked for, or help is."""
    for path in COMMANDS.values():
        try:
            theirs: typer.Typer = load_object(path)
        except ImportError:
            continue
        app.registered_commands += theirs.registered_commands
        app.registered_groups += theirs.registered_groups


def main() -> None:
    known = {"run", "init", "serve", "demo", "reload", "drill", "replay", "sink", "topics", "doctor"}
    if not known & set(sys.argv[1:2]):
        _lend_commands()
    try:
        app()
    except FirebreakError as error:
        typer.secho(f"firebreak: {error}", err=True, fg=typer.colors.RED)
        sys.exit(1)
    except BaseExceptionGroup as group:
        _, unknown = group.split(FirebreakError)
        if unknown is not None:
            raise
        from services.runtime.process import reasons

        for reason in reasons(group):
            typer.secho(f"firebreak: {reason}", err=True, fg=typer.colors.RED)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
