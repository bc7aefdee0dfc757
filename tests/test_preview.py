"""The preview: it follows what is written, tells what is wrong, goes on, and ends by Ctrl-C."""

import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from conftest import ENGINES, SMALL, need

pytestmark = pytest.mark.xdist_group("runs")  # they share a whole run of the workflow
PAGE = ".snakemake/preview/solutions.html"


class Preview:
    """The running program, what it has printed and the page that it shows."""

    def __init__(self, copy, engine):
        self.copy, self.page, self.log = copy, copy.path / PAGE, copy.path / "preview.log"
        with open(self.log, "w") as log:
            command = [sys.executable, "scripts/preview.py", *SMALL, "--config", f"report={{engine: {engine}}}"]
            self.process = subprocess.Popen(
                command,
                cwd=copy.path,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored if the tests run with &
            )

    def printed(self):
        return self.log.read_text(encoding="utf-8")

    def shows(self, words):
        return self.page.exists() and words in self.page.read_text(encoding="utf-8")

    def wait(self, condition):
        """Until the condition holds; the program must go on meanwhile."""
        while not condition():
            assert self.process.poll() is None, self.printed()
            time.sleep(0.2)

    def end(self, number=signal.SIGINT):
        """Ctrl-C, or another signal; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait()


@pytest.fixture
def preview(small_run, tmp_path):
    """Starts the preview of an engine in a clone of the small run, whose report it need not compute anew."""
    started = []

    def start(engine):
        need(engine)
        started.append(Preview(small_run.clone(tmp_path / "project"), engine))
        return started[0]

    yield start
    for program in started:
        if program.process.poll() is None:
            program.end()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_page_follows_the_sources_until_ctrl_c(preview, engine):
    shown = preview(engine)
    opening = shown.copy.path / "report/_opening.qmd"
    text = opening.read_text(encoding="utf-8")
    ready = {"pandoc": f"{PAGE} is rendered", "quarto": "Browse at http://localhost:"}[engine]
    shown.wait(lambda: ready in shown.printed())
    opening.write_text(f"{text}\nA zebra.\n", encoding="utf-8")
    shown.wait(lambda: shown.shows("A zebra."))
    opening.write_text(f"{text}\nSee @fig-p9-none.\n", encoding="utf-8")
    fault = '_opening.qmd: the reference "fig-p9-none" has no target'
    shown.wait(lambda: fault in shown.printed())
    assert shown.shows("A zebra.")
    opening.write_text(f"{text}\n{{{{< include _new.qmd >}}}}\n", encoding="utf-8")
    shown.wait(lambda: "_new.qmd" in shown.printed())
    (opening.parent / "_new.qmd").write_text("A gnu.\n", encoding="utf-8")
    shown.wait(lambda: shown.shows("A gnu."))
    (opening.parent / "_new.qmd").unlink()
    opening.write_text(text, encoding="utf-8")
    shown.copy.edit("report/p4.yml", 'caption: "', 'caption: "Otter. ')
    shown.wait(lambda: shown.shows("Otter.") and not shown.shows("A gnu."))
    folders = {path.name for path in (shown.copy.path / "report").iterdir() if path.is_dir()}
    assert shown.end() == 0
    assert "Traceback" not in shown.printed()
    assert folders == {"engine"}  # nothing is written into the sources


def test_a_run_that_fails_ends_the_preview(preview):
    shown = preview("none")
    assert shown.process.wait() != 0
    assert "report.engine" in shown.printed()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_its_end_ends_what_quarto_has_started(preview, number):
    shown = preview("quarto")
    shown.wait(lambda: "Browse at http://localhost:" in shown.printed())
    port = int(re.search(r"http://localhost:(\d+)/", shown.printed())[1])
    socket.create_connection(("127.0.0.1", port)).close()
    assert shown.end(number) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
