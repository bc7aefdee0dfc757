"""The archive: the same bytes from anywhere, whole, and a valid account of how it was made."""

import getpass
import io
import json
import os
import platform
import random
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from datetime import date
from importlib.resources import files
from pathlib import Path

import pytest
import requests
import yaml
from requests_cache import CachedSession
from rocrate_validator import services
from rocrate_validator.models import Severity
from urllib3 import HTTPResponse

from conftest import EMBEDDED, PROJECT, SMALL, Copy, track
from pipeline import archive, sums
from pipeline.archive import ArchiveError, Job
from pipeline.project import CRATE
from pipeline.provenance import leaves
from pipeline.sums import SUMS, SumsError

together = pytest.mark.xdist_group("runs")  # they share whole runs of the workflow
CONTEXT = "https://w3id.org/ro/crate/1.1/context"


@pytest.fixture(scope="module")
def unpacked(archived, tmp_path_factory):
    """The archive's members, modes and times as Python's unzipper leaves them; the validator wants a plain folder."""
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", archived.zip, folder], check=True)
    return folder


@pytest.fixture(scope="module")
def crate(unpacked):
    """The entities of the archive's metadata, by name."""
    told = json.loads((unpacked / CRATE).read_text(encoding="utf-8"))
    entities = {entity["@id"]: entity for entity in told["@graph"]}
    assert len(entities) == len(told["@graph"])
    return entities


def names(entity, key):
    """The names of the entities that a property refers to."""
    value = entity.get(key, [])
    return [item["@id"] for item in (value if isinstance(value, list) else [value])]


def of_type(crate, kind):
    return [entity for entity in crate.values() if entity["@type"] == kind]


# The zip.


def test_the_order_of_listings_the_umask_modes_and_times_do_not_change_the_zip(tmp_path, monkeypatch):
    results = {"ä/ö.csv": b"1\n", "a b/c.txt": b"", "z.bin": bytes(range(256)) * 999}
    sources = {"Z": b"x", "a.py": b"\r\n", "lib/é.py": b"#"}
    made = set()
    for seed, umask in enumerate((0o022, 0o077, 0o000)):
        folder = tmp_path / str(seed)
        folder.mkdir()
        monkeypatch.chdir(folder)
        before = os.umask(umask)
        for name, content in (results | sources).items():
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).write_bytes(content)
            os.utime(name, (10**9 * seed, 10**9 * seed))
        shuffled = [random.Random(seed).sample(sorted(names), len(names)) for names in (results, sources)]
        archive.write_zip("x.zip", *shuffled, {"text": "é"}, "2026-11-24")
        os.umask(before)
        with zipfile.ZipFile("x.zip") as written:
            assert {name: written.read(name) for name in written.namelist()} == results | sources | {
                "text": "é".encode()
            }
            days = {member.filename: member.date_time[2] for member in written.infolist()}
            assert days == dict.fromkeys([*results, "text"], 24) | dict.fromkeys(sources, 23)
        made.add(Path("x.zip").read_bytes())
    assert len(made) == 1


@pytest.mark.parametrize("day", ["0001-01-01", "1980-01-01", "2107-12-31", "9999-12-31"])
def test_a_date_that_no_zip_can_say_is_moved_and_sources_stay_older(tmp_path, monkeypatch, day):
    monkeypatch.chdir(tmp_path)
    Path("result").touch()
    Path("source").touch()
    archive.write_zip("x.zip", ["result"], ["source"], {}, day)
    with zipfile.ZipFile("x.zip") as written:
        assert written.getinfo("source").date_time < written.getinfo("result").date_time


