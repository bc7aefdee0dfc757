"""The configuration: read strictly, merged over the defaults, validated before anything is planned.

Snakemake's own ``validate`` lets NaN, repeated keys and 3.0 for an integer through, and YAML 1.1 takes 1e-3 for a
string. Here every fault is one sentence that names the key, the value and what is allowed.
"""

import math
import re
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match
from jsonschema.validators import extend

from pipeline import grid, memory

SCHEMA = Path("workflow/config.schema.yaml")
DEFAULTS = Path("workflow/config.yaml")
LONGEST_FILE = 1_000_000  # bytes
GIB = 2**30


class ConfigError(ValueError):
    """A fault in the configuration, as one sentence."""


def load_config(files=(), overrides=None, here=True):
    """The validated configuration: the defaults, then each of ``files``, then ``overrides``, merged key by key.

    files: paths of YAML files, read as strictly as the defaults.  overrides: nested dict (Snakemake's ``--config``).
    here: whether this machine has the memory that the jobs will need.  Raises ConfigError.
    """
    config = read_yaml(DEFAULTS)
    for layer in [*map(read_yaml, files), _typed(overrides or {})]:
        config = merge(config, layer)
    check(config, here)
    return config


def _typed(value):
    """Values of the command line, which reach us as text, as the YAML that they are."""
    if isinstance(value, dict):
        return {key: _typed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_typed(inner) for inner in value]
    try:
        return yaml.load(value, Loader=_StrictLoader) if isinstance(value, str) else value
    except yaml.YAMLError:
        return value


def default_problems(config):
    """The problems (1 to 5) whose block is the default one, what is kept aside: there, findings gate."""
    defaults = read_yaml(DEFAULTS)
    blocks = [block for block in defaults if block != "report"]
    return [
        k
        for k, block in enumerate(blocks, start=1)
        if config[block] | {"keep": None} == defaults[block] | {"keep": None}
    ]


def read_yaml(path):
    """A mapping from a YAML file; refuses repeated keys, aliases, and anything that is not plain data."""
    path = Path(path)
    try:
        if path.stat().st_size > LONGEST_FILE:
            raise ConfigError(f"{path}: the file is larger than {LONGEST_FILE} bytes, which no configuration needs.")
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text; YAML in UTF-8 is allowed.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: {error.problem}.") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: is not YAML that can be read ({_shortened(error)}).") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds {_shown(content)}; a mapping of keys to values is allowed.")
    return content


def merge(base, layer):
    """``base`` with the values of ``layer`` over it; mappings are merged key by key, all else is replaced."""
    merged = dict(base)
    for key, value in layer.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = merge(base[key], value) if both else value
    return merged


def check(config, here=True):
    """Raise ConfigError unless the configuration is allowed by the schema, consistent and, ``here``, small enough."""
    fault = best_match(_Validator(read_yaml(SCHEMA), format_checker=FormatChecker()).iter_errors(config))
    if fault is not None:
        raise ConfigError(_sentence(fault))
    for fault in _inconsistencies(config):
        raise ConfigError(fault)
    if here:
        _check_memory(config["double_descent"])


def allowed(schema):
    """What a schema node allows, in words."""
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    kind = schema.get("type")
    if kind == "array":
        items = allowed(schema["items"])
        return (
            f"a list of {schema.get('minItems', 0)} to {schema.get('maxItems', 'any number of')} values, each {items}"
        )
    if kind == "object":
        return "a mapping" + (f" of {schema['minProperties']} or more keys" if "minProperties" in schema else "")
    if kind == "string":
        if schema.get("format") == "date":
            return "a date as YYYY-MM-DD"
        kind = "text in one line" if "pattern" in schema else "text"
        return f"{kind} of {schema.get('minLength', 0)} to {schema.get('maxLength', 'any number of')} characters"
    words = {"integer": "an integer", "number": "a finite number"}.get(kind, "any value")
    return f"{words} {_range(schema)}".strip()


def _range(schema):
    if "minimum" in schema and "maximum" in schema:
        return f"from {schema['minimum']} to {schema['maximum']}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return " and ".join(f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema)


