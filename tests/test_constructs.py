"""The Markdown of the report: each construct has a test in both formats, and each fault is found by file and name."""

import html
import json
import os
import re
import shutil
import subprocess
from functools import cache

import pytest
import yaml

import compare_renderings
from conftest import ENGINES, PROJECT, need
from pipeline.engine import chosen_engine, embedded_pandoc
from pipeline.fonts import stage_fonts
from pipeline.rendering import (
    RenderingError,
    check_sources,
    first_fault,
    render_with_pandoc,
    render_with_quarto,
    warnings,
)

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


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The report's filters and templates with a small project around them, but no text."""
    folder = tmp_path_factory.mktemp("constructs") / "stage"
    shutil.copytree(REPORT, folder, ignore=shutil.ignore_patterns("*.qmd", "*.bib", "p*.yml"))
    write(folder, FILES)
    return folder


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
def together(project, tmp_path):
    """A small report with all constructs in one text."""
    folder = tmp_path / "stage"
    shutil.copytree(project, folder)
    write(folder, TOGETHER)
    return folder


RENDER = {"pandoc": render_with_pandoc, "quarto": render_with_quarto}


def documents_of(folder, engine):
    """The page and the PDF of a staged project, as bytes."""
    return [RENDER[engine](folder, format, DATE).read_bytes() for format in ("html", "pdf")]


@pytest.fixture(scope="module")
def rendered(project, tmp_path_factory):
    """Has an engine render all constructs twice: (folder, [[page, PDF], [page, PDF]]), the documents as bytes."""

    @cache
    def by(engine):
        need(engine)
        folder = tmp_path_factory.mktemp(engine) / "stage"
        shutil.copytree(project, folder)
        write(folder, TOGETHER)
        stage_fonts(folder / "fonts", web=True)
        check_sources(folder)
        return folder, [documents_of(folder, engine) for _ in range(2)]

    return by


@pytest.mark.parametrize("engine", ENGINES)
def test_rendering_twice_gives_the_same_bytes(rendered, engine):
    _, (first, second) = rendered(engine)
    assert first == second


@pytest.mark.parametrize("engine", ENGINES)
def test_all_constructs_have_the_same_words_in_both_formats(rendered, engine):
    if not shutil.which("pdftohtml"):
        pytest.skip("pdftohtml is not installed")
    folder, _ = rendered(engine)
    assert compare_renderings.differences(folder / "solutions.html", folder / "solutions.pdf") == []


@pytest.mark.parametrize("engine", ENGINES)
def test_every_label_stands_once_on_the_page_and_every_link_finds_its_place(rendered, engine):
    _, ((page, _), _) = rendered(engine)
    labels = re.findall(r'\sid="([^"]+)"', page.decode())
    assert len(labels) == len(set(labels))
    assert set(re.findall(r'href="#([^"]+)"', page.decode())) <= set(labels)


def pictures(folder, document, look, out):
    """What a document looks like: a picture, or one a page, as bytes. look: options of the program that paints."""
    out.mkdir()
    if document == "solutions.pdf":
        command = ["pdftoppm", *look, folder / document, out / "page"]
    else:
        flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars")
        command = ["chromium", *flags, *look, f"--screenshot={out / 'page.png'}", (folder / document).as_uri()]
    subprocess.run(command, check=True, capture_output=True)
    return [picture.read_bytes() for picture in sorted(out.iterdir())]


DARK = "--blink-settings=preferredColorScheme=0"
LOOKS = {
    "phone": ("solutions.html", ["--window-size=360,9000"]),
    "phone, dark": ("solutions.html", ["--window-size=360,9000", DARK]),
    "screen": ("solutions.html", ["--window-size=1280,7000"]),
    "screen, dark": ("solutions.html", ["--window-size=1280,7000", DARK]),
    "paper": ("solutions.pdf", ["-r", "60"]),
}


