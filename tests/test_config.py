"""The configuration: read strictly, merged, and refused with one sentence that names the key."""

import copy
import json
import math
import os
import re
import shlex
import subprocess
import sys
from datetime import date

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from snakemake.cli import parse_config
from snakemake.settings.types import ConfigSettings
from snakemake_interface_executor_plugins.utils import format_cli_arg

from conftest import PROJECT
from p5_sweep import penalties
from pipeline import config as subject
from pipeline import memory
from pipeline.config import ConfigError, allowed, check, dropped, load_config, merge, read_yaml, recorded
from pipeline.strict_yaml import LONGEST_FILE, plain, written


@pytest.fixture(autouse=True)
def _in_project(monkeypatch):
    monkeypatch.chdir(PROJECT)


def leaves(tree, path=()):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def changed(config, path, value):
    config = copy.deepcopy(config)
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return config


DEFAULTS = yaml.safe_load((PROJECT / "workflow/config.yaml").read_text())
LEAVES = sorted(leaves(DEFAULTS))


def test_defaults_and_the_small_configuration_are_allowed():
    assert load_config() == DEFAULTS
    small = load_config(["tests/config.yaml"])
    assert small["double_descent"]["n_train"] < DEFAULTS["double_descent"]["n_train"]


@pytest.mark.parametrize("path", LEAVES, ids=".".join)
@pytest.mark.parametrize("bad", [math.nan, math.inf, None, "many", True, [], {"a": 1}], ids=str)
def test_a_value_of_the_wrong_kind_is_refused_by_its_full_path(path, bad):
    if isinstance(bad, str) and "report" in path:
        pytest.skip("text is allowed here")
    with pytest.raises(ConfigError) as refusal:
        check(changed(DEFAULTS, path, bad))
    sentence = str(refusal.value)
    assert sentence.startswith(f"config: {'.'.join(path)}")
    assert "allowed" in sentence or "required" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("path", LEAVES, ids=".".join)
def test_a_missing_or_unknown_key_is_named(path):
    incomplete = copy.deepcopy(DEFAULTS)
    place = incomplete
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    place_is_open = path[:2] == ("initialization", "networks")
    if not place_is_open:
        with pytest.raises(ConfigError, match=rf"config: {'.'.join(path)} is missing"):
            check(incomplete)
        with pytest.raises(ConfigError, match=rf"config: {'.'.join([*path[:-1], 'unheard_of'])} is not a known key"):
            check(changed(DEFAULTS, (*path[:-1], "unheard_of"), 1))


def test_an_integer_written_as_a_float_is_refused():
    with pytest.raises(ConfigError, match=r"double_descent.n_train is 300.0; allowed is an integer"):
        check(changed(DEFAULTS, ("double_descent", "n_train"), 300.0))


@pytest.mark.parametrize(
    ("path", "value", "other"),
    [
        (("double_descent", "n_features", "start"), 1492, "double_descent.n_features.stop"),
        (("double_descent", "lambda_grid", "low"), 100, "double_descent.lambda_grid.high"),
    ],
)
def test_values_that_contradict_each_other_are_refused(path, value, other):
    with pytest.raises(ConfigError, match=f"config: {'.'.join(path)} is {value}; .*{other}"):
        check(changed(DEFAULTS, path, value))


