"""No service of apprise opens a file of this machine, whichever of its options names one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import certifi
import pytest

from alerter.notify.apprise_files import OPTIONS, attached, may_be_read, named_in
from alerter.notify.apprise_worker import Guard, NotTaken

SUSPICIOUS = (
    "file",
    "path",
    "template",
    "cert",
    "attach",
    "config",
    "include",
    "dir",
    "pgp",
    "store",
    "load",
    "folder",
)
HARMLESS = {
    "attach-as": "the name of a form's field",
    "file_url": "fetched by the receiver's server",
    "filename": "a name for what the receiver shows",
    "fullpath": "of a URL",
    "path": "of a URL",
    "workflow_path": "of a URL",
    "pgp": "a mode",
    "payload": "texts",
    "payload_extras": "texts",
    "profile": "an id",
    "profile_id": "an id",
    "redirect": "whether redirects are followed; each connection is checked",
    "store": "whether a service may keep what it learnt: in memory, as nothing can be written",
    "template": "a name for some services; where it is a file, `attached` finds it",
    "template_data": "a text",
    "template_mapping": "texts",
}
"""Options that sound as if they named a file, and do not."""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_option_of_every_service_that_may_name_a_file_is_refused_or_known_to_name_none() -> None:
    from apprise.manager_plugins import NotificationManager
    from apprise.plugins import details

    manager: Any = NotificationManager()  # type: ignore[no-untyped-call]
    options: set[str] = set()
    for schema in set(manager.schemas()):
        known: Any = details(manager[schema])  # type: ignore[no-untyped-call]
        options |= {name for kind in ("args", "tokens", "kwargs") for name in known[kind]}
    assert len(options) > 300
    suspicious = {name for name in options if any(word in name.lower() for word in SUSPICIOUS)}
    assert suspicious - OPTIONS - set(HARMLESS) == set()


@pytest.mark.parametrize(
    "url",
    [
        "fcm://p/d?keyfile=/a",
        "fcm://p/d?KEYFILE=/a",
        "fcm://p/d?a=b?keyfile=/a",
        "fcm://p/d?a=b;keyfile=/a",
        "fcm://p/d?%6Beyfile=/a",
        "fcm://p/d?%256Beyfile=/a",
        "json://h?+keyfile=/a",
        "json://h?:any=file:///a",
        "json://h?-any=%66ile:/a",
        "json://h?any= FILE:///a",
    ],
)
def test_a_file_is_found_however_its_option_is_written(url: str) -> None:
    assert named_in(url) is not None


@pytest.mark.parametrize(
    "url", ["json://h/path/file?a=b", "mailto://u:p@h?to=a@b.example&cc=c@d.example", "ntfy://topic"]
)
def test_a_url_without_files_is_none(url: str) -> None:
    assert named_in(url) is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_attachment_is_found_wherever_a_service_keeps_it() -> None:
    import apprise

    plain = apprise.Apprise.instantiate("json://localhost")
    assert not attached(plain, apprise.AppriseAttachment)
    hidden: Any = apprise.Apprise.instantiate("json://localhost")
    hidden.somewhere = {"inside": [apprise.AppriseAttachment("/etc/hostname")]}
    assert attached(hidden, apprise.AppriseAttachment)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/etc/shadow", "/proc/self/environ", "/root/.ssh/id_rsa", "/usr/share/../../etc/passwd"]
)
def test_a_file_of_the_machine_is_not_read(path: str) -> None:
    assert not may_be_read(path)
    with pytest.raises(NotTaken):
        Guard([])("open", (path, "r", os.O_RDONLY))


def test_neither_is_the_data_nor_what_leads_there(tmp_path: Path) -> None:
    data = tmp_path / "alerter.db"
    data.write_text("")
    link = tmp_path / "innocent.py"
    link.symlink_to(data)
    for path in (data, str(data), bytes(data), link):
        assert not may_be_read(path)


def test_what_python_and_tls_need_is_read() -> None:
    for path in (certifi.where(), os.__file__, "/etc/hosts", __file__, 3):
        assert may_be_read(path)


def test_a_service_that_opens_a_file_all_the_same_is_stopped_below_its_code(tmp_path: Path) -> None:
    private = tmp_path / "private.json"
    private.write_text('{"text": "private"}')
    script = (
        "import sys, apprise\n"
        "from alerter.notify.apprise_worker import Guard\n"
        "apprise.Apprise().add('json://localhost')\n"
        "target = apprise.Apprise.instantiate('workflows://127.0.0.1/work/sign?template=' + sys.argv[1])\n"
        "guard = Guard(['127.0.0.0/8'])\n"
        "sys.addaudithook(guard)\n"
        "target.notify(body='a', title='b')\n"
        "print(guard.said)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script, str(private)], capture_output=True, text=True, check=False)
    assert "tried to read a file of this machine" in ran.stdout, ran.stderr
