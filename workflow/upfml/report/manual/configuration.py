"""The manual's tables of config.yaml, from its schema: every key with its meaning, what it may be, and its default."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from upfml.base import pages

_ABSENT = object()


def markdown(schema: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """A heading for each section of the configuration, with a table of its keys.

    Takes the content of config.schema.yaml and of config.yaml. Raises KeyError when a key has no title or no
    description.
    """
    return "\n\n".join(_section(schema, key, node, defaults[key]) for key, node in schema["properties"].items())


def keys(schema: Mapping[str, Any], node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every key below `node` with its dotted path and its own schema; a reference into $defs is resolved.

    What a key shares with the one that holds it is not repeated: what all machines may have stands once.
    """
    of_node = _children(node)
    for name, child in of_node.items():
        if "$ref" in child:
            child = schema["$defs"][child["$ref"].rpartition("/")[2]] | child
        below = f"{path}.{name}" if path else name
        yield below, child
        shared = [of_child for of_child, its in _children(child).items() if of_node.get(of_child) == its]
        for further, its in keys(schema, child, below):
            if further.removeprefix(f"{below}.") not in shared:
                yield further, its


def _children(node: Mapping[str, Any]) -> Mapping[str, Any]:
    children: Mapping[str, Any] = node.get("properties", {}) or node.get("items", {}).get("properties", {})
    return children


def _section(schema: Mapping[str, Any], section: str, node: Mapping[str, Any], default: Any) -> str:
    heading = f"## {section}\n\n{node['title']}."
    found = dict(keys(schema, node))
    if not found:
        return f"{heading} May be {node['description']}. Default: {_code(default)}."
    rows = [
        [_code_name(path), child["title"], _allowed(child), _code(_default(default, path))]
        for path, child in found.items()
    ]
    own = f" May be {node['description']}." if "description" in node else ""
    return f"{heading}{own}\n\n{pages.table(['key', 'meaning', 'may be', 'default'], rows)}"


def _allowed(node: Mapping[str, Any]) -> str:
    """A key that only holds others is described by them."""
    return "" if _children(node) and "description" not in node else str(node["description"])


def _default(section: Any, path: str) -> Any:
    for name in path.split("."):
        section = section.get(name, _ABSENT) if isinstance(section, Mapping) else _ABSENT
    return section


def _code_name(path: str) -> str:
    return f"`{path}`"


def _code(value: Any) -> str:
    """Nothing for what is not set, or what the keys below have one by one."""
    return "" if value is _ABSENT or isinstance(value, Mapping) else f"`{json.dumps(value)}`"