def test_sizes_that_no_memory_holds_are_refused_with_an_estimate(monkeypatch):
    monkeypatch.setattr(memory, "physical_bytes", lambda: 3 * 2**27)
    check(DEFAULTS)
    with pytest.raises(
        ConfigError,
        match=r"double_descent\.n_train is 5000, .* p5_closer needs about 0.4 GiB of memory; allowed are 0.3",
    ):
        check(changed(DEFAULTS, ("double_descent", "n_train"), 5000))
    with pytest.raises(
        ConfigError, match=r"in 1491 widths and double_descent.replicates is 1000, for which p5_double_d"
    ):
        check(
            changed(
                changed(DEFAULTS, ("double_descent", "replicates"), 1000), ("double_descent", "n_features", "step"), 1
            )
        )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("double_descent:\n  seed: 1\n  seed: 2\n", "line 3: the key seed stands twice"),
        ("a: &x [1]\nb: *x\n", "alias"),
        ("a: &x [*x]\n", "alias"),
        ("- 1\n", "a mapping of keys to values is allowed"),
        ("a: [1\n", "line"),
        ("1: 2\n", "only text is allowed as a key"),
        ("no: 2\n010: 2\n", "line 2: the key 10 is not text"),
        ("<<: {a: 1}\n? [a]\n: 1\n", "only text is allowed as a key"),
        ("a: !!int x\n", "line 1: 'x' is not read as int"),
        ("a: !!map x\n", "expected a mapping node"),
        ("a: !!map [x]\n", "expected a mapping node"),
        ("a: !!timestamp 2026-11-24\n", "could not determine a constructor"),
        ("a: !!set {b}\n", "could not determine a constructor"),
        ("a: " + "[" * 5000, "nested too deeply"),
        ('{\n\t"a": 1,\n\t"a": 2\n}', "the key a stands twice"),
        ('{"a": ' + "[" * 5000, "nested too deeply"),
        ("5", "holds 5; a mapping of keys to values is allowed"),
        ("a: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        ("", "a mapping of keys to values is allowed"),
    ],
)
def test_a_file_that_is_not_plain_data_is_refused_in_one_line(tmp_path, text, complaint):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refusal:
        read_yaml(file)
    assert complaint in str(refusal.value)
    assert str(refusal.value).startswith(str(file))
    assert "\n" not in str(refusal.value)


def test_a_missing_or_huge_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path / "absent.yaml")
    (tmp_path / "huge.yaml").write_text("a: " + "1" * (LONGEST_FILE + 1))
    with pytest.raises(ConfigError, match="larger than"):
        read_yaml(tmp_path / "huge.yaml")


def test_numbers_are_read_as_a_reader_expects(tmp_path):
    (tmp_path / "numbers.yaml").write_text("a: 1e-3\nb: 2026-11-24\nc: -.5\nd: 10\n")
    assert read_yaml(tmp_path / "numbers.yaml") == {"a": 0.001, "b": "2026-11-24", "c": -0.5, "d": 10}


trees = st.recursive(st.integers(), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3))
mappings = st.dictionaries(st.sampled_from("abc"), trees, max_size=3)


@given(mappings, mappings)
def test_merging_keeps_what_only_one_layer_has_and_the_later_layer_wins(base, layer):
    merged = merge(base, layer)
    assert set(merged) == set(base) | set(layer)
    for key, value in merged.items():
        if key not in layer:
            assert value == base[key]
        elif isinstance(layer[key], dict) and isinstance(base.get(key), dict):
            assert value == merge(base[key], layer[key])
        else:
            assert value == layer[key]
    assert merge({}, base) == merge(base, {}) == merge(base, base) == base


@pytest.mark.parametrize("value", ["9" * 5000, "x" * 200000], ids=["number", "text"])
def test_a_huge_value_makes_a_short_sentence(value):
    with pytest.raises(ConfigError) as refusal:
        check(changed(DEFAULTS, ("double_descent", "n_train"), value))
    assert len(str(refusal.value)) < 300


def test_every_key_of_the_schema_is_described_and_bounded():
    def nodes(schema, path):
        for key, node in schema.get("properties", {}).items():
            yield (*path, key), node
            yield from nodes(node, (*path, key))

    for path, node in nodes(read_yaml("workflow/config.schema.yaml"), ()):
        assert node.get("description"), path
        if node.get("type") in ("integer", "number"):
            assert {"minimum", "exclusiveMinimum"} & set(node), path
            assert {"maximum", "exclusiveMaximum"} & set(node), path
        if node.get("type") == "object":
            assert node.get("additionalProperties") is not True, path
            assert node.get("additionalProperties") is not None, path
        assert allowed(node)


