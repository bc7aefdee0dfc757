"""The configuration: read strictly, merged over the defaults, validated before anything is planned.

Snakemake's own ``validate`` lets NaN, repeated keys and 3.0 for an integer through. Here every fault is one sentence
that names the key, the value and what is allowed.
"""

import functools
import json
import math
import re
from pathlib import Path

from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.exceptions import best_match
from jsonschema.validators import extend

from pipeline import memory
from pipeline.grid import largest_width, number_of_widths
from pipeline.strict_yaml import ConfigError, plain, read_yaml, shortened, shown, written

SCHEMA = Path("workflow/config.schema.yaml")
DEFAULTS = Path("workflow/config.yaml")
GIB = 2**30
UNSAFE = re.compile(r"""\\["\\]|[^ -~]|['$`]""")  # signs of JSON that a shell, or the next one, would read


def load_config(files=(), settings=None, here=True):
    """The validated configuration: the defaults, then each of ``files``, then the command line, merged key by key.

    files: paths of YAML files, read as strictly as the defaults.  settings: Snakemake's, with ``--config`` as nested
    dict; what they hand on to other machines is mended.  here: whether this one has the memory that the jobs will need.
    Raises ConfigError.
    """
    layers = [read_yaml(path) for path in files]
    if settings:
        if settings.replace_workflow_config:
            raise ConfigError(
                "config: --replace-workflow-config is given; allowed are --configfile and --config without it, since "
                "Snakemake does not hand it on to its jobs (a key that is null drops a network of the defaults)."
            )
        layers.append(_typed(dict(settings.config), _schema()))
    config = functools.reduce(lambda base, layer: merge(base, layer, _schema()), layers, read_yaml(DEFAULTS))
    check(config, here)
    if settings:
        settings.config_args = _arguments(settings.config)
    return config


@functools.cache
def _schema():
    return read_yaml(SCHEMA)


def _within(schema, key):
    """The schema of what stands behind a key; empty if none is allowed."""
    return schema.get("properties", {}).get(key) or schema.get("additionalProperties") or {}


def _typed(value, schema):
    """A value of the command line, where all is text, as what it means where the schema is ``schema``: text or YAML."""
    if isinstance(value, dict) and schema:
        return {key: _typed(inner, _within(schema, key)) for key, inner in value.items()}
    if isinstance(value, list) and "items" in schema:
        return [_typed(item, schema["items"]) for item in value]
    return plain(value) if isinstance(value, str) and schema.get("type") != "string" else value


def _arguments(overrides):
    """The values of ``--config``, for jobs on other machines: each shell leaves them alone, Snakemake reads the same.

    Its own are Python's, between quotes that are not the shell's: a quote breaks them, and $(...) is executed.
    """

    def escaped(sign):
        return f"\\U{ord(sign[0][-1]):08x}"

    return [f"'{key}={UNSAFE.sub(escaped, json.dumps(value, ensure_ascii=False))}'" for key, value in overrides.items()]


def dropped(config):
    """The names of the default networks that the configuration is without."""
    networks = config["initialization"]["networks"]
    return [name for name in read_yaml(DEFAULTS)["initialization"]["networks"] if name not in networks]


def recorded(config, dropped):
    """The text of a file that gives this configuration again; dropped: the default networks that it drops."""
    block = config["initialization"]
    networks = block["networks"] | dict.fromkeys(dropped)
    return written(config | {"initialization": block | {"networks": networks}})


def default_problems(config):
    """The problems (1 to 5) whose block is the default one, what is kept aside: there, findings gate."""
    defaults = read_yaml(DEFAULTS)
    blocks = [block for block in defaults if block != "report"]
    return [
        k
        for k, block in enumerate(blocks, start=1)
        if config[block] | {"keep": None} == defaults[block] | {"keep": None}
    ]


