"""YAML as its version 1.2 has it, read strictly: plain data, each key once, no aliases. JSON is a part of it.

PyYAML follows version 1.1, in which 0123 is 83, 1:30 is 90, ``no`` is a truth value and 1e-3 is text.
"""

import json
import math
import re
import stat
from functools import partial
from pathlib import Path

import yaml
from yaml.constructor import ConstructorError

LONGEST_FILE = 1_000_000  # bytes
SCALARS = [  # the core schema (YAML 1.2.2, section 10.3.2): type, what is written so, what it means; all else is text
    ("null", r"null|Null|NULL|~|", lambda text: None),
    ("bool", r"true|True|TRUE", lambda text: True),
    ("bool", r"false|False|FALSE", lambda text: False),
    ("int", r"[-+]?[0-9]+", int),
    ("int", r"0o[0-7]+", partial(int, base=8)),
    ("int", r"0x[0-9a-fA-F]+", partial(int, base=16)),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", float),
    ("float", r"[-+]?\.(?:inf|Inf|INF)", lambda text: float(text.replace(".", ""))),
    ("float", r"\.(?:nan|NaN|NAN)", lambda text: math.nan),
]
TYPES = "null", "bool", "int", "float"
TAG = "tag:yaml.org,2002:"
RESOLVERS = [(TAG + name, re.compile(rf"(?:{pattern})\Z")) for name, pattern, _ in SCALARS]


class ConfigError(ValueError):
    """A fault in a configuration, as one sentence; what a terminal would obey or could not show is escaped."""

    def __init__(self, sentence):
        super().__init__(printable(sentence))


def printable(text):
    """The text with control characters, directions, lone surrogates and the like written as escapes."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def shown(value):
    """A value as it would be written in YAML, shortened."""
    if value is None:
        return "empty"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if isinstance(value, dict):
        return f"a mapping of {len(value)} key{'s' * (len(value) != 1)}"
    return shortened(repr(value) if isinstance(value, str) else value)


def shortened(value, longest=60):
    """The value as printable text, cut if it is long."""
    text = printable(str(value))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def plain(text, types=TYPES):
    """What a scalar without quotes means, if it may be of these types; a number too long for Python stays text."""
    for name, pattern, meaning in SCALARS:
        if name in types and re.fullmatch(pattern, text):
            try:
                return meaning(text)
            except ValueError:
                return text
    return text


def read_yaml(path):
    """The mapping in a file of YAML or JSON; raises ConfigError if there is none, or anything but plain data."""
    try:
        content = _parsed(_text(path))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: {error.problem}.") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply; a mapping of keys to values is allowed.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not YAML that can be read ({' '.join(str(error).split())}).") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds {shown(content)}; a mapping of keys to values is allowed.")
    return content


def _text(path):
    """The text of a file; raises ConfigError, and never waits, as a pipe or a device would have it."""
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise ConfigError(f"{path}: is not a regular file; a file of YAML or JSON is allowed.")
        with open(path, "rb") as file:
            content = file.read(LONGEST_FILE + 1)
        if len(content) > LONGEST_FILE:
            raise ConfigError(f"{path}: the file is larger than {LONGEST_FILE} bytes, which no configuration needs.")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text; YAML in UTF-8 is allowed.") from None


def _parsed(text):
    """The data in a text. JSON apart, for PyYAML knows neither its tabs nor its pairs of surrogates."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_int=plain, parse_float=plain, parse_constant=plain)
    except json.JSONDecodeError:
        return yaml.load(text, Loader=_StrictLoader)


def _once(pairs):
    """The mapping of a JSON object's pairs."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        raise yaml.MarkedYAMLError(problem=_twice(next(key for key in keys if keys.count(key) > 1)))
    return mapping


def _twice(key):
    return f"the key {shortened(key)} stands twice; each key is allowed once"


def written(content):
    """YAML of plain data that means the same to readers of either version."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _scalar(name, loader, node):
    """What a scalar of this type means; raises ConstructorError if it cannot be of it, as ``!!int x`` cannot."""
    text = loader.construct_scalar(node)
    value = plain(text, [name])
    if isinstance(value, str):
        raise ConstructorError(None, None, f"{shown(text)} is not read as {name}", node.start_mark)
    return value


class _StrictLoader(yaml.SafeLoader):
    """Plain data only: no aliases, no repeated keys, no tags but those of the core schema."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            problem = f"the alias *{event.anchor} is not allowed; write the value out"
            raise ConstructorError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        keys = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                problem = f"the key {shortened(key)} is not text; only text is allowed as a key"
                raise ConstructorError(None, None, problem, key_node.start_mark)
            if key in keys:
                raise ConstructorError(None, None, _twice(key), key_node.start_mark)
            keys.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes text that is something else in either version."""


_StrictLoader.yaml_implicit_resolvers = {None: RESOLVERS}  # None: whatever the scalar begins with
_StrictLoader.yaml_constructors = {TAG + name: partial(_scalar, name) for name in TYPES} | {
    tag: yaml.SafeLoader.yaml_constructors[tag] for tag in (None, TAG + "str", TAG + "seq", TAG + "map")
}
_Dumper.yaml_implicit_resolvers = {**yaml.SafeDumper.yaml_implicit_resolvers, None: RESOLVERS}
