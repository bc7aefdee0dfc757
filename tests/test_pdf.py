"""The PDF as an archivist, a blind reader and a typesetter see it: standards, tags, metadata, files, fonts, column."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import yaml
from pypdf import PdfReader, PdfWriter
from pypdf.generic import RectangleObject

pytestmark = pytest.mark.xdist_group("runs")  # they share whole runs of the workflow

FAMILIES = {"SourceSerifPro", "SourceSansPro", "STIXTwoMath", "DejaVuSansMono"}
SIDE = 36 * 72 / 25.4  # the margin, in points
HANGING = 3  # points by which punctuation may hang into the margin
AROUND = 300  # points added on each side of a page, to see what lies outside


class Page(HTMLParser):
    """The headings of a page as (level, text), and the alternative texts of its pictures."""

    def __init__(self, text):
        super().__init__()
        self.headings, self.alternatives, self.level = [], set(), None
        self.feed(text.split("<main", 1)[1])

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if re.fullmatch("h[1-6]", tag):
            self.level = int(tag[1])
            self.headings.append((self.level, ""))
        if tag == "img" or attrs.get("role") == "img":
            self.alternatives.add(one_line(attrs.get("alt") or attrs.get("aria-label") or ""))

    def handle_endtag(self, tag):
        if re.fullmatch("h[1-6]", tag):
            self.headings[-1] = (self.level, one_line(self.headings[-1][1]))
            self.level = None

    def handle_data(self, data):
        if self.level:
            self.headings[-1] = (self.level, self.headings[-1][1] + data)


@pytest.fixture(scope="module")
def report(default_report):
    return default_report.path / "results/report"


@pytest.fixture(scope="module")
def pdf(report):
    return PdfReader(report / "solutions.pdf")


@pytest.fixture(scope="module")
def page(report):
    return Page((report / "solutions.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def xmp(pdf):
    """The XMP metadata: every value by its prefixed name."""
    packet = pdf.trailer["/Root"]["/Metadata"].get_data().decode().replace("\ufeff", "")
    spaces = dict(re.findall(r'xmlns:(\w+)="([^"]+)"', packet))
    prefixes = {address: prefix for prefix, address in spaces.items()}
    values = {}
    for element in ElementTree.fromstring(packet).iter():
        space, name = element.tag[1:].split("}")
        values[f"{prefixes[space]}:{name}"] = "".join(element.itertext())
    return values


def one_line(text):
    return " ".join(text.split())


def tagged(node, kind):
    """The structure elements of one kind below a node of the structure tree, in order."""
    node = node.get_object()
    if isinstance(node, list):
        return [element for child in node for element in tagged(child, kind)]
    if not isinstance(node, dict):
        return []
    here = [node] if node.get("/S") == kind else []
    return here + (tagged(node["/K"], kind) if "/K" in node else [])


def untold(pdf, kind):
    """How many elements of one kind have no alternative text."""
    return sum(
        not str(element.get("/Alt", "")).strip() for element in tagged(pdf.trailer["/Root"]["/StructTreeRoot"], kind)
    )


def bookmarks(outline, level=1):
    """The bookmarks as (level, title)."""
    found = []
    for entry in outline:
        found += bookmarks(entry, level + 1) if isinstance(entry, list) else [(level, one_line(entry.title))]
    return found


def outside(pdf, folder):
    """The words that stick out of the column, as (page, left, right, word)."""
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext is not installed")
    writer = PdfWriter(clone_from=pdf)
    right_edges = [float(page.mediabox.width) - SIDE for page in writer.pages]
    for page in writer.pages:  # poppler drops what lies beyond the page, so that the page has to grow first
        left, bottom, right, top = map(float, page.mediabox)
        page.mediabox = page.cropbox = RectangleObject([left - AROUND, bottom - AROUND, right + AROUND, top + AROUND])
    writer.write(folder / "larger.pdf")
    command = ["pdftotext", "-bbox", folder / "larger.pdf", "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = []
    for number, (body, edge) in enumerate(zip(text.split("<page ")[1:], right_edges, strict=True), start=1):
        for left, right, word in re.findall(r'xMin="([-\d.]+)".* xMax="([-\d.]+)".*>(.*)</word>', body):
            left, right = float(left) - AROUND, float(right) - AROUND
            if left < SIDE - HANGING or right > edge + HANGING:
                found.append((number, left, right, word))
    return found


def test_it_is_archival_and_accessible(pdf, xmp):
    root = pdf.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] == True  # noqa: E712 (an object of the PDF)
    assert xmp["pdf:PDFVersion"] == "1.7"
    assert (xmp["pdfaid:part"], xmp["pdfaid:conformance"]) == ("3", "A")
    assert xmp["pdfuaid:part"] == "1"


def test_its_metadata_say_what_it_is(pdf, xmp, report):
    project = report.parent.parent
    config = yaml.safe_load((project / "workflow/config.yaml").read_text(encoding="utf-8"))["report"]
    front = next(yaml.safe_load_all((project / "report/solutions.qmd").read_text(encoding="utf-8")))
    assert pdf.trailer["/Root"]["/Lang"] == xmp["dc:language"] == front["lang"]
    assert pdf.trailer["/Root"]["/ViewerPreferences"]["/DisplayDocTitle"] == True  # noqa: E712
    assert pdf.metadata.title == xmp["dc:title"] == config["title"]
    assert pdf.metadata.author == xmp["dc:creator"] == config["author"]
    assert pdf.metadata["/Keywords"] == xmp["pdf:Keywords"] == ", ".join(front["keywords"])
    assert pdf.metadata.creation_date.date().isoformat() == config["date"]


def test_its_bookmarks_are_the_headings_of_the_page(pdf, page):
    assert page.headings
    assert bookmarks(pdf.outline) == page.headings


@pytest.mark.parametrize("kind", ["/Figure", "/Formula"])
def test_every_picture_and_every_formula_has_an_alternative_text(pdf, kind):
    assert tagged(pdf.trailer["/Root"]["/StructTreeRoot"], kind)
    assert untold(pdf, kind) == 0


def test_its_pictures_say_what_those_of_the_page_say(pdf, page):
    figures = tagged(pdf.trailer["/Root"]["/StructTreeRoot"], "/Figure")
    assert {one_line(figure["/Alt"]) for figure in figures} <= page.alternatives


def test_every_link_says_where_it_leads_and_every_table_has_heads(pdf):
    links = [link.get_object() for page in pdf.pages for link in page.get("/Annots", [])]
    assert links
    assert all(str(link.get("/Contents", "")).strip() for link in links)
    tables = tagged(pdf.trailer["/Root"]["/StructTreeRoot"], "/Table")
    assert tables
    assert all(tagged(table, "/TH") for table in tables)


def test_it_carries_every_table_and_the_configuration(pdf, report):
    results = report.parent
    beneath = {results / "p5/fits.csv", results / "p5/parts/checks.csv"}  # which the tables rest on
    tables = set(results.rglob("*.csv")) - beneath
    kept = {"data/" + path.relative_to(results).as_posix(): path for path in tables}
    carried = {file.name: file for file in pdf.attachment_list}
    assert set(kept) | {"data/config.yaml"} <= set(carried)
    for name, file in carried.items():
        path = kept.get(name) or report / name.removeprefix("data/")
        assert file.content == path.read_bytes(), name
        assert file.associated_file_relationship == "/Source", name
        assert file.description, name
    assert len(pdf.trailer["/Root"]["/AF"]) == len(carried)


def test_the_configuration_that_it_carries_is_the_one_that_ran(pdf, report):
    (carried,) = [file for file in pdf.attachment_list if file.name == "data/config.yaml"]
    config = yaml.safe_load((report.parent.parent / "workflow/config.yaml").read_text(encoding="utf-8"))
    config["report"]["engine"] = "quarto" if "Made with Quarto" in pdf.metadata["/Subject"] else "pandoc"
    assert yaml.safe_load(carried.content) == config


def test_its_fonts_are_embedded_and_no_other_had_to_help_out(report):
    if not shutil.which("pdffonts"):
        pytest.skip("pdffonts is not installed")
    command = ["pdffonts", report / "solutions.pdf"]
    rows = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[2:]
    assert all(re.search(r" yes yes yes +\d+ +\d+$", row) for row in rows)  # embedded, a subset, with Unicode
    assert {re.match(r"[A-Z]{6}\+(\w+)", row)[1] for row in rows} == FAMILIES


def test_no_word_sticks_out_of_its_column(pdf, tmp_path):
    assert outside(pdf, tmp_path) == []


def test_planted_faults_are_found(report, tmp_path):
    writer = PdfWriter(clone_from=report / "solutions.pdf")
    tree = writer.root_object["/StructTreeRoot"]
    del tagged(tree, "/Formula")[0]["/Alt"]
    writer.pages[0].mediabox.right -= SIDE
    writer.write(tmp_path / "faulty.pdf")
    faulty = PdfReader(tmp_path / "faulty.pdf")
    assert untold(faulty, "/Formula") == 1
    assert {number for number, *_ in outside(faulty, tmp_path)} == {1}
