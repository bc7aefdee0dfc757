"""Show the page while the report is written: `make preview`, or this script with the arguments of the run.

Computes what is stale, lays the report out as the workflow does, and renders the page again whenever a source below
report/ changes: with Quarto's own preview where Quarto renders, else with the embedded engine. Ctrl-C ends it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

sys.path.insert(0, __file__.rpartition("/")[0])  # python -P and -I leave it out

from pipeline.project import project_files
from pipeline.rendering import SOURCE, RenderingError, alone_with_quarto, check_sources, render_with_pandoc, said
from report_render import lay_out, stage, with_hint

STAGE = Path(".snakemake/preview")
PAUSE = 0.5  # seconds between two looks at the sources


def compute(arguments):
    """Have Snakemake make all that the report shows, but not its documents; returns the exit code."""
    command = [sys.executable, "-m", "snakemake", "--cores", "all", *arguments]
    return subprocess.run([*command, "--omit-from", "report_html", "report_pdf"], check=False).returncode


def shown():
    """What the page shows of the results."""
    report, results = Path("results/report"), Path("results")
    found = [report.glob("_*"), report.glob("tables/*"), report.glob("code/*"), results.glob("p?/*.svg")]
    return [path for paths in [*found, results.glob("p?/*.md")] for path in paths]


def sources():
    """{source of the report: time of its last change}."""
    found = {}
    for path in (Path(name) for name in project_files() if name.startswith("report/")):
        with suppress(FileNotFoundError):  # deleted just now
            found[path] = path.stat().st_mtime_ns
    return found


def render(quarto, date):
    """Render the page, or print what is wrong with its sources; returns whether they are sound."""
    try:
        check_sources(STAGE)
        if quarto:
            (STAGE / SOURCE).touch()  # the one source that Quarto's preview watches
        else:
            render_with_pandoc(STAGE, "html", date)
            print(f"{time.strftime('%X')} {STAGE / 'solutions.html'} is rendered; reload it.", flush=True)
    except RenderingError as fault:
        print(with_hint(fault), flush=True)
        return False
    return True


def follow(arguments, seen):
    """Wait until a source changes, and lay it out anew; returns what ``sources`` says then."""
    while (now := sources()) == seen:
        time.sleep(PAUSE)
    changed = [path for path in now if now[path] != seen.get(path)]
    if any(path.suffix in (".yml", ".js") for path in changed) and compute(arguments) == 0:
        lay_out(STAGE, shown())
    for path in changed:
        with suppress(FileNotFoundError):
            lay_out(STAGE, [path])
    for path in seen.keys() - now:
        (STAGE / path.relative_to("report")).unlink(missing_ok=True)
    return now


@contextmanager
def quartos_preview():
    """Quarto's own preview of the staged project, until the context ends."""
    quarto = subprocess.Popen(
        ["quarto", "preview", SOURCE, "--to", "html", "--no-browser"],
        cwd=STAGE,
        env=alone_with_quarto(STAGE),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # with a group of its own: what it starts has to end with it
    )
    try:
        threading.Thread(target=tell, args=[quarto.stdout], daemon=True).start()
        yield
    finally:
        os.killpg(quarto.pid, signal.SIGTERM)
        quarto.wait()


def tell(lines):
    """Print what Quarto says, but not the document's metadata."""
    for line in lines:
        for part in said(line):
            print(part, flush=True)
    print("Quarto's preview has ended.", flush=True)


def preview(arguments):
    """Show the page until somebody interrupts; returns the exit code of the run if that fails."""
    seen = sources()
    if code := compute(arguments):
        return code
    shutil.rmtree(STAGE, ignore_errors=True)
    stage(STAGE, seen, shown(), [], web=True)
    front = json.loads((STAGE / "_metadata.yml").read_text(encoding="utf-8"))
    quarto, date = front["made"]["engine"].startswith("Quarto"), front["date"]
    print("The preview follows what changes below report/; Ctrl-C ends it.", flush=True)
    while not render(quarto, date):
        seen = follow(arguments, seen)
    with quartos_preview() if quarto else nullcontext():
        while True:
            seen = follow(arguments, seen)
            render(quarto, date)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # whatever ends it, Quarto's preview ends too
    try:
        sys.exit(preview(sys.argv[1:]))
    except KeyboardInterrupt:
        print("The preview is over.")