@pytest.mark.parametrize(("document", "look"), LOOKS.values(), ids=LOOKS)
def test_all_constructs_look_the_same_with_both_engines(rendered, tmp_path, document, look):
    program = "pdftoppm" if document == "solutions.pdf" else "chromium"
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    folders = {engine: rendered(engine)[0] for engine in reversed(ENGINES)}
    first, second = (pictures(folder, document, look, tmp_path / engine) for engine, folder in folders.items())
    assert first == second
    assert len(set(first)) == len(first)  # something is painted, on each page something else


HOSTILE = {  # {evil} is a folder whose programs, filters and fonts spoil the document
    "HOME": "{evil}",
    "PATH": "{evil}/bin:{path}",
    "XDG_DATA_HOME": "{evil}/.local/share",
    "XDG_CONFIG_HOME": "{evil}/.config",
    "PYPANDOC_PANDOC": "{evil}/bin/pandoc",
    "PANDOC_DATA_DIR": "{evil}/.pandoc",
    "GHCRTS": "--no-such-option",
    "LUA_INIT": "os.exit(3)",
    "LUA_INIT_5_4": "os.exit(3)",
    "LUA_PATH": "{evil}/?.lua",
    "LUA_CPATH": "{evil}/?.so",
    "SOURCE_DATE_EPOCH": "1",
    "TYPST_FONT_PATHS": "{evil}",
    "TYPST_PACKAGE_PATH": "{evil}",
    "TYPST_PACKAGE_CACHE_PATH": "{evil}",
    "TYPST_ROOT": "{evil}",
    "TYPST_FEATURES": "no-such-feature",
    "TYPST_IGNORE_EMBEDDED_FONTS": "true",
    "QUARTO_PROFILE": "evil",
    "QUARTO_LOG": "{evil}/log",
    "QUARTO_LOG_LEVEL": "error",
    "QUARTO_LOG_FORMAT": "json-stream",
    "QUARTO_PROJECT_DIR": "{evil}",
    "QUARTO_PROJECT_ROOT": "{evil}",
    "QUARTO_FORCE_VERSION": "1.0",
    "QUARTO_ACTION": "no-such-action",
    "QUARTO_TARGET": "{evil}/target.ts",
    "QUARTO_DENO_OPTIONS": "--no-such-option",
    "QUARTO_DENO_EXTRA_OPTIONS": "--no-such-option",
    "QUARTO_DENO_V8_OPTIONS": "--no-such-option",
    "DENO_DIR": "{evil}/target.ts",
}


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """The environment of a user whose every setting spoils the document."""
    evil = tmp_path / "evil"
    files = {f"{place}/init.lua": "os.exit(3)\n" for place in (".pandoc", ".local/share/pandoc")}
    files |= {f"{place}/templates/default.html5": "evil" for place in (".pandoc", ".local/share/pandoc")}
    files |= {f"bin/{name}": f"#!/bin/sh\necho {name} 99.9\n" for name in ("pandoc", "typst", "deno")}
    write(evil, files | {"target.ts": "throw 'evil';\n"})
    for program in (evil / "bin").iterdir():
        program.chmod(0o755)
    path = os.environ["PATH"]
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value.format(evil=evil, path=path))
    return evil


@pytest.mark.parametrize("engine", ENGINES)
def test_no_setting_of_the_user_changes_a_byte(rendered, engine, hostile):
    folder, (documents, _) = rendered(engine)
    assert chosen_engine.__wrapped__("auto") == chosen_engine("auto")
    check_sources(folder)
    assert documents_of(folder, engine) == documents


def test_the_settings_would_spoil_a_document(hostile, project):
    filtering = [embedded_pandoc(), "--lua-filter", project / "engine/columns.lua"]
    assert subprocess.run(filtering, env={"HOME": str(hostile)}, input=b"", check=False).returncode == 3
    for name in ("GHCRTS",):
        spoilt = subprocess.run(filtering, env={name: HOSTILE[name]}, input=b"", capture_output=True, check=False)
        assert spoilt.returncode != 0, name


