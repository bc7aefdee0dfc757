"""The report's sources: every fault is found by file and name, every construct is rendered, every claim is carried."""

import re
import shutil
import subprocess

import pandas as pd
import pytest
import yaml

from conftest import PROJECT
from pipeline.display import looked_up
from pipeline.fonts import stage_fonts
from pipeline.rendering import RenderingError, check_sources, render_with_pandoc

pytestmark = pytest.mark.xdist_group("runs")  # they share whole runs of the workflow

REPORT = PROJECT / "report"
SECTIONS = sorted(REPORT.glob("_p*.qmd"))
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="100" height="50"><path d="M0 0L90 40"/></svg>'
SOUND = """---
lang: en
bibliography: references.bib
keywords: [a, b]
---

{{< include _part.qmd >}}

# References {.unnumbered}

::: {#refs}
:::
"""
PART = """# First {#sec-p1}

## Second

::: {.answer}
An answer with {{< var p1.x >}}.
:::

::: {#thm-p1-t}
## A *name* with $x$
For all $x$: $x^2 \\ge 0$.
:::

::: {.proof}
By @eq-p1-e, see [@fig-p1-f; @tbl-p1-t] and ([-@eq-p1-e]), @lst-p1-l, @thm-p1-t, @sec-p1 and [@known].
:::

$$
a = \\frac{b}{c}
$$ {#eq-p1-e}

![A *caption*.](f.svg){#fig-p1-f fig-alt="What is seen."}

{{< include tables/t.md >}}

: A table. {#tbl-p1-t}

```{#lst-p1-l .python lst-cap="A listing."}
x = 1
```

[A sentence.]{.claim claim="p1-c"} A footnote.[^n] A [link](#sec-p1).

[^n]: Its text.

::: {.long}
| Claim |
|:--|
| [p1-c]{#p1-c .claim-name} States. [How.]{.method} |

: Claims. {#tbl-p1-claims tbl-colwidths="[100]"}
:::
"""
FILES = {
    "solutions.qmd": SOUND,
    "_part.qmd": PART,
    "_variables.yml": '{"p1": {"x": "10^−3^"}}',
    "_metadata.yml": '{"title": "T", "author": "A", "date": "2026-11-24", "claim-marks": {"p1-c": "✓"}}',
    "references.bib": "@article{known, author={A. Known}, title={Title}, year={2020}, journal={J}}\n",
    "f.svg": SVG,
    "tables/t.md": "| a | b |\n|:--|--:|\n| x | 1.5 |\n",
}


@pytest.fixture(scope="module")
def fonts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("staged") / "fonts"
    stage_fonts(folder, web=True)
    return folder


@pytest.fixture
def staged(tmp_path, fonts):
    """A small report with every construct that the sources use, ready to be rendered."""
    folder = tmp_path / "stage"
    shutil.copytree(REPORT, folder, ignore=shutil.ignore_patterns("*.qmd", "*.bib", "p*.yml"))
    shutil.copytree(fonts, folder / "fonts")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def plain(folder):
    """The HTML of the small report as lines of text."""
    page = render_with_pandoc(folder, "html", "2026-11-24").read_text()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("<main", 1)[1])), page