@together
def test_the_archive_holds_sources_results_logs_and_their_account_and_nothing_else(archived, small_run):
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=archived.path, capture_output=True, text=True, check=True)
    tracked = listed.stdout.strip("\0").split("\0")
    results = [f"results/{name}" for name in small_run.results()]
    logs = [path.relative_to(small_run.path).as_posix() for path in small_run.path.glob("results/logs/*.log")]
    with zipfile.ZipFile(archived.zip) as written:
        members = written.infolist()
    assert [member.filename for member in members] == sorted([*tracked, *results, *logs, CRATE, SUMS])
    assert {(m.create_system, m.external_attr >> 16, m.compress_type, m.date_time[3:]) for m in members} == {
        (3, 0o100644, zipfile.ZIP_STORED, (0, 0, 0))
    }
    for member in members:
        if member.filename not in (CRATE, SUMS):
            assert member.file_size == (archived.path / member.filename).stat().st_size


@together
@pytest.mark.parametrize("unzipper", ["unzip", "zipfile"])
def test_standard_tools_unpack_and_check_the_archive(archived, tmp_path, unzipper):
    command = {
        "unzip": ["unzip", "-q", archived.zip],
        "zipfile": [sys.executable, "-m", "zipfile", "-e", archived.zip, "."],
    }
    for program in (command[unzipper][0], "sha256sum"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    subprocess.run(command[unzipper], cwd=tmp_path, check=True)
    check = ["sha256sum", "--check", "--strict", "--quiet", SUMS]
    subprocess.run(check, cwd=tmp_path, check=True)
    with open(tmp_path / "results/p1/equivalence.csv", "r+b") as table:
        table.write(b"A")
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stdout.startswith("results/p1/equivalence.csv: ")
    assert len(done.stdout.splitlines()) == 1


@together
def test_an_unpacked_archive_is_archived_again_to_the_same_bytes(archived, unpacked, tmp_path):
    copy = Copy(tmp_path / "ein Archiv für alle", source=unpacked, ignore=None)
    shutil.copyfile(unpacked / "results/report/config.yaml", copy.path / "mine.yaml")
    done = subprocess.run(
        copy.command("archive", "--configfile", "mine.yaml"),
        cwd=copy.path,
        env=os.environ | {"TZ": "Asia/Kathmandu", "LC_ALL": "C"},
        umask=0o077,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 steps (100%) done" in done.stdout + done.stderr  # only the archive itself
    again = copy.path / archived.zip.relative_to(archived.path)
    assert again.read_bytes() == archived.zip.read_bytes()


# The account.


@pytest.fixture(scope="module")
def misses(unpacked, tmp_path_factory):
    """What the validator, without a network, finds missing: {(check, message): level}."""
    cache = tmp_path_factory.mktemp("validator") / "cache"
    content = files("rocrate").joinpath("data/ro-crate.jsonld").read_bytes()
    with CachedSession(cache, backend="sqlite", expire_after=-1) as session:
        answer = requests.Response()
        answer.url, answer.status_code, answer.request = CONTEXT, 200, requests.Request("GET", CONTEXT).prepare()
        answer.headers["Content-Type"] = "application/ld+json"
        answer.raw = HTTPResponse(io.BytesIO(content), headers=answer.headers, status=200, preload_content=False)
        session.cache.save_response(answer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the validator asks the network"))
        result = services.validate(
            services.ValidationSettings(
                rocrate_uri=str(unpacked),
                profile_identifier="provenance-run-crate-0.5",
                requirement_severity=Severity.RECOMMENDED,
                offline=True,
                cache_path=cache,
            )
        )
    return {(issue.check.identifier, issue.message): issue.severity for issue in result.get_issues()}


@together
@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")  # the validator's own
def test_the_account_meets_all_that_the_profile_requires(misses):
    assert [miss for miss, level in misses.items() if level >= Severity.REQUIRED] == []


@together
def test_what_the_account_lacks_of_the_recommended_is_listed_with_reasons(misses):
    page = (PROJECT / "docs/archive.md").read_text(encoding="utf-8")
    assert set(misses) == set(re.findall(r"^\| (\S+_\S+) \| (.+) \| \S.+\. \|$", page, flags=re.MULTILINE))


@together
def test_every_file_of_the_archive_is_in_the_account_with_its_size_and_sum(crate, unpacked):
    listed = sums.read_sums(unpacked / SUMS)
    assert set(names(crate["./"], "hasPart")) == set(listed) - {CRATE}
    for path, digest in listed.items():
        if path != CRATE:
            assert crate[path]["sha256"] == digest
            assert crate[path]["contentSize"] == str((unpacked / path).stat().st_size)


@together
def test_every_result_comes_from_one_job_and_every_job_is_of_a_step(crate, small_run):
    jobs = [entity for name, entity in crate.items() if name.startswith("#job/")]
    made = [name for job in jobs for name in names(job, "result")]
    logs = [path.relative_to(small_run.path).as_posix() for path in small_run.path.glob("results/logs/*.log")]
    temporary = {f"#temporary/results/p5/parts/{name}-1-of-1.csv" for name in ("fits", "closer", "samples", "nested")}
    assert sorted(made) == sorted([*(f"results/{name}" for name in small_run.results()), *logs, *temporary])
    started = [name for control in of_type(crate, "ControlAction") for name in names(control, "object")]
    assert sorted(started) == sorted(job["@id"] for job in jobs)
    for control in of_type(crate, "ControlAction"):
        step = crate[control["instrument"]["@id"]]
        assert step["@id"] in names(crate["Snakefile"], "step")
        for name in names(control, "object"):
            assert crate[name]["instrument"] == step["workExample"]
    assert temporary <= set(names(crate["#job/p5_merge"], "object") + names(crate["#job/p5_auxiliary"], "object"))
    positions = [int(step["position"]) for step in of_type(crate, "HowToStep")]
    assert sorted(positions) == list(range(1, len(positions) + 1))


@together
def test_a_job_reads_what_others_made_and_the_files_and_values_of_its_rule(crate):
    reads = names(crate["#job/p5_figures"], "object")
    assert {"results/p5/summary.csv", "scripts/pipeline/style.py", "#value/double_descent.n_train"} <= set(reads)
    assert "#value/double_descent.seed" not in reads
    assert "#value/dropout.p" in names(crate["#job/p1_dropout"], "object")
    assert crate["#value/report_pdf.format"]["value"] == "pdf"
    engine = crate["scripts/report_render.py"]["softwareRequirements"]
    assert {"Pandoc", "typst"} <= {crate[package["@id"]]["name"] for package in engine}


@together
def test_the_values_are_those_of_the_run_and_examples_of_described_parameters(crate, unpacked):
    config = yaml.safe_load((unpacked / "results/report/config.yaml").read_text())
    assert config["report"]["engine"] == "pandoc"
    assert [f"#parameter/{key}" for key in leaves(config)] == names(crate["Snakefile"], "input")
    for key in leaves(config):
        value = config
        for part in key.split("."):
            value = value[part]
        told = crate[f"#value/{key}"]["value"]
        assert (json.loads(told) if isinstance(value, dict | list) else told) == value
        assert crate[crate[f"#value/{key}"]["exampleOfWork"]["@id"]]["description"].endswith(".")


@together
def test_the_account_names_no_time_place_or_user(crate, archived):
    text = json.dumps(list(crate.values()))
    for word in (str(archived.path.parent), platform.node(), getpass.getuser()):
        assert not re.search(rf"(?<![\w.]){re.escape(word)}(?!\w)", text), word
    assert set(re.findall(r"\b2\d{3}-\d\d-\d\d\b(?!\.)", text)) == {crate["./"]["datePublished"]}
    beside = json.loads(archived.zip.with_suffix(".run.json").read_text(encoding="utf-8"))
    assert beside["archive"] == {"name": archived.zip.name, "sha256": sums.sha256(archived.zip)}
    assert sorted(f"#job/{job['job']}" for job in beside["jobs"]) == sorted(n for n in crate if n.startswith("#job/"))
    assert all(job["start"] <= job["end"] for job in beside["jobs"])


# What keeps an archive from being made.


def test_the_sources_are_what_git_tracks_or_the_sums_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("Snakefile", "ä", "results/r", CRATE)
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(name, encoding="utf-8")
    Path(SUMS).write_text(sums.sums_text({name: sums.sha256(name) for name in names}))
    Path("mine").touch()
    assert archive.source_files() == ["Snakefile", "ä"]
    assert sums.mismatches(sums.read_sums()) == {}
    Path("Snakefile").write_text("c")
    Path("ä").unlink()
    assert sums.mismatches(sums.read_sums()) == {"Snakefile": "differs", "ä": "missing"}
    with pytest.raises(ArchiveError, match="ä is not there"):
        archive.source_files()
    Path("ä").touch()
    for name in (CRATE, SUMS, "mine"):
        Path(name).unlink()
    track(".")
    assert archive.source_files() == ["Snakefile", "results/r", "ä"]
    Path("ä").unlink()
    with pytest.raises(ArchiveError, match="ä is not there"):
        archive.source_files()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ArchiveError, match="git cannot tell that here; install git"):
        archive.source_files()


def test_a_file_that_holds_no_sums_is_refused(tmp_path):
    for content in ("", "x\n", "0" * 63 + "  a\n", "0" * 64 + "  a\nb\n"):
        (tmp_path / SUMS).write_text(content)
        with pytest.raises(SumsError, match="holds no sums"):
            sums.read_sums(tmp_path / SUMS)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "results/../../victim", "a/./b", "a//b", "..", "./a", "a/"])
