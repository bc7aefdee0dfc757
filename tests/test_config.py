"""The configuration: read strictly, merged, and refused with one sentence that names the key."""

import copy
import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import PROJECT
from pipeline import config as subject
from pipeline import memory
from pipeline.config import ConfigError, allowed, check, load_config, merge, read_yaml


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
    (tmp_path / "huge.yaml").write_text("a: " + "1" * (subject.LONGEST_FILE + 1))
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


@pytest.mark.parametrize("date", ["2026-13-01", "20261124", "2026-W01-1", "tomorrow"])
def test_a_date_that_is_none_is_refused(date):
    with pytest.raises(ConfigError, match=r"config: report\.date is '.*'; allowed is a date as YYYY-MM-DD"):
        check(changed(DEFAULTS, ("report", "date"), date))


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
        return st.dates().map(str)
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