def test_a_sound_report_has_no_fault(staged):
    check_sources(staged)


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        ("_part.qmd", "@fig-p1-f", "@fig-p1-g", '_part.qmd: the reference "fig-p1-g" has no target'),
        ("_part.qmd", "[@known]", "[@unknown]", '_part.qmd: the citation "unknown" is not in references.bib'),
        ("_part.qmd", "p1.x", "p1.y", '_part.qmd: unknown variable "p1.y"'),
        ("_part.qmd", "{{< var p1.x", "{{< val p1.x", '_part.qmd: unknown shortcode "val"'),
        ("_part.qmd", "tables/t.md", "tables/u.md", '_part.qmd: the include "tables/u.md" is missing'),
        ("solutions.qmd", "_part.qmd", "_port.qmd", 'solutions.qmd: the include "_port.qmd" is missing'),
        ("_part.qmd", "f.svg", "g.svg", '_part.qmd: the picture "g.svg" is missing'),
        ("_part.qmd", ' fig-alt="What is seen."', "", '_part.qmd: the picture "f.svg" has no fig-alt'),
        ("_part.qmd", "\\frac{b}{c}", "\\frac{b", "_part.qmd: TeX that cannot be read"),
        ("_part.qmd", "$x^2", "$x^{{< var p1.x >}}", "_part.qmd: a shortcode inside the formula"),
        ("_part.qmd", "tbl-p1-t}", "fig-p1-f}", '_part.qmd: the label "fig-p1-f" is also in _part.qmd'),
        ("_part.qmd", "(#sec-p1)", "(#sec-p2)", '_part.qmd: the reference "sec-p2" has no target'),
    ],
)
def test_a_fault_is_found_by_file_and_name(staged, file, old, new, fault):
    text = (staged / file).read_text()
    assert old in text
    (staged / file).write_text(text.replace(old, new, 1))
    with pytest.raises(RenderingError) as found:
        check_sources(staged)
    assert fault in str(found.value)


def test_a_claim_without_a_row_stops_the_rendering(staged):
    part = staged / "_part.qmd"
    part.write_text(part.read_text().replace('claim="p1-c"', 'claim="p1-d"'))
    with pytest.raises(RenderingError, match="p1-d"):
        render_with_pandoc(staged, "html", "2026-11-24")


def test_every_construct_is_rendered_in_html_as_quarto_prints_it(staged):
    text, page = plain(staged)
    for expected in (
        "Answer An answer with 10 −3 .",
        "Theorem\u00a01 (A name with",
        "Proof . By Equation\u00a01 , see Figure\u00a01 , Table\u00a01 and ( 1 ), ",
        "Listing\u00a01 , Theorem\u00a01 , Section\u00a01 and",
        "Figure\u00a01: A caption .",
        "Table\u00a01: A table.",
        "Listing\u00a01: A listing.",
        "(1)",
        "Its text.",
    ):
        assert expected.replace("\u00a0", " ") in text.replace("\u00a0", " "), expected
    for label in ("fig-p1-f", "tbl-p1-t", "eq-p1-e", "thm-p1-t", "lst-p1-l", "sec-p1", "p1-c"):
        assert page.count(f'id="{label}"') == 1, label
        assert f'href="#{label}"' in page
    assert 'alt="What is seen."' in page or "aria-label=" in page
    assert "<math" in page
    assert "{{<" not in page


def test_every_construct_is_rendered_in_an_archival_accessible_pdf(staged):
    document = render_with_pandoc(staged, "pdf", "2026-11-24")
    assert document.read_bytes().startswith(b"%PDF")


def test_rendering_twice_gives_the_same_bytes(staged):
    for format in ("html", "pdf"):
        first = render_with_pandoc(staged, format, "2026-11-24").read_bytes()
        assert render_with_pandoc(staged, format, "2026-11-24").read_bytes() == first


def claim_ids(text):
    return re.findall(r'\{\.claim claim="([^"]+)"\}', text)


def test_each_claim_is_carried_by_one_sentence_and_each_sentence_has_its_row(small_run):
    carried = [name for section in SECTIONS for name in claim_ids(section.read_text())]
    rows = (small_run.path / "results/claims.csv").read_text().splitlines()[1:]
    stated = {re.match(r"p\d-[a-z0-9-]+", row).group() for row in rows if re.match(r"p\d-", row)}
    assert set(carried) == stated


def test_a_finding_takes_its_sentence_from_the_data(small_run):
    claims = pd.read_csv(small_run.path / "results/claims.csv")
    text = "".join(section.read_text() for section in SECTIONS)
    for name in claims.loc[claims["kind"] == "finding", "claim"]:
        assert f'[{{{{< var claim.{name} >}}}}]{{.claim claim="{name}"}}' in text, name


NUMBER = re.compile(r"(?<![\w.{@#$\\^_-])\d[\d,.]*\d|(?<![\w.{@#$\\^_-])\d{2,}")