@pytest.mark.parametrize(
    "day",
    ["2026-13-01", "20261124", "2026-W01-1", "tomorrow", "2026-11-24\n", "0001-01-01", "1979-12-31", "2108-01-01"],
)
def test_a_date_that_is_none_or_that_no_zip_can_say_is_refused(day):
    with pytest.raises(
        ConfigError, match=r"report\.date is '.*'; allowed is a date as YYYY-MM-DD from 1980-01-01 to 2107-12-31 "
    ):
        check(changed(DEFAULTS, ("report", "date"), day))
    for last in ("1980-01-01", "2107-12-31"):
        check(changed(DEFAULTS, ("report", "date"), last))


SCHEMA = read_yaml(PROJECT / "workflow/config.schema.yaml")
NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)


def nodes(schema=SCHEMA, path=()):
    """(path, schema) of every mapping, list and value that the schema describes by name."""
    yield path, schema
    for key, node in schema.get("properties", {}).items():
        yield from nodes(node, (*path, key))
    if schema.get("type") == "array":
        yield (*path, 0), schema["items"]


def faults(node):
    """{kind of fault: strategy of values that have it} of one node of the schema."""
    kind, found = node.get("type", "enum"), {}
    others = {
        "mapping": st.dictionaries(NAMES, st.integers(), min_size=1, max_size=2),
        "list": st.lists(st.booleans(), min_size=1, max_size=3),
        "text": NAMES,
        "truth": st.booleans(),
        "nothing": st.none(),
        "not finite": st.sampled_from([math.nan, math.inf, -math.inf]),
    }
    if kind in ("integer", "number"):
        found = others | {
            "below": st.floats(max_value=node["minimum"], exclude_max=True, allow_nan=False, allow_infinity=False),
            "above": st.floats(min_value=node["maximum"], exclude_min=True, allow_nan=False, allow_infinity=False),
            "quoted": st.integers(1, 9).map(str),
        }
        if kind == "integer":
            found["below"] = st.integers(max_value=node["minimum"] - 1)
            found["above"] = st.integers(min_value=node["maximum"] + 1)
            found["fraction"] = st.integers(node["minimum"], node["maximum"]).map(float)
    elif kind == "array":
        found = {name: values for name, values in others.items() if name != "list"}
        found["too short"] = st.lists(st.just(1), max_size=node["minItems"] - 1)
        found["too long"] = st.integers(node["maxItems"] + 1, 99).map(lambda n: [1] * n)
    elif kind == "object":
        found = {name: values for name, values in others.items() if name != "mapping"}
    elif kind == "string" and node.get("format") != "date":
        found = {name: values for name, values in others.items() if name != "text"} | {
            "empty": st.just(""),
            "blank": st.text(" \u00a0", min_size=1, max_size=9),
            "too long": st.integers(201, 999).map("x".__mul__),
            "several lines": st.just("a\nb"),
            "control character": st.sampled_from("\x00\x07\x1b\x7f\x85").map("a{}".format),
        }
    else:
        found = others
    return found


KINDS = {
    f"{'.'.join(map(str, path))}: {kind}": (path, values)
    for path, node in nodes()
    if path
    for kind, values in faults(node).items()
} | {
    f"{'.'.join(path)}: unknown key": ((*path, "zzz"), st.integers())
    for path, node in nodes()
    if node.get("type") == "object" and node["additionalProperties"] is False
}


def refusal(tmp_path_factory, path, value):
    """What is said of the defaults with one value replaced, given as a file."""
    file = tmp_path_factory.getbasetemp() / "generated.yaml"
    file.write_text(yaml.safe_dump(changed(DEFAULTS, path, value)), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_config([str(file)])
    return str(refused.value)


@pytest.fixture(scope="module")
def quick_reading():
    """The project's own two files are read once, not for every example."""
    own = {path: read_yaml(PROJECT / path) for path in (subject.SCHEMA, subject.DEFAULTS)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "read_yaml", lambda path: own.get(path) or read_yaml(path))
        yield


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=2, database=None)
@given(data=st.data())
def test_every_kind_of_fault_is_refused_in_one_sentence_that_names_its_key(quick_reading, tmp_path_factory, kind, data):
    path, values = KINDS[kind]
    sentence = refusal(tmp_path_factory, path, data.draw(values))
    assert f"{'.'.join(map(str, path))} " in sentence
    assert "\n" not in sentence
    assert len(sentence) < 500
    assert sentence.endswith(".")


