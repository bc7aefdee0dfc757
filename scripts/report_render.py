"""Render the report in one format, in a private folder, and move the finished document into place."""

import shutil
import sys
import tempfile
from pathlib import Path

from pipeline.fonts import stage_fonts
from pipeline.jobs import job_log
from pipeline.rendering import RenderingError, check_sources, render_with_pandoc, render_with_quarto
from pipeline.tables import written_whole


def stage(folder, sources, results, web):
    """Lay the report's sources and the results it shows side by side, as the Quarto project that both engines read.

    sources: files below report/; results: files below results/, or below results/report/; web: for the HTML page.
    """
    for base, files in (("report", sources), ("results", results)):
        for file in map(Path, files):
            inside = file.relative_to("results/report" if file.is_relative_to("results/report") else base)
            (folder / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / inside)
    stage_fonts(folder / "fonts", web)


if __name__ == "__main__":
    with job_log(snakemake), tempfile.TemporaryDirectory(prefix=".rendering-", dir="results/report") as place:
        folder = Path(place)
        shown = [*snakemake.input.parts, *snakemake.input.figures]
        stage(folder, snakemake.input.sources, shown, web=snakemake.params.format == "html")
        print(f"Rendering {snakemake.params.format} with {snakemake.params.engine}.", flush=True)
        quarto = snakemake.params.engine.startswith("quarto")
        render = render_with_quarto if quarto else render_with_pandoc
        try:
            check_sources(folder)
            document = render(folder, snakemake.params.format, snakemake.params.date)
        except RenderingError as fault:
            sys.exit(str(fault))
        with written_whole(snakemake.output.document) as draft:
            shutil.copyfile(document, draft)
