"""Compare the words of two renderings of the report, HTML or PDF, for whoever has both engines.

    python scripts/compare_renderings.py FIRST SECOND

Prints the first differences as a unified diff. Exit code: 0 equal, 1 different, 2 bad input.

Two pages are compared word by word in their order, formulas included. Where a PDF takes part, floats and footnotes
stand elsewhere and lines break inside words: words and numbers are then counted, without their order, hyphens and
punctuation, and between a page and a PDF also without formulas and their numbers. What differs by design is left out:
whatever has the class ``engine``, the sum of the configuration, which names the engine, the contents, running heads and
page numbers, heads of tables at the top of a page if it may be repeating them, the places to which a row of the
appendix leads back, and what the reader can move.
"""

import difflib
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

SHOWN = 20  # differences
AROUND = 6  # words of context on either side
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
INLINE = {"a", "b", "cite", "code", "em", "i", "q", "small", "span", "strong", "sub", "sup", "time", "u"}
SILENT_TAGS = {"annotation", "annotation-xml", "head", "nav", "noscript", "script", "style", "svg", "template"}
SILENT_CLASSES = {"engine", "skip", "uses"}
MARGINS = 0.085, 0.9  # of the page's height: what stands above and below is a running head or a page number
LEADERS = ". . . ."
ONE_ENGINE = r"Rendered\s+by\s.+?\.(?=\s+[A-Z])"
CONFIGS_SUM = re.compile(r"(config\.yaml,?(?:\s+has\s+the\s+sum)?\s+)[0-9a-f]{64}\b")
PLACES = r"\bp\.\s*\d+(?:,\s*\d+)*"
WORD = re.compile(r"[^\W\d_]+|−?\d[\d.,]*\d|−?\d")


class BadInputError(ValueError):
    """A file that cannot be compared; the message is one sentence."""


class Page(HTMLParser):
    """The text of an HTML page, blocks separated by spaces, items of lists with their numbers."""

    def __init__(self, formulas):
        super().__init__()
        self.silent_tags = SILENT_TAGS if formulas else SILENT_TAGS | {"math"}
        self.silent_classes = SILENT_CLASSES if formulas else SILENT_CLASSES | {"number"}
        self.text, self.depth, self.lists = [], 0, []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        silent = (
            tag in self.silent_tags
            or "hidden" in attributes
            or attributes.get("role") == "doc-backlink"
            or self.silent_classes & set((attributes.get("class") or "").split())
        )
        if tag not in VOID and (self.depth or silent):
            self.depth += 1
        if tag not in INLINE:
            self.text.append(" ")
        if tag in ("ol", "ul"):
            self.lists.append([tag, attributes.get("type"), int(attributes.get("start", 1))])
        if tag == "li" and self.lists and self.lists[-1][0] == "ol" and not self.depth:
            self.text.append(f"{_numeral(*self.lists[-1][1:])}. ")
            self.lists[-1][2] += 1

    def handle_endtag(self, tag):
        self.depth = max(0, self.depth - 1)
        if tag not in INLINE:
            self.text.append(" ")
        if tag in ("ol", "ul"):
            self.lists.pop()

    def handle_data(self, data):
        if not self.depth:
            self.text.append(data)


class Paper(HTMLParser):
    """The text of a PDF, from what ``pdftohtml -xml`` prints: pieces in one font, with their place on the page."""

    def __init__(self, formulas):
        super().__init__()
        self.formulas, self.text, self.fonts = formulas, [], {}
        self.height, self.piece = 1, None
        self.heads, self.top, self.bold, self.end = set(), True, False, (0, 0)
        self.again = []  # heads at the top of a page that were there before: repeated, or of another table like it

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "page":
            self.height, self.top = int(attributes["height"]), True
        elif tag == "fontspec":
            self.fonts[attributes["id"]] = attributes["family"]
        elif tag == "text":
            top, left, width = (int(attributes[name]) for name in ("top", "left", "width"))
            family = self.fonts[attributes["font"]]
            self.bold = "Sans" in family and "Semibold" in family
            inside = MARGINS[0] < top / self.height < MARGINS[1]
            self.piece = [] if inside and (self.formulas or "Math" not in family) else None
            touching = abs(left - self.end[0]) <= 1 and abs(top - self.end[1]) <= int(attributes["height"])
            self.gap, self.end = "" if touching else " ", (left + width, top)

    def handle_endtag(self, tag):
        if tag != "text" or not self.piece:
            return
        piece = "".join(self.piece)
        self.piece, self.top = None, self.top and self.bold
        if self.top and piece in self.heads:
            self.again.append(piece)
        elif LEADERS not in piece:
            broken = self.text and self.text[-1].endswith(("-", "\u00ad"))
            self.text += ["" if broken else self.gap, piece]
        if self.bold:
            self.heads.add(piece)  # the head of a table is said again at the top of each page

    def handle_data(self, data):
        if self.piece is not None:
            self.piece.append(data)