def prose(text):
    """The text of a section without formulas, shortcodes, code, attributes, links and comments."""
    for pattern in (
        r"```.*?```",
        r"<!--.*?-->",
        r"\$\$.*?\$\$",
        r"\$[^$]*\$",
        r"\{\{<.*?>\}\}",
        r"`[^`]*`",
        r"\{[#.][^}]*\}",
        r"\]\([^)]*\)",
        r"fig-alt=\"[^\"]*\"",
        r"\[@[^\]]*\]",
        r"@[\w-]+",
    ):
        text = re.sub(pattern, " ", text, flags=re.DOTALL)
    return text


@pytest.mark.parametrize("section", SECTIONS, ids=lambda path: path.stem)
def test_prose_types_no_result(section):
    typed = NUMBER.findall(prose(section.read_text()))
    assert not typed, typed


@pytest.mark.parametrize("spec", sorted(REPORT.glob("p*.yml")), ids=lambda path: path.stem)
def test_every_described_number_table_and_listing_is_used(spec):
    shown = yaml.safe_load(spec.read_text())
    text = "".join(path.read_text() for path in REPORT.glob("*.qmd"))
    for name in shown.get("numbers") or {}:
        assert re.search(rf"var {spec.stem}\.{re.escape(name)}\s", text), name
    for name in shown.get("tables") or {}:
        assert f"tables/{spec.stem}_{name}.md" in text, name
    for name in shown.get("listings") or {}:
        assert f"code/{spec.stem}_{name}.md" in text, name


def test_every_section_has_its_answer_box_of_at_most_sixty_words():
    assert len(SECTIONS) == 5
    for section in SECTIONS:
        boxes = re.findall(r"::: \{\.answer\}\n(.*?)\n:::", section.read_text(), flags=re.DOTALL)
        assert len(boxes) == 1, section
        words = re.sub(
            r"\$[^$]*\$", "x", re.sub(r"\{\{<.*?>\}\}", "x", re.sub(r"\{\.claim[^}]*\}", "", boxes[0]))
        ).split()
        assert len(words) <= 60, (section.name, len(words))


def test_every_reference_is_cited_and_has_a_doi_or_an_address():
    bibliography = (REPORT / "references.bib").read_text()
    text = "".join(path.read_text() for path in REPORT.glob("*.qmd"))
    for entry in re.split(r"\n(?=@)", bibliography.strip()):
        key = re.match(r"@\w+\{([^,]+),", entry).group(1)
        assert f"@{key}" in text, key
        assert re.search(r"\b(doi|url)\s*=", entry), key


def test_the_pdf_is_what_a_reader_expects(small_run):
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext is not installed")
    document = small_run.path / "results/report/solutions.pdf"
    text = subprocess.run(["pdftotext", "-layout", document, "-"], capture_output=True, text=True, check=True).stdout
    assert not re.search(r"\?@|\?var|\{\{<", text)
    for kind in ("Figure 1:", "Table 1:", "Theorem 1", "Listing 1:"):
        assert kind in text.replace("\u00a0", " "), kind
    fonts = subprocess.run(["pdffonts", document], capture_output=True, text=True, check=True).stdout.splitlines()[2:]
    assert fonts
    assert all(" yes " in line for line in fonts)  # embedded
    names = " ".join(fonts)
    for family in ("SourceSerifPro", "SourceSansPro", "STIXTwoMath"):
        assert family in names


def test_the_page_asks_no_host_for_anything(small_run):
    page = (small_run.path / "results/report/solutions.html").read_text()
    assert not re.search(r'<(?:script|link|img|iframe|source)\b[^>]*(?:src|href)="https?://', page)
    assert not re.search(r"url\(['\"]?https?://", page)


def test_variables_of_the_configuration_are_known(small_run):
    config = yaml.safe_load((PROJECT / "workflow/config.yaml").read_text())
    for section in SECTIONS:
        for path in re.findall(r"var config\.([\w.]+)", section.read_text()):
            looked_up(config, path)