QUARTOS_FAULTS = {  # file, where, what comes there, and what is said in the end
    "filter": ("hw6.lua", "function Pandoc(doc)", "error('the fault')", "the fault"),
    "broken filter": ("hw6.lua", "function Pandoc(doc)", "no_such_function()", "no_such_function"),
    "settings": ("_quarto.yml", "toc: true", "nest: [open", "YAML"),
    "include": ("_part.qmd", "\n", "{{< include no.md >}}\n", "no.md"),
    "reference": ("_part.qmd", "\n", "See @fig-no.\n", "@fig-no"),
    "formula": ("_part.qmd", "\n", "Let $\\frac{1$.\n", "Could not convert TeX math"),
}


@pytest.mark.parametrize(("file", "after", "text", "told"), QUARTOS_FAULTS.values(), ids=QUARTOS_FAULTS)
def test_a_fault_that_only_quarto_meets_is_told_in_a_few_lines(together, file, after, text, told):
    need("quarto")
    source = (together / file).read_text(encoding="utf-8")
    write(together, {file: source.replace(after, f"{after}\n{text}\n", 1)})
    with pytest.raises(RenderingError) as found:
        render_with_quarto(together, "html", DATE)
    assert re.match(r"Quarto (found faults|warns):\n", str(found.value))
    assert told in str(found.value)
    assert len(str(found.value).splitlines()) <= 13
    assert "title" not in str(found.value)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("text", "told"), [("#no()", "unknown variable: no"), ('#text(font: "No")[x]', "font family: no")]
)
def test_a_fault_that_only_typst_meets_is_told_in_a_few_lines(together, engine, text, told):
    need(engine)
    stage_fonts(together / "fonts", web=False)
    source = (together / "paper.typ").read_text(encoding="utf-8")
    write(together, {"paper.typ": source.replace("$body$", f"{text}\n\n$body$")})
    with pytest.raises(RenderingError, match=r"^(Quarto|Typst) (found faults|warns):\n") as found:
        RENDER[engine](together, "pdf", DATE)
    assert told in str(found.value)
    assert len(str(found.value).splitlines()) <= 13


DUMP = "\npandoc \n  to: html\nmetadata\n  title: 'WARNING (x) and error: y'\n  about: [typst]\n  \n"
LOGS = {  # what warns in them, or what is told of them if Quarto failed
    "coloured": ("\x1b[33mWARNING (main.lua:1) Shortcode 'x' not found\n\x1b[39m", "Shortcode 'x' not found"),
    "Pandoc": ("[WARNING] Could not fetch resource no.png\n", "Could not fetch resource no.png"),
    "Deno": ("WARN: something\n", "something"),
    "behind other words": ("[typst]: Compiling a.typ to a.pdf...warning: unknown font\n", "unknown font"),
    "error in a filter": ("\x1b[31mERROR (hw6.lua:1) boom\n\x1b[39m", "boom"),
    "error": ("ERROR: Include directive failed.\n  could not find x.md\nStack trace:\n    at f\n", "find x.md"),
}


@pytest.mark.parametrize(("log", "told"), LOGS.values(), ids=LOGS)
def test_what_a_log_warns_of_is_found_wherever_it_stands(log, told):
    (line,) = warnings(DUMP + log + "Output created: solutions.html\n")
    assert line.split()[0] in log
    fault = first_fault(DUMP + log)
    assert told in fault
    assert "title" not in fault
    assert "at f" not in fault


def test_a_log_without_a_warning_has_none():
    assert warnings(DUMP + "WARN: PDF standard validation requested but verapdf is not installed.\nDONE\n") == []


def test_of_a_log_without_an_error_the_end_is_told():
    assert first_fault("\n".join(map(str, range(99)))).splitlines() == [str(line) for line in range(87, 99)]


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
