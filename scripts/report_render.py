"""Render the report in one format, in a private folder, and move the finished document into place."""

import shutil
import sys
import tempfile
from pathlib import Path

from pipeline.files import DRAFT, written_whole
from pipeline.fonts import stage_fonts
from pipeline.jobs import job_log
from pipeline.project import untracked
from pipeline.rendering import RenderingError, check_sources, render_with_pandoc, render_with_quarto
from pipeline.words import some


def stage(folder, sources, shown, attached, web):
    """Lay the report's sources and the results it shows side by side, as the Quarto project that both engines read.

    sources: files below report/; shown: files below results/, or below results/report/; attached: the same, for the
    folder data/; web: for the HTML page.
    """
    lay_out(folder, [*sources, *shown])
    lay_out(folder / "data", attached)
    stage_fonts(folder / "fonts", web)


def lay_out(folder, files):
    """Copy files to where the project in ``folder`` has them: each without the first folders of its path."""
    for file in map(Path, files):
        base = next(base for base in ("report", "results/report", "results") if file.is_relative_to(base))
        copy = folder / file.relative_to(base)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def with_hint(fault):
    """What is wrong with the sources, in words, and which files of the report git was not told of."""
    unknown = untracked("report")
    hint = f"\nGit does not track {some(unknown)}: git add what belongs to the report." if unknown else ""
    return f"{fault}{hint}"


if __name__ == "__main__":
    with job_log(snakemake), tempfile.TemporaryDirectory(prefix=DRAFT, dir="results/report") as place:
        folder = Path(place)
        shown = [*snakemake.input.parts, *snakemake.input.shown]
        attached = snakemake.input.get("attached", [])
        stage(folder, snakemake.input.sources, shown, attached, web=snakemake.params.format == "html")
        print(f"Rendering {snakemake.params.format} with {snakemake.params.engine}.", flush=True)
        quarto = snakemake.params.engine.startswith("quarto")
        render = render_with_quarto if quarto else render_with_pandoc
        try:
            check_sources(folder)
            document = render(folder, snakemake.params.format, snakemake.params.date)
        except RenderingError as fault:
            sys.exit(with_hint(fault))
        with written_whole(snakemake.output.document) as draft:
            shutil.copyfile(document, draft)
