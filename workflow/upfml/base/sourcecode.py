"""The code of a stage: the functions, classes and constants that its script reaches, and the C that these compile.

A stage runs again when its code changes, wherever that stands, and only then. So definitions count one by one: a module
of which a script uses one function is in the stage's code with that function and what the function uses in turn.
Comments and docstrings do not count. The hash is the same on every machine that has the same Python.

What is followed: names that a definition uses, through imports of this package, also within functions; names of modules
in texts, as `python -m` has them; names of C files in texts, and the C that these include.

The workflow imports this while it is read, so it needs nothing but the standard library.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from upfml.base import kept

ROOT = Path(__file__).resolve().parents[3]
"""The clone, or a copy of its folders bpf/ and workflow/upfml/."""

_KEPT = Path(".cache", "sourcecode.json")
"""Of a clone: the hashes of the sources as they were last. Each job of a run asks for them."""
_INCLUDE = re.compile(r'#include "([^"\n]+)"')
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
_ENGINES = ("engine.h", "engines/*.h")
"""The header that a converted model brings, and those of bpf/ that it includes one of."""
_WHOLE = ""
"""In place of a definition's name: all of a module."""


def of(script: str, unused: Collection[str] = (), root: Path = ROOT) -> str:
    """The hash of the code of a script of workflow/scripts, by its name.

    `unused` names files, from `root`, or folders that end with a slash, of which the script uses nothing under the
    present configuration.
    """
    return _hashes(root)(script, tuple(sorted(unused)))


def files(script: str, unused: Collection[str] = (), root: Path = ROOT) -> set[str]:
    """The files that the script's code is in, from `root`."""
    return {str(reference.path.relative_to(root)) for reference in _hashes(root).graph.reached(script, unused)}


@functools.cache
def _hashes(root: Path) -> _Hashes:
    return _Hashes(root)


class _Hashes:
    """Hashes of scripts, kept in a file as long as no source changes."""

    def __init__(self, root: Path) -> None:
        self.graph = _Graph(root)
        self._root, self._kept = root, root / _KEPT
        every = hashlib.sha256()
        for folder in ("bpf", "workflow/scripts", "workflow/upfml"):
            for path in sorted((root / folder).rglob("*")):
                if path.suffix in (".py", ".c", ".h"):
                    every.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
        self._sources = every.hexdigest()
        found = kept.read(self._kept)
        self._known: dict[str, str] = found["hashes"] if found.get("sources") == self._sources else {}

    def __call__(self, script: str, unused: tuple[str, ...]) -> str:
        key = " ".join([script, *unused])
        if key not in self._known:
            self._known[key] = self._anew(script, unused)
            kept.write({"sources": self._sources, "hashes": self._known}, self._kept)
        return self._known[key]

    def _anew(self, script: str, unused: tuple[str, ...]) -> str:
        reached = self.graph.reached(script, unused)
        made = hashlib.sha256()
        for reference in sorted(reached):
            where = reference.path.relative_to(self._root)
            made.update(f"{where}\0{reference.name}\0{reached[reference]}\0".encode())
        return made.hexdigest()[:16]


@dataclass(frozen=True, order=True)
class _Reference:
    """A definition of a module, or with _WHOLE all of it; or a file of C."""

    path: Path
    name: str = _WHOLE