def _sentence(fault):
    """One sentence for a jsonschema error: the key's full path, the value, what is allowed."""
    path = ".".join(str(part) for part in fault.absolute_path)
    if fault.validator == "required":
        missing = next(key for key in fault.validator_value if key not in fault.instance)
        return (
            f"config: {_joined(path, missing)} is missing; {allowed(fault.schema['properties'][missing])} is required."
        )
    if fault.validator == "additionalProperties":
        known = list(fault.schema.get("properties", {}))
        unknown = next(key for key in fault.instance if key not in known)
        return f"config: {_joined(path, unknown)} is not a known key; allowed here: {', '.join(known)}."
    if fault.validator in ("propertyNames", "pattern") and "type" not in fault.schema:
        return f"config: {path or 'a name'} is {_shown(fault.instance)}; it must match {fault.schema['pattern']}."
    rule = fault.schema.get("description", "").rstrip(".")
    return f"config: {path} is {_shown(fault.instance)}; allowed is {allowed(fault.schema)} ({rule})."


def _inconsistencies(config):
    """Sentences for values that are allowed one by one but not together."""
    study = config["double_descent"]
    widths, grid = study["n_features"], study["lambda_grid"]
    if widths["start"] > widths["stop"]:
        yield (
            f"config: double_descent.n_features.start is {widths['start']}; "
            f"allowed is at most double_descent.n_features.stop, which is {widths['stop']}."
        )
    if grid["low"] >= grid["high"]:
        yield (
            f"config: double_descent.lambda_grid.low is {grid['low']}; "
            f"allowed is less than double_descent.lambda_grid.high, which is {grid['high']}."
        )
    for key in ("title", "author"):
        character = _without_glyph(config["report"][key])
        if character:
            yield (
                f"config: report.{key} holds {character!r} (U+{ord(character):04X}), for which the PDF has no font; "
                "allowed are the characters that its fonts have."
            )


def _check_memory(study):
    """Raise ConfigError if problem 5 needs more memory than this machine has."""
    (needed, job), (limit, where) = memory.largest_bytes(study), memory.allowed_bytes()
    if needed > limit:
        widths = study["n_features"]
        largest, points = grid.largest_width(widths), study["n_train"]
        raise ConfigError(
            f"config: double_descent.n_train is {points}, double_descent.n_features reaches {largest} in "
            f"{grid.number_of_widths(widths)} widths and double_descent.replicates is {study['replicates']}, "
            f"for which {job} needs about {needed / GIB:.1f} GiB of memory; allowed are {limit / GIB:.1f} GiB {where}."
        )


def _without_glyph(text):
    """The first character of a text that the PDF has no font for, or None."""
    if text.isascii():
        return None
    import typst  # only here: it is slow to load

    def fails(part):
        quoted = part.replace("\\", "\\\\").replace('"', '\\"')
        page = f'#set document(title: "x")\n#"{quoted}"'.encode()
        try:
            typst.compile(page, ignore_system_fonts=True, pdf_standards=["a-3a", "ua-1"], timestamp=0)
        except typst.TypstError:
            return True
        return False

    return next(filter(fails, text), None) if fails(text) else None


def _joined(path, key):
    return f"{path}.{_shortened(key)}" if path else _shortened(key)


def _shown(value):
    """A value as it would be written in YAML, shortened."""
    if value is None:
        return "empty"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if isinstance(value, dict):
        return "a mapping"
    return _shortened(repr(value) if isinstance(value, str) else value)


def _shortened(value, longest=60):
    text = " ".join(str(value).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


class _StrictLoader(yaml.SafeLoader):
    """Plain data only: no aliases, no repeated keys, text dates, and 1e-3 is a number."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.constructor.ConstructorError(
                None, None, f"the alias *{event.anchor} is not allowed; write the value out", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        keys = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {_shown(key)} is not text; only text is allowed as a key", key_node.start_mark
                )
            if key in keys:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {_shortened(key)} stands twice; each key is allowed once", key_node.start_mark
                )
            keys.add(key)
        return super().construct_mapping(node, deep)


_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":float", ":merge"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"),
    list("-+0123456789."),
)


def _is_integer(_, value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_, value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer).redefine("number", _is_number),
)