def test_there_are_many_kinds_of_faults():
    assert len(KINDS) > 300


def allowed_values(node):
    """A strategy of values that a node of the schema allows."""
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if node["type"] == "integer":
        return st.integers(node["minimum"], node["maximum"])
    if node["type"] == "number":
        return st.floats(node["minimum"], node["maximum"])
    if node["type"] == "array":
        return st.lists(allowed_values(node["items"]), min_size=node["minItems"], max_size=node["maxItems"])
    if node.get("format") == "date":
        return st.dates(*map(date.fromisoformat, (node["formatMinimum"], node["formatMaximum"]))).map(str)
    if node["type"] == "string":
        return st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=199).map("x".__add__)
    return st.fixed_dictionaries({key: allowed_values(inner) for key, inner in node["properties"].items()})


@settings(max_examples=50)
@given(data=st.data())
def test_what_the_schema_allows_is_read_back_as_it_was_written(endless_memory, tmp_path_factory, data):
    config = data.draw(allowed_values(SCHEMA))
    study = config["double_descent"]
    study["n_features"]["stop"] = max(study["n_features"]["start"], study["n_features"]["stop"])
    study["lambda_grid"]["low"] = study["lambda_grid"]["high"] / 2
    file = tmp_path_factory.getbasetemp() / "allowed.yaml"
    file.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    if study["lambda_grid"]["low"] >= 0.000001:
        networks = DEFAULTS["initialization"]["networks"] | config["initialization"]["networks"]
        config["initialization"]["networks"] = networks
        assert load_config([str(file)]) == config


@pytest.fixture(scope="module")
def endless_memory():
    """No configuration is too large here: its size is another test's subject."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "physical_bytes", lambda: 10**30)
        yield


@pytest.mark.parametrize("text", ["🙂", "中", "\ue000"])
def test_a_title_that_the_pdf_cannot_show_is_refused(text):
    with pytest.raises(
        ConfigError, match=r"config: report.title holds .* \(U\+[0-9A-F]{4,5}\), for which the PDF has no"
    ):
        check(changed(DEFAULTS, ("report", "title"), f"A {text}"))
    check(changed(DEFAULTS, ("report", "title"), "Lösungen – “λ → ∞”, שלום"))


def test_a_limit_on_addresses_counts(monkeypatch):
    monkeypatch.setattr(memory.resource, "getrlimit", lambda kind: (2**31, 2**31))
    with pytest.raises(ConfigError, match=r"allowed are 0\.0 GiB under the limit on addresses \(ulimit -v\)\."):
        check(DEFAULTS)


def given_as(*entries):
    """Snakemake's settings for ``--config`` with these arguments, from its own parser."""
    return ConfigSettings(config=parse_config(entries))


def handed_on(settings):
    """The settings of a job, whose command Snakemake makes of those of the run; the shell is asked what it reads."""
    argument = format_cli_arg("--config", settings.config_args)
    wrapped = argument.replace('"', '\\"')  # as the plugin for Slurm wraps the command
    direct = subprocess.run(["bash", "-c", f"printf %s {argument}"], capture_output=True, check=True).stdout
    nested = subprocess.run(["bash", "-c", f'sh -c "printf %s {wrapped}"'], capture_output=True, check=True).stdout
    assert direct == nested
    return given_as(direct.decode().removeprefix("--config"))


