"""An unpacked archive: its sums are checked, its results believed, and all of it made again and compared."""

import csv
import io
import os
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import typst
from hypothesis import given, settings
from hypothesis import strategies as st

import rebuild
from conftest import PROJECT, Copy
from pipeline.archive import ArchiveError
from pipeline.jobs import claimed
from pipeline.sums import SUMS, read_sums, sha256, sums_text

together = pytest.mark.xdist_group("runs")  # they share a whole run of the workflow
some = settings(max_examples=60)
LEAF = ["--config", "dropout={p: 0.3}"]


# The comparison.


def compared(folder, here, rebuilt, kind):
    """The verdict on two contents as files of a kind, in both orders."""
    first, second = folder / f"here{kind}", folder / f"rebuilt{kind}"
    for path, content in ((first, here), (second, rebuilt)):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    verdict, where = rebuild.compare(first, second)
    assert rebuild.compare(second, first)[0] == verdict  # who is called rebuilt does not matter
    assert (verdict == rebuild.IDENTICAL) == (first.read_bytes() == second.read_bytes())
    return verdict, where


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pair")


numbers = st.builds(
    lambda digits, exponent, sign: f"{sign}{digits[0]}.{digits[1:]}e{exponent}",
    *(st.integers(10**5, 10**6 - 1).map(str), st.integers(-30, 30), st.sampled_from(["", "-", "−"])),
)
words = st.text(st.characters(codec="utf-8"), max_size=6)
texts = st.lists(st.one_of(words, numbers, st.sampled_from([" ", "\n", "7", ",", "0.5", "p5"])), max_size=12).map(
    "".join
)


@some
@given(texts, texts, st.sampled_from([".md", ".csv", ".svg", ".txt", ".log", ".bin"]))
def test_any_two_contents_get_the_same_verdict_in_both_orders(folder, here, rebuilt, kind):
    verdict, where = compared(folder, here, rebuilt, kind)
    assert bool(where) == (verdict == rebuild.DIFFERENT)
    assert compared(folder, here, here, kind) == (rebuild.IDENTICAL, "")
    if kind not in rebuild.WITH_NUMBERS:
        assert verdict != rebuild.EQUAL


@some
@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(1, 9))
def test_the_first_differing_byte_is_that_of_a_plain_search(folder, here, rebuilt, block):
    differing = [
        place for place in range(max(len(here), len(rebuilt))) if here[place : place + 1] != rebuilt[place : place + 1]
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rebuild, "BLOCK", block)
        _, where = compared(folder, here, rebuilt, ".bin")
    assert where == (f"byte {differing[0]}" if differing else "")


def unit(number):
    """One unit of the sixth significant digit of a positive rational number."""
    exponent = 0
    while number >= Fraction(10) ** (exponent + 1):
        exponent += 1
    while number < Fraction(10) ** exponent:
        exponent -= 1
    return Fraction(10) ** (exponent - 5)


@settings(max_examples=200)
@given(numbers, st.integers(-25, 25), numbers)
def test_numbers_agree_up_to_one_unit_of_the_sixth_digit(old, tenths, unrelated):
    exact = Fraction(old.replace("−", "-"))
    near = exact + Fraction(tenths, 10) * unit(abs(exact))
    near_text = f"{float(near):.17e}"
    for new in (near_text, unrelated):
        other = Fraction(new.replace("−", "-"))
        larger = max(abs(exact), abs(other))
        assert rebuild.agree(old, new) == (abs(exact - other) <= unit(larger)) == rebuild.agree(new, old)


def as_csv(rows):
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()


@some
@given(st.data())
def test_a_flipped_digit_of_a_table_is_located_and_a_last_digit_forgiven(folder, data):
    width, height = data.draw(st.integers(2, 4)), data.draw(st.integers(1, 8))
    names = [f"column_{k}" for k in range(width - 1)] + ["statement"]
    cell = st.integers(10**5 + 1, 10**6 - 2).map(lambda digits: f"0.{digits}")
    note = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=5).map(lambda text: f"{text} a")
    rows = [[*(data.draw(cell) for _ in names[1:]), data.draw(note)] for _ in range(height)]
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 2))
    old = rows[row][column]
    place = data.draw(st.integers(2, 7))  # of the six digits after 0.
    digit = int(old[place])
    new = f"{old[:place]}{digit + 1 if digit < 9 else digit - 1}{old[place + 1 :]}"
    other = [[new if (i, j) == (row, column) else value for j, value in enumerate(line)] for i, line in enumerate(rows)]
    verdict, where = compared(folder, as_csv([names, *rows]), as_csv([names, *other]), ".csv")
    if place == 7:
        assert (verdict, where) == (rebuild.EQUAL, "")
    else:
        assert verdict == rebuild.DIFFERENT
        assert where == f"row {row + 1}, column {names[column]}: '{old}' here, '{new}' rebuilt"


