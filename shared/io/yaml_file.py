"""Reads YAML files of people's own, and says with file, line and cure what is wrong with one."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from shared.errors import ConfigError


class _RepeatedKey(yaml.YAMLError):
    """PyYAML takes the last of two equal keys, although a mapping has each once (YAML 1.2.2 §3.2.1.3)."""


class _Loader(yaml.SafeLoader):
    # Looked at before anything is constructed: `<<` then adds keys that may well be there already.
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            name, line = (key.tag, key.value), key.start_mark.line + 1
            if name in lines:
                raise _RepeatedKey(
                    f"line {line}: '{key.value}' is there already, in line {lines[name]}: remove one of the two"
                )
            lines[name] = line
        return node


def read_yaml(file: Path) -> Sequence[object]:
    """Its documents, which `---` divides. Raises `ConfigError`."""
    try:
        return list(yaml.load_all(file.read_text(encoding="utf-8"), _Loader))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}: name a file that can be read") from error
    except _RepeatedKey as error:
        raise ConfigError(f"{file}: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not YAML: {error}: check indentation and quotes at the place named") from error