@dataclass
class _PythonFile:
    """A module's top level."""

    path: Path
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    always: list[ast.stmt] = field(default_factory=list)
    """What defines no single name, such as an assignment to an item: it counts with every definition."""
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By local name: module, and the name in it, _WHOLE for the module itself."""

    @classmethod
    def read(cls, path: Path) -> _PythonFile:
        found = cls(path)
        for statement in ast.parse(path.read_text()).body:
            found._add(statement)
        return found

    def _add(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Expr(value=ast.Constant()) | ast.If(test=ast.Name(id="TYPE_CHECKING")):
                return
            case ast.Import() | ast.ImportFrom():
                self.imports |= _imported(statement)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                self.definitions.setdefault(name, []).append(statement)
            case ast.Assign(targets=targets) if names := _names(targets):
                for name in names:
                    self.definitions.setdefault(name, []).append(statement)
            case ast.AnnAssign(target=ast.Name(id=name)):
                self.definitions.setdefault(name, []).append(statement)
            case _:
                self.always.append(statement)

    def statements(self, name: str) -> list[ast.stmt]:
        if name == _WHOLE:
            return [*(each for several in self.definitions.values() for each in several), *self.always]
        return [*self.definitions[name], *self.always]


def _names(targets: list[ast.expr]) -> list[str]:
    """What an assignment defines; nothing when one of its targets is more than a name."""
    flat = [each for target in targets for each in (target.elts if isinstance(target, ast.Tuple) else [target])]
    names = [each.id for each in flat if isinstance(each, ast.Name)]
    return names if len(names) == len(flat) else []


def _imported(statement: ast.Import | ast.ImportFrom) -> dict[str, tuple[str, str]]:
    if isinstance(statement, ast.Import):
        return {alias.asname or alias.name.split(".")[0]: (alias.name, _WHOLE) for alias in statement.names}
    return {alias.asname or alias.name: (statement.module or "", alias.name) for alias in statement.names}


class _Graph:
    """What refers to what, read as far as it is asked for."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._modules: dict[Path, _PythonFile] = {}
        self._nodes: dict[_Reference, tuple[str, list[_Reference]]] = {}

    def reached(self, script: str, unused: Collection[str]) -> dict[_Reference, str]:
        """Every definition and file of C that a script reaches: their normalised texts.

        Raises FileNotFoundError when there is no such script.
        """
        reached: dict[_Reference, str] = {}
        waiting = [_Reference(self._root / "workflow/scripts" / script)]
        while waiting:
            reference = waiting.pop()
            name = str(reference.path.relative_to(self._root))
            if reference not in reached and not name.startswith(tuple(unused)):
                reached[reference], further = self._node(reference)
                waiting += further
        return reached

    def _node(self, reference: _Reference) -> tuple[str, list[_Reference]]:
        """The text of a definition, and what it refers to."""
        if reference not in self._nodes:
            if reference.path.suffix == ".py":
                module = self._module(reference.path)
                statements = [_BARE.visit(each) for each in module.statements(reference.name)]
                uses = [found for each in statements for found in _Uses(self, module, each).found]
                self._nodes[reference] = "\n".join(map(ast.unparse, statements)), uses
            else:
                text = reference.path.read_text()
                lines = (line.strip() for line in _COMMENT.sub("", text).splitlines())
                self._nodes[reference] = "\n".join(filter(None, lines)), [*self._included(reference.path, text)]
        return self._nodes[reference]

    def _module(self, path: Path) -> _PythonFile:
        if path not in self._modules:
            self._modules[path] = _PythonFile.read(path)
        return self._modules[path]

    def target(self, module: str, name: str) -> _Reference | None:
        """What an import names; None when that is not of this package."""
        if module.split(".")[0] != "upfml":
            return None
        inner = self.file_of(f"{module}.{name}") if name != _WHOLE else None
        if inner:
            return _Reference(inner)
        path = self.file_of(module)
        if path is None:
            return None
        found = self._module(path)
        if name in found.definitions:
            return _Reference(path, name)
        if name in found.imports:
            return self.target(*found.imports[name])
        return _Reference(path)

    def file_of(self, module: str) -> Path | None:
        """Of a dotted name."""
        base = self._root.joinpath("workflow", *module.split("."))
        return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)

    def dotted(self, path: Path) -> str:
        """The name of a module."""
        return ".".join(path.relative_to(self._root / "workflow").with_suffix("").parts).removesuffix(".__init__")

    def named(self, text: str, module: Path) -> Iterator[_Reference]:
        """What a text in a module refers to: a module by its dotted name, C by its file's, C that it includes."""
        if text.startswith("upfml.") and re.fullmatch(r"[\w.]+", text):
            path = self.file_of(text)
            if path:
                yield _Reference(path)
        elif text.endswith((".c", ".h")) and re.fullmatch(r"[\w./-]+", text):
            yield from self._c_file(text, module)
        else:
            yield from self._included(module, text)

    def _included(self, source: Path, text: str) -> Iterator[_Reference]:
        generated, headers = _ENGINES
        for name in _INCLUDE.findall(text):
            if name == generated:
                yield from map(_Reference, sorted((self._root / "bpf").glob(headers)))
            yield from self._c_file(name, source)

    def _c_file(self, name: str, beside: Path) -> Iterator[_Reference]:
        """The file of that name beside another or in bpf/; nothing when it is made while the stage runs."""
        for folder in (beside.parent, self._root / "bpf"):
            path = Path(os.path.normpath(folder / name))
            if path.is_file():
                yield _Reference(path)
                return


class _Bare(ast.NodeTransformer):
    """Takes docstrings out."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return None
        return self.generic_visit(node)


_BARE = _Bare()


class _Uses(ast.NodeVisitor):
    """What a statement of a module's top level refers to."""

    def __init__(self, graph: _Graph, module: _PythonFile, statement: ast.stmt) -> None:
        self.found: list[_Reference] = []
        self._graph, self._module = graph, module
        self._imports = dict(module.imports)
        for node in ast.walk(statement):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._imports |= _imported(node)
        self._local: list[set[str]] = []
        self.visit(statement)

    def visit_Name(self, node: ast.Name) -> None:
        self._add(self._resolved(node))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        reference = self._resolved(node)
        if reference:
            self._add(reference)
        else:
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.found += self._graph.named(node.value, self._module.path)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for each in [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]:
            self.visit(each)
        self._local.append(_bound(node))
        for inside in [node.args, *filter(None, [node.returns]), *node.body]:
            self.visit(inside)
        self._local.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def _resolved(self, node: ast.expr) -> _Reference | None:
        if isinstance(node, ast.Name):
            if any(node.id in names for names in self._local):
                return None
            if node.id in self._imports:
                return self._graph.target(*self._imports[node.id])
            if node.id in self._module.definitions:
                return _Reference(self._module.path, node.id)
        elif isinstance(node, ast.Attribute):
            base = self._resolved(node.value)
            if base and base.name == _WHOLE:
                return self._graph.target(self._graph.dotted(base.path), node.attr)
            return base
        return None

    def _add(self, reference: _Reference | None) -> None:
        if reference:
            self.found.append(reference)


_SCOPES = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)
"""What has names of its own."""


def _bound(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """The names that a function's arguments and assignments hide from it."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    names = {each.arg for each in every if each}
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        if not isinstance(node, _SCOPES):
            waiting += ast.iter_child_nodes(node)
    return names
