"""Reads YAML files that people write. Errors name file and line, and say what to do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from shared.errors import ConfigError


class _RepeatedKey(yaml.YAMLError):
    """PyYAML takes the last of two equal keys, although keys must be unique (YAML 1.2.2 §3.2.1.3)."""


class _Loader(yaml.SafeLoader):
    # Checked before construction, because `<<` then adds keys that may already be there.
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name, line = (key.tag, key.value), key.start_mark.line + 1
            if name in lines:
                raise _RepeatedKey(
                    f"line {line}: '{key.value}' is already in line {lines[name]}: remove one of the two"
                )
            lines[name] = line
        return node


def read_yaml(file: Path) -> Sequence[object]:
    """The documents of a file, separated by `---`. Raises `ConfigError`."""
    try:
        return list(yaml.load_all(file.read_text(encoding="utf-8"), _Loader))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}: use a file that can be read") from error
    except _RepeatedKey as error:
        raise ConfigError(f"{file}: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not YAML: {error}: check indentation and quotes there") from error
