"""The Markdown of the report: each construct has a test in both formats, and each fault is found by file and name."""

import html
import json
import re
import shutil
import subprocess
from functools import cache

import pytest
import yaml

from conftest import PROJECT
from pipeline.engine import embedded_pandoc
from pipeline.rendering import RenderingError, check_sources

pytestmark = pytest.mark.xdist_group("runs")  # the last test shares a whole run of the workflow

REPORT = PROJECT / "report"
CONSTRUCTS = yaml.safe_load((PROJECT / "tests/constructs.yaml").read_text(encoding="utf-8"))
DATE = "2026-11-24"
METADATA = {
    "title": "T",
    "author": "A",
    "title-literal": '`"T"`{=typst}',
    "author-literal": '`"A"`{=typst}',
    "date": DATE,
    "made": {"engine": "Pandoc", "packages": "P", "sources": "0a", "config": "1b"},
    "claim-marks": {"p1-c": "✓"},
    "alternatives": {"p1/f.svg": "What is seen."},
}
VARIABLES = {
    "p1": {"x": "[10^−3^](#num-p1-x){.quoted}"},
    "data": {"p1": {"tables": {"t": "Data: [`p1/t.csv`](#src-p1-t){.data}."}}},
    "claim": {
        "p1-c": "It came out so.",
        "p1-two": "It rose from [1](#num-p1-x){.quoted} to [2](#num-p1-x){.quoted .again}.",
    },
    "made": METADATA["made"],
}
BIBLIOGRAPHY = "".join(
    f"@article{{{key}, author={{A. {key.title()}}}, title={{Title}}, year={{{year}}}, journal={{J}}}}\n"
    for key, year in (("known", 2020), ("other", 2021))
)
FILES = {
    "_metadata.yml": json.dumps(METADATA),
    "_variables.yml": json.dumps(VARIABLES),
    "references.bib": BIBLIOGRAPHY,
    "p1/f.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="100" height="50"><path d="M0 0L90 40"/></svg>',
    "tables/t.md": "| a | b |\n|:--|--:|\n| ones | 1.5 |\n",
}
HEAD = "---\nlang: en\nbibliography: references.bib\nkeywords: [a]\n---\n\n"
TARGETS = {"num-p1-x": "[x]{#num-p1-x .number-name}", "src-p1-t": "[t]{#src-p1-t .source-name}"}  # of the variables


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def lay_out(folder, text):
    """The report's filters and templates in a new folder, with a small project around them and this text."""
    shutil.copytree(REPORT, folder, ignore=shutil.ignore_patterns("*.qmd", "*.bib", "p*.yml"))
    write(folder, FILES | text)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The staged project without a text."""
    return lay_out(tmp_path_factory.mktemp("constructs") / "stage", {})


def fragment(folder, source, engine):
    """A page or the source of a PDF with one construct, made by Pandoc with the defaults of that format."""
    head = "" if source.startswith("---") else HEAD
    targets = [row for label, row in TARGETS.items() if f"{{#{label}" not in source]
    write(folder, {"solutions.qmd": "\n\n".join([head + source, *targets])})
    options = ["--defaults", f"engine/{engine}.yaml", "--embed-resources=false"]
    done = subprocess.run(
        [embedded_pandoc(), *options, "solutions.qmd"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def words(page):
    """The words of a piece of HTML, with ordinary spaces."""
    text = re.sub(r"</?(?:p|div|h\d|td|th|tr|li|pre)\b[^>]*>", " ", page)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", text)))


@pytest.mark.parametrize("construct", CONSTRUCTS, ids=lambda construct: construct["name"])
def test_a_construct_becomes_what_the_list_says(project, construct):
    page = fragment(project, construct["source"], "html")
    for expected in construct.get("html", []):
        assert expected in page
    for expected in construct.get("text", []):
        assert expected in words(page)
    source = re.sub(r"\s+", " ", fragment(project, construct["source"], "typst"))
    for expected in construct.get("typst", []):
        assert expected in source


TOGETHER = {
    "solutions.qmd": HEAD + "{{< include _part.qmd >}}\n\n# References {.unnumbered}\n\n::: {#refs}\n:::\n",
    "_part.qmd": "\n\n".join(
        construct["source"] for construct in CONSTRUCTS if construct["name"] not in ("Front matter", "Bibliography")
    ),
}


@pytest.fixture
def together(tmp_path):
    """A small report with all constructs in one text."""
    return lay_out(tmp_path / "stage", TOGETHER)


FAULTS = {
    "figure": ("@fig-p1-f", "@fig-p1-g", 'the reference "fig-p1-g" has no target'),
    "table": ("@tbl-p1-t", "@tbl-p1-x", 'the reference "tbl-p1-x" has no target'),
    "formula": ("@eq-p1-a", "@eq-p1-b", 'the reference "eq-p1-b" has no target'),
    "section": ("[-@sec-p3]", "[-@sec-p9]", 'the reference "sec-p9" has no target'),
    "theorem": ("@thm-p1-t", "@thm-p1-x", 'the reference "thm-p1-x" has no target'),
    "heading without a number": (
        "# Aside {.unnumbered}",
        "# Aside {#sec-p9 .unnumbered}\n\nSee @sec-p9.",
        'the reference "sec-p9" leads to a heading without a number',
    ),
    "unknown prefix": ("@known.", "@someone.", 'the citation "someone" is not in references.bib'),
    "citation": ("@other]", "@others]", 'the citation "others" is not in references.bib'),
    "link": ("(#sec-p4)", "(#sec-p9)", 'the reference "sec-p9" has no target'),
    "link to an automatic label": ("(#sec-p4)", "(#here)", 'the reference "here" has no target'),
    "number without a row": ("{#num-p1-x .number-name}", "{.number-name}", 'the reference "num-p1-x" has no target'),
    "include": ("tables/t.md", "tables/u.md", 'the include "tables/u.md" is missing'),
    "variable": ("var p1.x", "var p1.y", 'unknown variable "p1.y"'),
    "branch of variables": ("var p1.x", "var p1", 'unknown variable "p1"'),
    "shortcode": ("{{< var p1.x", "{{< val p1.x", 'unknown shortcode "val"'),
    "open shortcode": ("{{< var p1.x >}}", "{{< var p1.x }}", "a shortcode that is not closed: {{<"),
    "shortcode in a formula": ("$x \\ge 0$", "$x \\ge {{< var p1.x >}}$", "a shortcode inside the formula x \\ge {{<"),
    "shortcode in a display": ("\\frac{1}{x} .", "\n{{< var p1.x >}}", "a shortcode inside the formula"),
    "picture": ("(p1/f.svg)", "(p1/g.svg)", 'the picture "p1/g.svg" is missing'),
    "alternative text": ("(p1/f.svg)", "(p1/g.svg)", 'the picture "p1/g.svg" has no alternative text'),
    "label": ("{#tbl-p1-t}", "{#fig-p1-f}", 'the label "fig-p1-f" is also in _part.qmd'),
    "label of a number": ("[p1-c]{#p1-c ", "[p1-c]{#num-p1-x ", 'the label "num-p1-x" is also in _part.qmd'),
    "stray label": (": A *caption*. {#tbl-p1-t}", "A caption. {#tbl-p1-t}", 'the label "tbl-p1-t" belongs to nothing'),
    "label behind a label": ("$$ {#eq-p1-a}", "$$ {#eq-p1-a}.", 'the label "eq-p1-a" belongs to nothing'),
    "TeX": ("\\frac{1}{x}", "\\frac{1}{x", "TeX that cannot be read"),
    "claim": ('claim="p1-c"', 'claim="p1-d"', 'the claim "p1-d" is not in claims.csv'),
    "claim without a name": ('{.claim claim="p1-c"}', "{.claim}", 'a sentence of the class "claim" names none'),
    "open division": ("Easy.\n:::", "Easy.", 'the division "{.proof}" is not closed'),
    "closed twice": ("Easy.\n:::", "Easy.\n:::\n\n:::", 'a ":::" closes no division'),
    "division in a paragraph": ("::: {.proof}", "Now\n::: {.proof}", 'a ":::" inside a paragraph'),
    "class of a division": ("::: {.proof}", "::: {.prof}", 'a division has the unknown class "prof"'),
    "class of a span": ("{.method}", "{.methods}", 'a span has the unknown class "methods"'),
    "class of a heading": ("{.unnumbered}", "{.unumbered}", 'a heading has the unknown class "unumbered"'),
    "YAML": ("An *idea*", "---\na: [b\n---\n\nAn *idea*", "Error parsing YAML metadata"),
}


@pytest.mark.parametrize(("old", "new", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found_by_file_and_name_before_an_engine_starts(together, old, new, fault):
    assert old in TOGETHER["_part.qmd"]
    write(together, {"_part.qmd": TOGETHER["_part.qmd"].replace(old, new, 1)})
    with pytest.raises(RenderingError, match=r"^The check of the sources found faults:\n") as found:
        check_sources(together)
    assert f"_part.qmd: {fault}" in str(found.value)


def test_bad_front_matter_is_found_by_file(together):
    write(together, {"solutions.qmd": TOGETHER["solutions.qmd"].replace("[a]", "[a", 1)})
    with pytest.raises(RenderingError, match=r"solutions\.qmd: Error parsing YAML metadata"):
        check_sources(together)


def test_all_faults_are_found_in_one_pass(together):
    part = TOGETHER["_part.qmd"]
    for old, new in (
        ("@fig-p1-f", "@fig-p1-g"),
        ("var p1.x", "var p1.y"),
        ("p1/f.svg", "p1/g.svg"),
        ("@known.", "@no."),
    ):
        part = part.replace(old, new, 1)
    write(together, {"_part.qmd": part})
    with pytest.raises(RenderingError) as found:
        check_sources(together)
    for name in ("fig-p1-g", "p1.y", "p1/g.svg", '"no"'):
        assert name in str(found.value)


def features(node):
    """What is used in a part of Pandoc's syntax tree: element types with classes, attributes, styles and labels."""
    if isinstance(node, list):
        for child in node:
            yield from features(child)
        attribute = len(node) == 3 and isinstance(node[0], str) and all(isinstance(part, list) for part in node[1:])
        if attribute and re.match(r"[a-z]+-", node[0]):
            yield f"label {node[0].split('-')[0]}-"
    elif isinstance(node, dict):
        kind, content = node.get("t"), node.get("c")
        content = content if isinstance(content, list | str) else []
        if kind == "Header":
            yield f"Header {content[0]}"
        elif kind in ("RawBlock", "RawInline"):
            yield f"{kind} {content[0]}"
        elif kind == "Str" and content.startswith("{#"):
            yield f"label {content[2:].split('-')[0]}-"
        elif kind and kind not in ("Str", "Space", "SoftBreak", "Para", "Plain"):
            yield kind
        for attributes in (part for part in content if isinstance(part, list) and len(part) == 3):
            if isinstance(attributes[0], str) and isinstance(attributes[1], list):
                yield from (f"{kind} .{name}" for name in attributes[1])
                yield from (f"{kind} {name}=" for name, _ in attributes[2])
        yield from features(list(node.values()))