def test_sums_of_files_outside_the_folder_are_refused(tmp_path, name):
    (tmp_path / SUMS).write_text(f"{'0' * 64}  {name}\n")
    with pytest.raises(SumsError, match="which lies outside this folder"):
        sums.read_sums(tmp_path / SUMS)


def test_a_missing_log_or_record_is_named_with_the_mend(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArchiveError, match=r"results/x\.csv has no record of how it was made; delete it"):
        archive.recorded_jobs(["results/x.csv"])
    with pytest.raises(ArchiveError, match=r"results/logs/x\.log is missing; delete results/x\.csv"):
        archive.accounts([Job("x", "x", [], ["results/x.csv"])])


def refused(copy, *arguments, **environment):
    """What a run of the rule says that ends before any job."""
    done = subprocess.run(
        copy.command("archive", *SMALL, *arguments),
        cwd=copy.path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert not (copy.path / "results").exists()
    return done.stderr


def test_an_archive_that_cannot_be_made_is_refused_in_one_sentence_before_any_job(project, tmp_path):
    track(project.path)
    subprocess.run(["git", "rm", "--quiet", "--cached", "report/p1.yml"], cwd=project.path, check=True)
    assert "report/p1.yml, which the rules read, is not; git add it." in refused(project, *EMBEDDED)
    subprocess.run(["git", "add", "report/p1.yml"], cwd=project.path, check=True)
    (project.path / "README.md").unlink()
    assert "README.md is not there; restore the sources" in refused(project, *EMBEDDED)
    quarto = tmp_path / "bin/quarto"
    quarto.parent.mkdir()
    quarto.write_text("#!/bin/sh\necho 1.10.1\n")
    quarto.chmod(0o755)
    path = f"{quarto.parent}:{os.environ['PATH']}"
    assert "the embedded engine, for it to be the same anywhere: make archive does" in refused(project, PATH=path)


# What cites it.


def test_the_citation_is_whole_and_its_dates_agree():
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what version 1.2.0 of the format requires
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in ("software", "dataset")
    assert date.fromisoformat(citation["date-released"]) == date.fromisoformat(
        yaml.safe_load((PROJECT / "workflow/config.yaml").read_text())["report"]["date"]
    )
    assert (PROJECT / "LICENSE").read_text().startswith(f"{citation['license']} License")
    for author in citation["authors"]:
        assert set(author) & {"name", "family-names"}
    for key in ("abstract", "keywords", "version"):
        assert citation[key]
