"""The report's fonts, from pinned packages: as files for Typst, as WOFF2 subsets for the HTML page."""

import shutil

import brotli  # noqa: F401  (fontTools compresses WOFF2 with it: named here, its version counts)
from fontTools import subset
from fontTools.ttLib import TTFont

from pipeline.font_files import packaged

SERIF = [f"SourceSerifPro-{face}" for face in ("Regular", "It", "Semibold")]
SANS = [f"SourceSansPro-{face}" for face in ("Regular", "It", "Semibold")]
FILES = [
    *(("font_source_serif_pro", "files", face) for face in SERIF),
    *(("font_source_sans_pro", "files", face) for face in SANS),
    ("ziamath", "fonts", "STIXTwoMath-Regular"),
]
# Latin, Greek, punctuation, super- and subscripts, arrows, operators, brackets, check marks, mathematical letters.
RANGES = [(0x20, 0x17F), (0x370, 0x3FF), (0x2000, 0x23FF), (0x2713, 0x2717), (0x27E0, 0x27EF), (0x1D400, 0x1D7FF)]
FEATURES = ["kern", "liga", "tnum", "lnum", "ccmp", "locl", "mark", "mkmk", "ssty", "dtls"]


def stage_fonts(folder, web):
    """Copy the fonts to ``folder``, which is made; ``web`` adds WOFF2 subsets, which only the HTML page needs."""
    folder.mkdir(parents=True)
    for package, inside, face in FILES:
        font = shutil.copyfile(packaged(package, inside, face), folder / f"{face}.ttf")
        if web:
            _write_subset(font)


def _write_subset(path):
    """Write the WOFF2 subset of a font beside it; equal input gives equal bytes."""
    options = subset.Options(flavor="woff2", layout_features=FEATURES)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[code for low, high in RANGES for code in range(low, high + 1)])
    font = TTFont(path, recalcTimestamp=False)
    subsetter.subset(font)
    subset.save_font(font, str(path.with_suffix(".woff2")), options)