def merge(base, layer, schema=None, path=""):
    """``base`` with the values of ``layer`` over it; mappings are merged key by key, all else is replaced.

    Null drops a key that the ``schema`` leaves free.  path: of both, dotted.  Raises ConfigError if it is not there.
    """
    merged, schema = dict(base), schema or {}
    named = schema.get("properties", {})
    for key, value in layer.items():
        if value is None and schema.get("additionalProperties") and key not in named:
            if merged.pop(key, None) is None:
                free = [name for name in base if name not in named]
                raise ConfigError(
                    f"config: {_joined(path, key)} is empty, which drops the key of that name, but there is none; "
                    f"allowed to drop {'are ' + ', '.join(free) if free else 'is nothing that is left'}."
                )
        elif isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = merge(base[key], value, _within(schema, key), _joined(path, key))
        else:
            merged[key] = value
    return merged


def check(config, here=True):
    """Raise ConfigError unless the configuration is allowed by the schema, consistent and, ``here``, small enough."""
    fault = best_match(_Validator(_schema(), format_checker=FormatChecker()).iter_errors(config))
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
        return f"a list of {schema['minItems']} to {schema['maxItems']} values, each {allowed(schema['items'])}"
    if kind == "object":
        ends = f" of {schema['minProperties']} to {schema['maxProperties']} keys" if "minProperties" in schema else ""
        return f"a mapping{ends}"
    if kind == "string":
        if schema.get("format") == "date":
            return f"a date as YYYY-MM-DD from {schema['formatMinimum']} to {schema['formatMaximum']}"
        return f"text in one line of {schema['minLength']} to {schema['maxLength']} characters"
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
    rule = fault.schema.get("description", "an item").rstrip(".")
    if fault.validator == "pattern" and "type" not in fault.schema:
        return f"config: {path} has the name {shown(fault.instance)}; allowed is {rule}."
    return f"config: {path} is {shown(fault.instance)}; allowed is {allowed(fault.schema)} ({rule})."


def _inconsistencies(config):
    """Sentences for values that are allowed one by one but not together."""
    widths, grid = config["double_descent"]["n_features"], config["double_descent"]["lambda_grid"]
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
    elif _close(grid):
        yield (
            f"config: double_descent.lambda_grid.count is {grid['count']}, and of so many penalties from "
            f"{grid['low']} to {grid['high']} some are equal in the digits of tables; allowed are fewer or others."
        )
    for key in ("title", "author"):
        character = _without_glyph(config["report"][key])
        if character:
            yield (
                f"config: report.{key} holds {character!r} (U+{ord(character):04X}), for which the PDF has no font; "
                "allowed are the characters that its fonts have."
            )


def _close(grid):
    """Whether penalties are equal in the digits that the tables keep."""
    if grid["count"] == 1 or (grid["high"] / grid["low"]) ** (1 / (grid["count"] - 1)) > 1.0001:
        return False  # also spares every process the time that NumPy takes to load
    from numpy import geomspace

    from pipeline.tables import SIGNIFICANT_DIGITS

    values = geomspace(grid["low"], grid["high"], grid["count"])
    return len({f"{value:.{SIGNIFICANT_DIGITS}g}" for value in values}) < grid["count"]


def _check_memory(study):
    """Raise ConfigError if problem 5 needs more memory than this machine has."""
    (needed, job), (limit, where) = memory.largest_bytes(study), memory.allowed_bytes()
    if needed > limit:
        widths = study["n_features"]
        largest, points = largest_width(widths), study["n_train"]
        raise ConfigError(
            f"config: double_descent.n_train is {points}, double_descent.n_features reaches {largest} in "
            f"{number_of_widths(widths)} widths and double_descent.replicates is {study['replicates']}, "
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
    return f"{path}.{shortened(key)}" if path else shortened(key)


def _is_integer(_, value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_, value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _not_before(_, earliest, value, schema):
    if isinstance(value, str) and value < earliest:
        yield ValidationError(f"is before {earliest}")


def _not_after(_, latest, value, schema):
    if isinstance(value, str) and value > latest:
        yield ValidationError(f"is after {latest}")


_Validator = extend(
    Draft202012Validator,
    {"formatMinimum": _not_before, "formatMaximum": _not_after},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer).redefine("number", _is_number),
)