HOSTILE = [
    *(
        "Report # 3",
        "Homework 6: mine",
        "2026",
        "010",
        "Null",
        "~",
        "yes",
        "1e3",
        "'quoted'",
        '"quoted"',
        "a: b",
        "[x]",
    ),
    *(
        "{y}",
        "trailing #",
        'O\'Neil & "Söns"',
        "back\\slash\\\\",
        "$(touch x) `touch x` $HOME !!",
        "%s {} \u00a0 λ",
        "- a",
        "=",
        "<<",
    ),
    *("&a", "*a", "!!int 5", "| a", "> a", "@a", "%a", "?", "? a", "a\u202eb", "2026-11-24", ".inf", "0x1F", "True"),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_of_the_command_line_arrives_as_given_in_the_run_and_in_its_jobs(text, tmp_path):
    settings = given_as("report=" + json.dumps({"title": text, "author": text}, ensure_ascii=False))
    config = load_config(settings=settings)
    assert config["report"]["title"] == config["report"]["author"] == text
    assert load_config(settings=handed_on(settings)) == config
    record = tmp_path / "record.yaml"
    record.write_text(recorded(config, dropped(config)), encoding="utf-8")
    assert load_config([record]) == config


@settings(max_examples=150)
@given(text=st.text() | st.text("#:{}[],&*!|>'\"%@`-?~ \\$\t\n0aN"), quoted=st.booleans())
def test_any_text_of_the_command_line_arrives_or_is_refused_in_one_sentence(quick_reading, text, quoted):
    given_text = json.dumps(text, ensure_ascii=not text.isprintable()) if quoted else text  # NEL ends a line of YAML
    settings = given_as(f"report={{title: {given_text}}}")
    try:
        config = load_config(settings=settings)
    except ConfigError as fault:
        sentence = str(fault)
    else:
        sentence = None
        assert config["report"]["title"] == settings.config["report"]["title"]
        if quoted:
            assert config["report"]["title"] == text
        again = given_as(*shlex.split(format_cli_arg("--config", settings.config_args))[1:])
        assert again.config == settings.config
    assert sentence is None or (sentence.startswith("config: report") and sentence.isprintable())


def test_lists_and_mappings_of_the_command_line_are_typed_by_the_schema():
    config = load_config(
        settings=given_as(
            "initialization={networks: {mine: [35, 0o100, 1], yes: [1, 1]}, seed: 007}",
            'dropout={"p": ".5", "seed": 9}',
        )
    )
    assert config["initialization"]["networks"] == DEFAULTS["initialization"]["networks"] | {
        "mine": [35, 64, 1],
        "yes": [1, 1],
    }
    assert config["initialization"]["seed"] == 7
    assert config["dropout"] == DEFAULTS["dropout"] | {"p": 0.5, "seed": 9}


@pytest.mark.parametrize(
    "entry",
    [
        *(
            "report=5",
            "report=",
            "report=True",
            "report=a",
            "report=[1]",
            "report={title: a # b}",
            "report={title: [a]}",
        ),
        *("report={title: {a: b}}", "unknown={a: &x [*x]}", "dropout={seed: {a: &x [*x]}}", "dropout={seed: 9.0}"),
        *(
            "initialization={networks: [1]}",
            "initialization={networks: {mine: 5}}",
            "dropout={seed: " + "9" * 5000 + "}",
        ),
    ],
)
def test_what_the_command_line_may_not_say_is_refused_in_one_sentence(entry):
    with pytest.raises(ConfigError) as refused:
        load_config(settings=given_as(entry))
    sentence = str(refused.value)
    assert sentence.startswith(f"config: {entry.split('=')[0]}")
    assert "allowed" in sentence
    assert len(sentence) < 500
    assert sentence.isprintable()


def test_replacing_the_whole_configuration_is_refused():
    with pytest.raises(ConfigError, match="--replace-workflow-config is given; allowed are"):
        load_config(settings=ConfigSettings(replace_workflow_config=True))


def core_schema(text):
    """What a scalar without quotes is: section 10.3.2 of the specification of YAML 1.2.2, row by row."""
    rows = [
        ("null|Null|NULL|~", lambda: None),
        ("", lambda: None),
        ("true|True|TRUE|false|False|FALSE", lambda: text[0] in "tT"),
        ("[-+]?[0-9]+", lambda: int(text, 10)),
        ("0o[0-7]+", lambda: int(text[2:], 8)),
        ("0x[0-9a-fA-F]+", lambda: int(text[2:], 16)),
        (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", lambda: float(text)),
        (r"[-+]?(\.inf|\.Inf|\.INF)", lambda: -math.inf if text[0] == "-" else math.inf),
        (r"\.nan|\.NaN|\.NAN", lambda: math.nan),
    ]
    return next((value() for pattern, value in rows if re.fullmatch(pattern, text)), text)


SCALARS = {
    **{"0123": 123, "010": 10, "089": 89, "0x1F": 31, "0o17": 15, "+5": 5, "-0": 0, "00": 0, "+0123": 123, "-010": -10},
    **{
        "1.": 1.0,
        ".5": 0.5,
        "1e3": 1000.0,
        "1E-3": 0.001,
        "-.5": -0.5,
        ".inf": math.inf,
        "-.INF": -math.inf,
        "01.5": 1.5,
    },
    **{"true": True, "FALSE": False, "~": None, "null": None, "NULL": None, ".nan": math.nan, "+.inf": math.inf},
    **{
        text: text
        for text in ("0b1", "1_000", "190:20:30", "1:30", "1_0.5", "yes", "no", "on", "OFF", "y", "n", "0o18")
    },
    **{text: text for text in ("2026-11-24", "2001-12-14t21:59:43.10-05:00", "=", "<<", "nan", "inf", "+.nan", "0X1F")},
    **{
        text: text
        for text in ("0O17", "tRUE", "nULL", "1e", ".", "+", "1.5.2", "+0x1F", "-0o17", "١٢", "1e3.5", "685.230_15")
    },
}


@pytest.mark.parametrize("text", SCALARS)
def test_a_scalar_means_the_same_in_files_and_on_the_command_line(tmp_path, text):
    wanted = SCALARS[text]
    file = tmp_path / "scalars.yaml"
    file.write_text(f"a: {text}\nb: [{text}, {{c: {text}}}]\nd: '{text}'\n", encoding="utf-8")
    told = subject._typed(given_as(f"seed={{a: {text}, b: [{text}, 1], title: {text}}}").config, {"properties": TYPED})
    a, (b, mapping), d = read_yaml(file).values()
    for found in (plain(text), core_schema(text), a, b, mapping["c"], told["seed"]["a"], told["seed"]["b"][0]):
        assert repr(found) == repr(wanted)
    assert d == told["seed"]["title"] == text


TYPED = {
    "seed": {
        "properties": {"a": {"type": "number"}, "b": {"items": {"type": "integer"}}, "title": {"type": "string"}},
    }
}


@settings(max_examples=2000)
@given(
    st.text("0123456789+-._:eExXoObBaAfFnNuUlLiItTrRyYsS~=<", max_size=8)
    | st.from_regex(r"[-+]?[0-9_]*\.?[0-9]*([eE][-+]?[0-9]+)?|0[xob]?[0-9a-fA-F]+", fullmatch=True)
)
def test_every_scalar_means_what_the_core_schema_says_and_is_written_so_that_it_does(text):
    assert repr(plain(text)) == repr(core_schema(text))
    content = yaml.load(written({text: text}), Loader=yaml.BaseLoader)
    assert content == {text: text}
    [[key, value]] = yaml.compose(written({text: text}), Loader=yaml.SafeLoader).value
    assert key.tag == value.tag == "tag:yaml.org,2002:str"
    assert value.style or core_schema(text) == text


def test_json_is_read_as_it_is_indented_with_tabs_too(tmp_path):
    file = tmp_path / "mine.json"
    for encoding in ("utf-8", "utf-8-sig"):
        file.write_text(json.dumps(DEFAULTS, indent="\t"), encoding=encoding)
        assert load_config([file]) == DEFAULTS
    file.write_text('{\n\t"a": "\\ud835\\udc00\\/",\n\t"b": [NaN, -0, 1e3, 1.5, null, true],\n\t"c": -Infinity\n}')
    assert read_yaml(file) == {"a": "𝐀/", "b": ["NaN", 0, 1000.0, 1.5, None, True], "c": "-Infinity"}


def test_a_default_network_is_dropped_by_null_in_a_file_and_on_the_command_line(tmp_path):
    left = {name: DEFAULTS["initialization"]["networks"][name] for name in ("base", "deep", "narrow")}
    file, record = tmp_path / "mine.yaml", tmp_path / "record.yaml"
    file.write_text("initialization: {networks: {wide: null, bottleneck: }}")
    config = load_config([file])
    assert config["initialization"]["networks"] == left
    for value in ("null", "~", ""):
        settings = given_as(f"initialization={{networks: {{wide: {value}, bottleneck: {value}}}}}")
        assert load_config(settings=settings) == config
        assert load_config(settings=handed_on(settings)) == config
    record.write_text(recorded(config, dropped(config)))
    assert load_config([record]) == config
    assert dropped(DEFAULTS) == []
    assert yaml.safe_load(recorded(DEFAULTS, [])) == DEFAULTS
    settings = given_as("initialization={networks: {wide: [1, 1]}}")  # and there again
    assert load_config([file], settings)["initialization"]["networks"] == left | {"wide": [1, 1]}


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("{networks: {wyde: null}}", r"networks\.wyde is empty, .* there is none; allowed to drop are wide, narrow, b"),
        ("{networks: {base: null}}", r"networks\.base is empty; allowed is a list of 2 to 33"),
        ("{networks: null}", r"networks is empty; allowed is a mapping of 2 to 10 keys"),
        ("{seed: null}", r"seed is empty; allowed is an integer"),
        ("{sead: null}", r"sead is not a known key"),
    ],
)
def test_nothing_else_is_dropped(entry, complaint):
    with pytest.raises(ConfigError, match=rf"^config: initialization\.{complaint}"):
        load_config(settings=given_as(f"initialization={entry}"))


