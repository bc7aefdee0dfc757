"""Where the fonts are: in installed packages. Apart from fonts.py, so that no figure depends on what the page needs."""

from importlib.util import find_spec
from pathlib import Path


def packaged(package, inside, face):
    """The path of a font file inside an installed package, which is not imported."""
    return Path(find_spec(package).origin).parent / inside / f"{face}.ttf"