@pytest.mark.parametrize(
    ("kind", "here", "rebuilt", "where"),
    [
        (".csv", "a,b\n1,2\n", "a,b\n1,2\n3,4\n", "row 2, column a: nothing here, '3' rebuilt"),
        (".csv", "a,b\n1,2\n", "a,c\n1,2\n", "the header, column b: 'b' here, 'c' rebuilt"),
        (".csv", 'a\n"x"\n', "a\nx\n", """line 2: '"x"\\n' here, 'x\\n' rebuilt"""),
        (".csv", "a\n1\n", "a\r\n1\r\n", "line 1: 'a\\n' here, 'a\\r\\n' rebuilt"),
        (".csv", "a\n1\n", b"a\n\xff\n", "row 1, column a: '1' here, '\\\\xff' rebuilt"),
        (".md", "one 1\ntwo 2\n", "one 1\ntwo 3\n", "line 2: 'two 2\\n' here, 'two 3\\n' rebuilt"),
        (".md", "one\n", "one\ntwo\n", "line 2 is only in what was rebuilt: 'two\\n'"),
        (".md", "torch 2.13.0", "torch 2.13.1", "line 1: 'torch 2.13.0' here, 'torch 2.13.1' rebuilt"),
        (".md", f"{'1f' * 32}  a.csv", f"{'2f' * 32}  a.csv", f"line 1: '{'1f' * 15}…' here, '{'2f' * 15}…' rebuilt"),
        (".txt", "94.0000001", "94.0000002", "line 1: '94.0000001' here, '94.0000002' rebuilt"),
        (".woff2", b"\0\1\2", b"\0\1\3", "byte 2"),
    ],
)
def test_what_differs_is_named_with_both_values(tmp_path, kind, here, rebuilt, where):
    assert compared(tmp_path, here, rebuilt, kind) == ("different", where)


def test_a_long_line_is_shown_around_its_first_difference(tmp_path):
    here, rebuilt_ = (f"{'x ' * 5000}1.00000 {'y ' * 5000}{value}{' z' * 5000}" for value in ("1.00000", "2"))
    rebuilt_ = rebuilt_.replace("1.00000", "1.00001", 1)  # forgiven, hence not what is shown
    _, where = compared(tmp_path, here, rebuilt_, ".html")
    assert re.fullmatch(r"line 1: '….*y 1.00000 z.*…' here, '….*y 2 z.*…' rebuilt", where)


@pytest.mark.parametrize("here", ["1e-3 of 2", "0.00100001 of 2.0", "+0.001 of 2.00001"])
def test_the_form_of_a_number_does_not_count(tmp_path, here):
    assert compared(tmp_path, here, "0.001 of 2", ".md") == (rebuild.EQUAL, "")


def test_pdfs_are_compared_by_page_else_by_byte(tmp_path):
    first, second = (typst.compile(b"one\n#pagebreak()\n" + text, timestamp=0) for text in (b"two", b"2"))
    assert compared(tmp_path, first, second, ".pdf") == (rebuild.DIFFERENT, "page 2")
    later = typst.compile(b"one\n#pagebreak()\ntwo", timestamp=10**9)
    assert re.fullmatch(r"byte \d+", compared(tmp_path, first, later, ".pdf")[1])
    assert re.fullmatch(r"byte \d+", compared(tmp_path, first, b"%PDF no more", ".pdf")[1])


def test_a_missing_file_is_named(tmp_path):
    (tmp_path / "here").write_text("x")
    verdict = rebuild.compare(tmp_path / "here", tmp_path / "rebuilt")
    assert verdict == (rebuild.MISSING, f"there is no {tmp_path / 'rebuilt'}")


# The sums, with standard tools alone.


@pytest.fixture
def sealed(tmp_path):
    """A folder with three files and their sums, and the means to check them."""
    folder = tmp_path / "an archive für alle"
    (folder / "scripts").mkdir(parents=True)
    (folder / "results/p1").mkdir(parents=True)
    shutil.copy(PROJECT / "Makefile", folder)
    shutil.copy(PROJECT / "scripts/verify.sh", folder / "scripts")
    (folder / "results/p1/table.csv").write_text("a,b\n1,2\n")
    names = ["Makefile", "results/p1/table.csv", "scripts/verify.sh"]
    (folder / SUMS).write_text(sums_text({name: sha256(folder / name) for name in names}))
    return folder