def test_a_network_is_dropped_once(tmp_path):
    for name, text in {"one": "{wide: , narrow: , bottleneck: }", "two": "{wide: }"}.items():
        (tmp_path / name).write_text(f"initialization: {{networks: {text}}}")
    with pytest.raises(ConfigError, match="but there is none; allowed to drop is nothing that is left"):
        load_config([tmp_path / "one", tmp_path / "two"])


def every(schema):
    """Every node of a schema, wherever it stands."""
    if isinstance(schema, dict):
        yield schema
        for node in schema.values():
            yield from every(node)


@pytest.mark.parametrize("sign", [*map(chr, range(32)), *"\x7f\x85\u2028\u2029\ud800\uffff"], ids=ascii)
def test_no_pattern_lets_a_control_character_through(sign):
    patterns = [node["pattern"] for node in every(SCHEMA) if isinstance(node.get("pattern"), str)]
    assert len(patterns) == 3
    for pattern in patterns:
        assert re.search(pattern, "a")
        for text in (f"a{sign}", f"{sign}a", f"a{sign}a", f"a\n{sign}", f"a{sign}\n"):
            assert not re.search(pattern, text)


def test_a_message_about_a_size_names_both_ends():
    sizes = [("minProperties", "maxProperties"), ("minItems", "maxItems"), ("minLength", "maxLength")]
    found = 0
    for node in every(SCHEMA):
        for least, most in sizes:
            if isinstance(node.get(least, node.get(most)), int):
                assert f"{node[least]} to {node[most]} " in allowed(node)
                found += 1
    assert found == 6
    eleven = {name: [1, 1] for name in ("base", "deep", *"abcdefghi")}
    with pytest.raises(ConfigError, match="is a mapping of 11 keys; allowed is a mapping of 2 to 10 keys"):
        check(changed(DEFAULTS, ("initialization", "networks"), eleven))
    with pytest.raises(ConfigError, match=r"networks has the name 'evil\\n'; allowed is a letter from a to z, then"):
        check(changed(DEFAULTS, ("initialization", "networks", "evil\n"), [1, 1]))


