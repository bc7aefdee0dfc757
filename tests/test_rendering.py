"""Both engines on a small report of every construct: one look, one text, the same bytes in any environment, faults."""

import os
import re
import shutil
import subprocess
from functools import cache

import pytest

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
from test_constructs import DATE, TOGETHER, lay_out, write

RENDER = {"pandoc": render_with_pandoc, "quarto": render_with_quarto}


def documents_of(folder, engine):
    """The page and the PDF of a staged project, as bytes."""
    return [RENDER[engine](folder, format, DATE).read_bytes() for format in ("html", "pdf")]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Has an engine render all constructs twice: (folder, [[page, PDF], [page, PDF]]), the documents as bytes."""

    @cache
    def by(engine):
        need(engine)
        folder = lay_out(tmp_path_factory.mktemp(engine) / "stage", TOGETHER)
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


def test_the_settings_would_spoil_a_document(hostile):
    filtering = [embedded_pandoc(), "--lua-filter", PROJECT / "report/engine/columns.lua"]
    assert subprocess.run(filtering, env={"HOME": str(hostile)}, input=b"", check=False).returncode == 3
    options = {"GHCRTS": HOSTILE["GHCRTS"]}
    assert subprocess.run(filtering, env=options, input=b"", capture_output=True, check=False).returncode != 0


@pytest.fixture
def together(tmp_path):
    """A small report with all constructs in one text."""
    return lay_out(tmp_path / "stage", TOGETHER)


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