def verified(folder, path=os.defpath):
    """(exit code, what is printed) of ``make verify`` where no Python of this environment is found."""
    command = [shutil.which("make"), "verify"]
    done = subprocess.run(command, cwd=folder, env={"PATH": path}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_an_archive_as_it_was_is_verified(sealed):
    (sealed / "results/p1/more.csv").write_text("mine")
    assert verified(sealed) == (0, "All 3 files are as they were archived.\n")
    assert not (sealed / ".venv").exists()


def test_a_flipped_byte_and_a_missing_file_are_named(sealed):
    (sealed / "results/p1/table.csv").write_text("a,b\n1,3\n")
    code, printed = verified(sealed)
    assert code != 0
    assert "results/p1/table.csv: FAILED\n" in printed
    assert "2 of 3 files are as they were archived" in printed
    (sealed / "results/p1/table.csv").unlink()
    code, printed = verified(sealed)
    assert code != 0
    assert "results/p1/table.csv: FAILED open or read\n" in printed


@pytest.mark.parametrize("place", [0, 5, 63, 64, 65, 70])
def test_a_flipped_byte_of_the_sums_themselves_is_found(sealed, place):
    sums = bytearray((sealed / SUMS).read_bytes())
    sums[place] ^= 1
    (sealed / SUMS).write_bytes(sums)
    code, printed = verified(sealed)
    assert code != 0
    assert re.search("^[02] of 3 files are as they were archived", printed, re.MULTILINE)


@pytest.mark.parametrize("name", ["/etc/hostname", "../x", "results/../../x", ".."])
def test_sums_of_files_outside_the_folder_are_refused(sealed, name):
    with open(sealed / SUMS, "a") as sums:
        sums.write(f"{'0' * 64}  {name}\n")
    code, printed = verified(sealed)
    assert code != 0
    assert printed.startswith("SHA256SUMS names a file outside this folder; do not use this archive.\n")


def test_without_sums_nothing_is_verified(sealed):
    (sealed / SUMS).write_text("")
    assert verified(sealed)[0] != 0
    (sealed / SUMS).unlink()
    code, printed = verified(sealed)
    assert code != 0
    assert "There is no SHA256SUMS here: it lies in an unpacked archive" in printed


def test_where_there_is_no_sha256sum_shasum_does(sealed, tmp_path):
    if not shutil.which("shasum", path=os.defpath):
        pytest.skip("there is no program shasum")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "make", "grep", "shasum", "perl"):
        (tools / name).symlink_to(shutil.which(name, path=os.defpath))
    assert verified(sealed, str(tools)) == (0, "All 3 files are as they were archived.\n")
    (sealed / "results/p1/table.csv").unlink()
    code, printed = verified(sealed, str(tools))
    assert code != 0
    assert "results/p1/table.csv: FAILED" in printed


# What needs no run.


@pytest.fixture
def started(tmp_path, monkeypatch):
    """The current folder: the record of a run's configuration, and nothing else."""
    monkeypatch.chdir(tmp_path)
    record = Path(rebuild.RECORD)
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    return tmp_path


def test_without_the_record_of_its_configuration_nothing_is_rebuilt(started):
    Path(rebuild.RECORD).unlink()
    with pytest.raises(ArchiveError, match="There is no results/report/config"):
        rebuild.prepare()


def test_in_a_clone_what_git_tracks_is_rebuilt(started):
    if not shutil.which("git"):
        pytest.skip("there is no program git")
    Path("Snakefile").write_text("tracked")
    for command in (["init", "--quiet"], ["add", "Snakefile"]):
        subprocess.run(["git", *command], check=True)
    Path("mine.yaml").write_text("not tracked")
    assert rebuild.prepare() is None
    made = sorted(path.relative_to(rebuild.FOLDER).as_posix() for path in rebuild.FOLDER.rglob("*") if path.is_file())
    assert made == sorted(["Snakefile", SUMS, rebuild.CONFIG])
    assert set(read_sums(rebuild.FOLDER / SUMS)) == {"Snakefile"}


# An archive of the small run, unpacked.


@pytest.fixture(scope="module")
def archive(archived):
    """The zip."""
    return archived.zip


def python_unzip(archive, folder):
    """Unpack with times of now."""
    subprocess.run([sys.executable, "-m", "zipfile", "-e", archive, folder], check=True)