@pytest.mark.parametrize(
    "sign", "\x00\x07\x1b\x7f\x85\x9b\u200e\u202e\u2028\u2066\ufeff\ud800\udfff\U000e0001", ids=ascii
)
def test_no_message_carries_a_character_that_a_terminal_would_obey(tmp_path, sign):
    paths = [(sign,), ("dropout", f"a{sign}b"), ("initialization", "networks", f"a{sign}")]
    changes = [(path, [1, 1]) for path in paths] + [(("initialization", "networks", sign), 5)]
    changes += [(path, value) for path in LEAVES for value in (f"{sign}[31m" + "x" * 200, [f"{sign}x"])]
    for path, value in changes:
        with pytest.raises(ConfigError) as refused:
            check(changed(DEFAULTS, path, value))
        assert str(refused.value).isprintable()
    name = os.fsdecode(sign.encode("utf-8", "surrogatepass")).replace("\0", "")
    with pytest.raises(ConfigError) as refused:
        read_yaml(tmp_path / f"{name}absent")
    assert str(refused.value).isprintable()
    (tmp_path / "mine.yaml").write_text(f'"{ascii(sign)[1:-1]}": 1\n"{ascii(sign)[1:-1]}": !<{ascii(sign)[1:-1]}> 2\n')
    with pytest.raises(ConfigError) as refused:
        read_yaml(tmp_path / "mine.yaml")
    assert str(refused.value).isprintable()


