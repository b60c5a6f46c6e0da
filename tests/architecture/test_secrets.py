"""What proves somebody's right is compared in constant time: by `hmac.compare_digest`, and by nothing else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PARTS: Final = ("alerter", "ingest", "services")
WORDS: Final = frozenset(
    {"secret", "secrets", "token", "signature", "signatures", "digest", "csrf", "hmac", "mac", "password", "hash"}
    | {"hashes", "hexdigest", "seal", "sealed", "sign", "credential", "authorization", "bearer"}
)
KEYS: Final = frozenset({"admin_key", "api_key", "root_key", "routing_key", "presented", "given_key", "post_key"})
TELLS: Final = frozenset(
    {"startswith", "endswith", "find", "index", "count", "__eq__", "__ne__", "__contains__", "eq", "ne"}
)
PATTERNS: Final = frozenset({"match", "fullmatch", "search"})
SEALED_WORD: Final = "the word that says that a value is encrypted, which anybody may know"
ALLOWED: Final = {
    ("ingest/auth.py", "digest in self._hashes.values()"): "at the start, among the keys of the settings",
    ("alerter/store/vault.py", "stored.startswith(SEALED)"): SEALED_WORD,
    ("alerter/store/vault.py", "value.startswith((SEALED, PLAIN))"): SEALED_WORD,
    ("alerter/store/vault.py", "bytes(value).startswith(SEALED.encode())"): SEALED_WORD,
    ("alerter/store/sealing.py", "text.startswith(SEALED)"): SEALED_WORD,
    ("alerter/store/sealing.py", "bytes(value).startswith(SEALED.encode())"): SEALED_WORD,
    ("services/contracts/phrases.py", "folded[start - 1] == _HASH"): "the sign of a hashtag",
    ("ingest/auth.py", "name in self._hashes"): "a key's name, which is no secret",
    (
        "ingest/sources/helpdesks/zendesk.py",
        "said.body.strip() == (ticket.description or '').strip()",
    ): "words of a ticket",
}
"""Comparisons of what only sounds like a secret, each with the reason."""


def name_of(node: ast.expr) -> str:
    """The name by which an expression goes, if it has one."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
        case (
            ast.Subscript(value=inner) | ast.Await(value=inner) | ast.Starred(value=inner) | ast.NamedExpr(target=inner)
        ):
            return name_of(inner)
        case ast.Call(
            func=ast.Attribute(value=inner, attr="get_secret_value" | "encode" | "decode" | "strip" | "values")
        ):
            return name_of(inner) or "secret"
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(name)), *_]):
            return name
        case ast.Call(func=called):
            return name_of(called)
    return ""


def is_secret(node: ast.expr) -> bool:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "c":
        return False  # a column: the database looks a hash up by its index
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get_secret_value":
        return True
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(map(is_secret, node.elts))
    name = name_of(node).lower().replace("-", "_")
    return name in KEYS or bool(WORDS & set(name.strip("_").split("_")))


def is_plain(node: ast.expr) -> bool:
    """A value that stands in the code, with which no secret is guessed: `is there one at all?`"""
    return isinstance(node, ast.Constant) or (isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant))


def comparisons(tree: ast.AST) -> Iterator[ast.expr]:
    """Every expression that finds out whether two values are alike, where one of them goes by the name of a secret."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, ops=ops, comparators=rest):
                sides = [left, *rest]
                alike = any(isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in ops)
                columns = any(ast.unparse(side).find(".c.") >= 0 for side in sides)
                if alike and not columns and any(map(is_secret, sides)) and not any(map(is_plain, sides)):
                    yield node
            case ast.Call(func=ast.Attribute(value=base, attr=called), args=args) if called in TELLS | PATTERNS:
                if any(map(is_secret, [base, *args])) and not all(map(is_plain, args)):
                    yield node
            case ast.Match(subject=subject) if is_secret(subject):
                yield subject


def found_in(source: str) -> list[str]:
    return [ast.unparse(node) for node in comparisons(ast.parse(source))]


def test_no_secret_is_compared_in_a_time_that_tells_how_much_of_it_is_right() -> None:
    found = {
        (str(path.relative_to(ROOT)), words)
        for part in PARTS
        for path in (ROOT / part).rglob("*.py")
        for words in found_in(path.read_text(encoding="utf-8"))
    }
    assert found - set(ALLOWED) == set(), "use hmac.compare_digest"
    assert set(ALLOWED) <= found, "an exception that is no longer needed"


@pytest.mark.parametrize(
    "source",
    [
        "given == settings.admin_key.get_secret_value()",
        "right = digest(key) != stored",
        "form['csrf'] == visitor.csrf",
        "form.get('csrf', '') == right",
        "request.headers.get('x-signature') == own",
        "token in known_tokens.values() or token in tokens",
        "own.hexdigest() == given",
        "header.startswith(self._secret)",
        "operator.eq(signature, own)",
        "self.signature.__eq__(own)",
        "re.fullmatch(secret, given)",
        "match token:\n    case 'a': pass",
        "(secret := given()) == right",
        "any(one == signature for one in given)",
        "given in (secret, old_secret)",
    ],
)
def test_the_search_knows_the_ways_to_compare(source: str) -> None:
    assert found_in(source)


@pytest.mark.parametrize(
    "source",
    [
        "hmac.compare_digest(signature, own)",
        "secret is None",
        "token == ''",
        "len(secret) == 32",
        "select(keys).where(keys.c.digest == given)",
        "tokens == 3",
        "kind == other",
    ],
)
def test_the_search_lets_be_what_tells_nothing(source: str) -> None:
    assert not found_in(source)