@cache
def parsed(text):
    """The syntax tree of Markdown; explicit labels only."""
    done = subprocess.run(
        [embedded_pandoc(), "--from", "markdown-auto_identifiers", "--to", "json"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)["blocks"]


def used(text):
    shortcodes = {f"shortcode {name}" for name in re.findall(r"\{\{<\s*(\S+)", text)}
    return shortcodes | set(features(parsed(text)))


def leaves(tree):
    return [leaf for value in tree.values() for leaf in (leaves(value) if isinstance(value, dict) else [value])]


LISTED = used(
    "\n\n".join([*(construct["source"] for construct in CONSTRUCTS), FILES["tables/t.md"], *leaves(VARIABLES)])
)


@pytest.mark.parametrize("source", sorted(REPORT.glob("*.qmd")), ids=lambda path: path.name)
def test_the_sources_use_only_constructs_of_the_list(source):
    assert used(source.read_text(encoding="utf-8")) <= LISTED


def test_what_the_workflow_generates_uses_only_constructs_of_the_list(small_run):
    for part in sorted((small_run.path / "results/report").rglob("*.md")):
        assert used(part.read_text(encoding="utf-8")) <= LISTED, part.name


def test_the_fault_check_knows_the_classes_of_the_list_and_no_others():
    known = re.search(
        r"local CLASSES = \{(.*?)\n\}", (REPORT / "engine/reader.lua").read_text(), flags=re.DOTALL
    ).group(1)
    kinds = {"division": "Div", "span": "Span", "link": "Link", "heading": "Header"}
    listed = {feature for feature in LISTED if re.match(r"(Div|Span|Link|Header)\S* \.", feature)}
    names = {
        f"{kinds[kind]} .{name}"
        for kind, body in re.findall(r"(\w+) = \{(.*?)\}", known, flags=re.DOTALL)
        for name in re.findall(r"([\w-]+)'?\]? = true", body)
    }
    assert names == listed


def constructs_table():
    """The list as rows of a Markdown table."""
    rows = ["| Construct | Written | Becomes |", "|:--|:--|:--|"]
    for construct in CONSTRUCTS:
        lines = [line.replace("|", "\\|") for line in construct["source"].strip().splitlines()]
        written = "<br>".join(line and (f"`` {line} ``" if "`" in line else f"`{line}`") for line in lines)
        rows.append(
            f"| {construct['name']} | {written} | {construct['becomes'][0].upper()}{construct['becomes'][1:]} |"
        )
    return rows


def test_the_page_for_writers_shows_the_list():
    page = (PROJECT / "docs/writing.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- constructs -->\n(.*?)\n<!-- /constructs -->", page, flags=re.DOTALL).group(1)
    wanted = "\n".join(constructs_table())
    assert shown == wanted, f"put this between the marks of docs/writing.md:\n{wanted}"