@settings(max_examples=300)
@given(low=st.floats(0.000001, 900000), step=st.floats(1e-7, 1e-4), count=st.integers(1, 200), whole=st.booleans())
def test_penalties_are_refused_exactly_if_some_are_equal_in_the_tables(low, step, count, whole):
    low = float(f"{low:.3g}") if whole else low
    grid = {"low": low, "high": low * (1 + step) ** count, "count": count}
    study = changed(DEFAULTS["double_descent"], ("lambda_grid",), grid)
    cells = pd.Series(penalties(study)[1:]).to_csv(float_format="%.6g", index=False, header=False).split()
    sentences = list(subject._inconsistencies(DEFAULTS | {"double_descent": study}))
    assert bool(sentences) == (len(set(cells)) < count)


def test_penalties_that_are_equal_in_the_tables_are_named():
    grid = {"low": 1, "high": 1.000001, "count": 2}
    with pytest.raises(ConfigError, match=r"lambda_grid\.count is 2, .* from 1 to 1\.000001 some are equal"):
        check(changed(DEFAULTS, ("double_descent", "lambda_grid"), grid))
    check(changed(DEFAULTS, ("double_descent", "lambda_grid"), grid | {"count": 1}))
    check(changed(DEFAULTS, ("double_descent", "lambda_grid"), grid | {"high": 1.00001}))


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("absent.yaml", "cannot be read (No such file or directory)."),
        ("x" * 5000, "cannot be read (File name too long)."),
        ("folder", "is not a regular file; a file of YAML or JSON is allowed."),
        ("pipe", "is not a regular file; a file of YAML or JSON is allowed."),
        ("/dev/zero", "is not a regular file; a file of YAML or JSON is allowed."),
        ("latin-1.yaml", "is not UTF-8 text; YAML in UTF-8 is allowed."),
        ("utf-16.yaml", "is not UTF-8 text; YAML in UTF-8 is allowed."),
        ("empty.yaml", "holds empty; a mapping of keys to values is allowed."),
    ],
    ids=lambda text: text[:12],
)
def test_what_is_no_configuration_file_is_refused_and_not_waited_for(tmp_path, name, complaint):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.yaml").touch()
    (tmp_path / "latin-1.yaml").write_text("report: {title: é}", encoding="latin-1")
    (tmp_path / "utf-16.yaml").write_text("report: {title: é}", encoding="utf-16")
    path = str(tmp_path / name)
    done = subprocess.run(
        [sys.executable, "scripts/check_config.py", path], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{path}: {complaint}\n")
