"""The YAML file of settings: parsed strictly, so that nothing in it is taken for something else, or runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from jupyter_nq.errors import ConfigError

_LIMIT_BYTES = 64 << 10  # 64 KiB: a settings file is a page of text
_LIMIT_DEPTH = 20


def read_yaml(path: Path) -> dict[str, Any]:
    """Parse a settings file: plain YAML without tags, aliases and duplicate keys, at most 64 KiB."""
    if path.stat().st_size > _LIMIT_BYTES:
        raise ConfigError(f"{path} is larger than {_LIMIT_BYTES} bytes; a settings file holds only settings.")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(exc).split())}") from exc
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold `name: value` lines, found {type(content).__name__}.")
    return content


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that also refuses aliases, duplicate keys and deep nesting."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed in a settings file")
        self._depth += 1
        if self._depth > _LIMIT_DEPTH:
            raise yaml.YAMLError(f"more than {_LIMIT_DEPTH} levels of nesting")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                raise yaml.YAMLError(f"the key {key!r} is given twice (line {key_node.start_mark.line + 1})")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)
