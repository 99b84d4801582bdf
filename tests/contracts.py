"""Rules about imports and calls that import-linter can't state, because it sees top packages only.

Pure modules, which `pyproject.toml` lists, and all of ours that they import: no files (`open`,
pathlib's I/O), no clock (`datetime.now`), no terminal, and of urllib only `urllib.parse`.
The whole package: the network is spoken to in `send/transport/` and in the sandbox only.

Names are compared, not types: a method of ours that is called like one of these is reported, too,
and gets another name.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PURE = "Pure modules do no I/O, read no clock, hold no dice"

# Built-in functions that reach a file, a terminal or any module at all.
BUILTINS = frozenset(
    {"__import__", "breakpoint", "compile", "eval", "exec", "input", "open", "print"}
)
# Methods that read the machine's clock or zone.
CLOCKS = frozenset({"now", "today", "utcnow"})
# Methods of pathlib.Path that ask the system. `replace` and `rename` are not told from those of
# texts and data: what can't be opened or resolved has nothing to rename.
PATHS = frozenset(
    {
        *("absolute", "chmod", "cwd", "exists", "expanduser", "glob", "hardlink_to"),
        *("home", "is_block_device", "is_dir", "is_fifo", "is_file", "is_junction", "is_mount"),
        *("is_socket", "is_symlink", "iterdir", "lchmod", "lstat", "mkdir", "open"),
        *("read_bytes", "read_text", "readlink", "resolve", "rglob", "rmdir", "samefile", "stat"),
        *("symlink_to", "touch", "unlink", "walk", "write_bytes", "write_text"),
    }
)
# Methods of asyncio, its loops and anyio that open connections.
CONNECTIONS = frozenset(
    {
        *("connect_tcp", "connect_unix", "create_connection", "create_datagram_endpoint"),
        *("create_server", "create_tcp_listener", "create_udp_socket", "create_unix_connection"),
        *("open_connection", "open_unix_connection", "run_process", "start_server"),
    }
)
# Further libraries that speak over the network: no module of ours may have them.
FOREIGN = frozenset(
    {
        *("aiohttp", "ftplib", "imaplib", "nntplib", "poplib", "pycurl", "requests", "smtplib"),
        *("socketserver", "telnetlib", "urllib3", "websockets", "xmlrpc"),
    }
)
# Where they speak, and what the others may take from these modules.
SPEAKERS = ("bulk_sync.send.transport", "bulk_sync.sandbox")
HOST_NAME_ONLY = ("bulk_sync.job.lock", "bulk_sync.host")
# Shows instants in the machine's zone, as people read them.
LOCAL_ZONE = ("bulk_sync.report.words",)
# The system's settings for proxies; the lines of cookies, to refuse them.
PARTS = {
    "urllib": {"parse": ("bulk_sync",), "request": ("bulk_sync.send.transport.choose",)},
    "http": {"cookiejar": ("bulk_sync.send.transport.httpx",)},
}


@dataclass(frozen=True, order=True)
class Violation:
    """A line that breaks a rule."""

    module: str
    line: int
    rule: str
    used: str

    def __str__(self) -> str:
        """Return where it is, and which rule it breaks."""
        return f"{self.module}, line {self.line}: {self.used} ({self.rule})"


def pure_modules(pyproject: Path = ROOT / "pyproject.toml") -> list[str]:
    """Return the modules that the import contract names as pure; a package has all its own."""
    linter = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["importlinter"]
    (contract,) = (one for one in linter["contracts"] if one["name"] == PURE)
    modules: list[str] = contract["source_modules"]
    return modules


def violations(root: Path) -> list[Violation]:
    """Return what breaks the rules in the package `bulk_sync` in this folder."""
    trees = {
        _module(path.relative_to(root)): ast.parse(path.read_bytes())
        for path in sorted((root / "bulk_sync").rglob("*.py"))
    }
    pure = reached(trees, pure_modules(root / "pyproject.toml"))
    found: list[Violation] = []
    for module, tree in trees.items():
        found += _of_network(module, tree)
        if module in pure:
            found += _of_purity(module, tree)
    return sorted(found)


def reached(trees: dict[str, ast.Module], named: list[str]) -> set[str]:
    """Return the modules with these names, those in them, and all of ours that they import."""
    waiting = [
        module
        for module in trees
        if any(module == one or module.startswith(f"{one}.") for one in named)
    ]
    found = set(waiting)
    while waiting:
        for imported, _ in imports(trees[waiting.pop()]):
            # A name that is imported from a module isn't a module itself.
            owner = imported if imported in trees else imported.rpartition(".")[0]
            if owner in trees and owner not in found:
                found.add(owner)
                waiting.append(owner)
    return found


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the dotted names that a module imports, with their lines; not those for types only."""
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in node.body
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from ((f"{node.module}.{name.name}", node.lineno) for name in node.names)


def _module(path: Path) -> str:
    return re.sub(r"\.__init__$", "", ".".join(path.with_suffix("").parts))


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in packages)


def _of_network(module: str, tree: ast.Module) -> Iterator[Violation]:
    """Yield what speaks over the network outside its places."""
    rule = "HTTP is spoken in send/transport"
    for name, line in imports(tree):
        top, _, rest = name.partition(".")
        part = rest.partition(".")[0]
        foreign = top in FOREIGN
        stray = top in PARTS and not _within(module, PARTS[top].get(part, ()))
        if foreign or stray:
            yield Violation(module, line, rule, name)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="socket"), attr=name) if (
                name != "gethostname" and _within(module, HOST_NAME_ONLY)
            ):
                yield Violation(module, node.lineno, "the host's name only", f"socket.{name}")
            case ast.Attribute(attr=name) if name in CONNECTIONS and not _within(module, SPEAKERS):
                yield Violation(module, node.lineno, rule, name)
            case ast.ImportFrom(module="socket") if _within(module, HOST_NAME_ONLY):
                yield Violation(module, node.lineno, "the host's name only", "from socket import")
            case _:
                pass


def _of_purity(module: str, tree: ast.Module) -> Iterator[Violation]:
    """Yield what reaches files, the clock or the terminal."""
    rule = PURE
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) if name in BUILTINS:
                yield Violation(module, node.lineno, rule, name)
            case ast.Attribute(attr=name) if name in CLOCKS:
                yield Violation(module, node.lineno, rule, name)
            case ast.Call(func=ast.Attribute(attr=name)) if name in PATHS:
                yield Violation(module, node.lineno, rule, name)
            case ast.Call(func=ast.Attribute(attr="astimezone"), args=[]) if (
                module not in LOCAL_ZONE
            ):
                yield Violation(module, node.lineno, rule, "astimezone")
            case ast.Attribute(value=ast.Name(id="Path"), attr=name) if name in PATHS:
                yield Violation(module, node.lineno, rule, f"Path.{name}")
            case _:
                pass