def unzip(archive, folder):
    """Unpack with the archive's times."""
    if not shutil.which("unzip"):
        pytest.skip("there is no program unzip")
    subprocess.run(["unzip", "-q", archive, "-d", folder], check=True)


def unzip_backwards(archive, folder):
    """Unpack with times that have the results before their sources."""
    python_unzip(archive, folder)
    for path in (folder / "results").rglob("*"):
        os.utime(path, (10**9, 10**9))


@pytest.fixture(scope="module")
def unpacked(archive, tmp_path_factory):
    """A function that unpacks the archive with another into a new folder."""

    def by(unpack):
        folder = tmp_path_factory.mktemp("unpacked")
        unpack(archive, folder / "zip")
        return Copy(folder / "an archive für alle", source=folder / "zip", ignore=None)

    return by


@pytest.fixture(scope="module")
def what_the_leaf_plans(small_run):
    """The jobs that the changed leaf schedules where the results were made."""
    return small_run.planned(*LEAF)


def run_script(copy, name):
    """(exit code, lines printed) of a script of the project in the copy."""
    command = [sys.executable, f"scripts/{name}.py"]
    done = subprocess.run(command, cwd=copy.path, capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout + done.stderr).splitlines()


@together
@pytest.mark.parametrize("unpack", [unzip, python_unzip, unzip_backwards])
def test_what_was_unpacked_is_believed_and_a_changed_leaf_seen(what_the_leaf_plans, unpacked, unpack):
    copy = unpacked(unpack)
    shutil.copy(copy.path / rebuild.RECORD, copy.path / "archived.yaml")
    assert "Nothing to be done" in copy.snakemake("--configfile", "archived.yaml")[1]
    assert copy.planned("--configfile", "archived.yaml", *LEAF) == what_the_leaf_plans
    assert verified(copy.path)[0] == 0  # logs and all


@together
def test_what_was_damaged_is_made_again(unpacked):
    copy = unpacked(unzip_backwards)
    shutil.copy(copy.path / rebuild.RECORD, copy.path / "archived.yaml")
    whole = copy.results()
    with open(copy.path / "results/p2/law.csv", "a") as table:
        table.write("damage")
    (copy.path / "results/p1/rescaled.svg").unlink()
    makers, rest = {"p1_figures", "p2_initialization"}, {"p2_figures", "claims_gather", "claims_gate"}
    configuration = ["--configfile", "archived.yaml"]
    assert copy.planned(*configuration) == makers | rest | {"report_numbers", "report_html", "report_pdf"}
    targets = "results/p2/law.csv", "results/p2/law.svg", "results/p1/rescaled.svg"
    code, printed = copy.snakemake(*targets, *configuration)
    assert code == 0, printed
    assert copy.results() == whole


@together
def test_two_rebuilds_at_once_are_refused(unpacked, monkeypatch):
    copy = unpacked(python_unzip)
    monkeypatch.chdir(copy.path)
    with claimed("rebuild.lock"):
        code, lines = run_script(copy, "rebuild")
    assert code == 1
    assert lines == ["Another rebuild is at work in this folder; wait until it is done, then start again."]


@together
def test_everything_is_made_again_and_compared(unpacked):
    copy = unpacked(python_unzip)
    copy.edit("Snakefile", "Homework", "Homewerk")
    code, lines = run_script(copy, "rebuild")
    assert code != 0
    assert lines == ["Snakefile: not as in the archive; nothing is rebuilt, unzip the archive again."]
    copy.edit("Snakefile", "Homewerk", "Homework")
    table = copy.path / "results/p1/equivalence.csv"
    with open(table, newline="") as file:
        rows = list(csv.reader(file))
    column = rows[0].index("dropout_p")
    old, rows[2][column] = rows[2][column], "0.9"
    table.write_text(as_csv(rows))
    (copy.path / "rebuild").mkdir()
    (copy.path / "rebuild/left.txt").write_text("of an earlier one")
    code, lines = run_script(copy, "rebuild")
    assert code == 1, lines
    verdicts = [line for line in lines if re.match(r"(identical|equal to 6 digits|different|missing): results/", line)]
    where = f"row 2, column dropout_p: '0.9' here, '{old}' rebuilt"
    others = [line for line in verdicts if not line.startswith("identical: ")]
    assert others == [f"different: results/p1/equivalence.csv ({where})"]
    assert f"{len(verdicts) - 1} identical, 0 equal to 6 digits, 1 different, 0 missing." in lines
    assert len(verdicts) > 100  # results and logs
    assert not (copy.path / "rebuild/left.txt").exists()