def differences(first, second):
    """The first differences of two renderings as lines of a unified diff; none if they say the same.

    first, second: paths of an HTML page or a PDF.  Raises BadInputError.
    """
    names = [str(first), str(second)]
    kinds = {Path(name).suffix.lower() for name in names}
    texts, heads = zip(*(extracted(name, formulas=len(kinds) == 1) for name in names), strict=True)
    texts = [CONFIGS_SUM.sub(r"\1", text) for text in texts]
    if kinds == {".html"}:
        before, after = (re.split(r"(?<=[.:;]) ", " ".join(text.split())) for text in texts)
        return list(difflib.unified_diff(before, after, *names, n=1, lineterm=""))[: 3 * SHOWN]
    words = [counted(text) for text in texts]
    counts = [Counter(own) for own in words]
    uncertain = [Counter(counted(own)) for own in heads]
    surplus = counts[0] - counts[1] - uncertain[1], counts[1] - counts[0] - uncertain[0]
    lines = [
        f"{sign}{line}" for sign, own, more in zip("-+", words, surplus, strict=True) for line in places(own, more)
    ]
    return [f"--- {names[0]}", f"+++ {names[1]}", *lines] if lines else []


def extracted(name, formulas):
    """(text, heads of tables that may be repeated ones) of an HTML page or a PDF; formulas: whether to keep them."""
    path = Path(name)
    if not path.is_file():
        raise BadInputError(f"There is no file {name}.")
    content = path.read_bytes()
    if path.suffix.lower() == ".pdf" and content.startswith(b"%PDF"):
        parser = Paper(formulas)
        parser.feed(_from_pdf(name))
        return re.sub(rf"{ONE_ENGINE}|{PLACES}", " ", "".join(parser.text)), " ".join(parser.again)
    if path.suffix.lower() == ".html" and b"<html" in content:
        parser = Page(formulas)
        parser.feed(content.decode("utf-8"))
        return "".join(parser.text), ""
    raise BadInputError(f"{name} is neither an HTML page nor a PDF.")


def counted(text):
    """The words and numbers of a text, without hyphens, ligatures and punctuation."""
    return WORD.findall(re.sub(r"[-\u00ad\u2010\u2011]", "", unicodedata.normalize("NFKC", text)))


def places(words, surplus):
    """Where the surplus words stand, with the words around them; the last occurrences of words that are too many."""
    left, lines = Counter(surplus), []
    for index in reversed(range(len(words))):
        if left[words[index]]:
            left[words[index]] -= 1
            around = words[max(0, index - AROUND) : index + AROUND + 1]
            lines.append(f"{words[index]}: {' '.join(around)}")
    return lines[::-1][:SHOWN]


def _from_pdf(name):
    try:
        command = ["pdftohtml", "-xml", "-i", "-fontfullname", "-stdout", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BadInputError("To read a PDF, pdftohtml is needed, from poppler-utils.") from None
    if done.returncode or "<page" not in done.stdout:
        raise BadInputError(f"{name} cannot be read as a PDF.")
    return done.stdout


def _numeral(kind, number):
    if kind == "i":
        return ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")[number - 1]
    return chr(ord("a") + number - 1) if kind == "a" else number


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(print("Give the paths of two renderings, HTML or PDF.", file=sys.stderr) or 2)
    try:
        found = differences(*sys.argv[1:])
    except BadInputError as fault:
        sys.exit(print(fault, file=sys.stderr) or 2)
    print("\n".join(found) if found else "Both renderings say the same.")
    sys.exit(1 if found else 0)
