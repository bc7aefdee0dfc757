"""What made each result: it is believed for what it is and for what made it, not for its name and time.

A job that is done leaves ``results/records/<job>.json``: its rule, parameters and code, and the SHA-256 sums of what it
read and wrote. A run compares that with the files and with what its rules would do now (staleness.py); a job compares
what it reads, and its own code at its start and its end. Snakemake's records lie in a hidden folder apart from the
results; nothing here rests on them.
"""

import fnmatch
import hashlib
import json
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pipeline.files import written_whole
from pipeline.sums import sha256
from pipeline.syntax import parsed

RECORDS = Path("results/records")
PLAN = Path(".snakemake/plan.json")  # of the run at work: what its jobs, on whatever machine, have to agree with
PARTS = Path(".snakemake/parts")  # the sums of temporary files, by the job that wrote them
TEMPORARY = "temporary"  # in place of such a sum: these files have all digits, and the last ones follow the processor
AGAIN = "run snakemake again: what is finished stays, only the rest is made."


class RecordError(ValueError):
    """What a job reads, or its code, is not what the run rests on; the message is one sentence with the mend."""


class Record(NamedTuple):
    """What a job did."""

    job: str
    rule: str
    parameters: dict  # but its code
    code: dict  # {file: digest, package: version}: the parameter of that name
    inputs: dict  # path -> sum, but those of its code
    outputs: dict  # path -> sum


def read_records():
    """Every Record that is whole."""
    for path in sorted(RECORDS.glob("*.json")):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            record = Record(path.stem, *(told[field] for field in Record._fields[1:]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue  # half a record tells nothing: what it was of is made again
        if all(isinstance(field, dict) for field in record[2:]):
            yield record


def part_sums():
    """{path: sum} of the temporary files that are here, or were."""
    found = {}
    for path in PARTS.glob("*.json"):
        with suppress(OSError, ValueError, TypeError):
            found |= dict(json.loads(path.read_text(encoding="utf-8")))
    return found


def write_plan(planned, sources):
    """Tell the jobs of this run what its rules do, and the sums of the files that no rule makes: {path: sum}."""
    told = {
        "rules": {rule: identity(plan.parameters, plan.code) for rule, plan in planned.items()},
        "sources": sources,
        "temporary": [path for plan in planned.values() for path in plan.temporary],
    }
    with written_whole(PLAN) as draft:
        draft.write_text(json.dumps(told), encoding="utf-8")


def _plan(in_run):
    """What ``write_plan`` told; nothing where no run has told its plan."""
    if not in_run:
        return {"rules": {}, "sources": {}, "temporary": []}
    return json.loads(PLAN.read_text(encoding="utf-8"))


def begun(job, in_run=True):
    """The Record of a job that begins, without outputs.

    job: the ``snakemake`` object of the script.  in_run: whether a run has told its plan.  Raises RecordError if the
    job rests on anything else than was planned.
    """
    parameters = dict(job.params.items())
    code = parameters.pop("code")
    plan = _plan(in_run)
    now = identity(parameters, code)
    if plan["rules"].get(job.rule, now) != now:
        raise RecordError(f"its parameters or its code have changed since the run was planned; {AGAIN}")
    own = code_paths(job)
    sums = {path: file_sum(path) for path in dict.fromkeys(map(str, job.input)) if path not in own}
    record = Record(Path(job.log[0]).stem, job.rule, parameters, code, sums, {})
    _check_code(code)
    _check_untouched([path for path in code if "/" in path])  # while it was loaded
    made, parts = {path: other for other in read_records() for path in other.outputs}, part_sums()
    for path, found in sums.items():
        if is_result(path):
            _check_result(path, found, made.get(path), parts, plan["rules"])
        elif plan["sources"].get(path, found) != found:
            raise RecordError(f"{path} has changed since the run was planned; {AGAIN}")
    return record


def finished(job, record, in_run=True):
    """Write the Record of a job that is done. Raises RecordError if what it read or ran has changed meanwhile."""
    _check_code(record.code)
    _check_untouched([path for path in record.inputs if not is_result(path)])
    for path, found in record.inputs.items():
        if file_sum(path) != found:
            raise RecordError(f"{path} has changed while it was read; {AGAIN}")
    patterns, outputs = _plan(in_run)["temporary"], {path: sha256(path) for path in map(str, job.output)}
    parts = {path: found for path, found in outputs.items() if fits(path, patterns)}
    if parts:
        _write(parts, PARTS / f"{record.job}.json")
    told = record._replace(outputs=outputs)._asdict()
    for side in ("inputs", "outputs"):
        told[side] = {path: TEMPORARY if fits(path, patterns) else found for path, found in told[side].items()}
    del told["job"]
    _write(told, RECORDS / f"{record.job}.json")


def _write(told, path):
    with written_whole(path) as draft:
        draft.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _check_code(code):
    """Raise RecordError unless the code is the planned one."""
    for path in (name for name in code if "/" in name):
        try:
            found = parsed(path).digest
        except (OSError, SyntaxError, ValueError):
            found = None  # it is gone, or half written
        if found != code[path]:
            raise RecordError(f"{path} has changed since the run was planned; {AGAIN}")


def _check_untouched(paths):
    """Raise RecordError if a file was written since the job began, also if that was taken back.

    The job began when Snakemake wrote the script that runs.
    """
    began = os.stat(sys.argv[0]).st_ctime_ns
    for path in paths:
        if not os.path.exists(path) or os.stat(path).st_ctime_ns > began:
            raise RecordError(f"{path} was written while the job was at work; {AGAIN}")


def _check_result(path, found, record, parts, planned):
    """Raise RecordError unless a result is what its record says, and its rule as planned.

    parts: of ``part_sums``.  planned: {rule: identity}.
    """
    if not record or found != (parts.get(path) if record.outputs[path] == TEMPORARY else record.outputs[path]):
        raise RecordError(f"{path} is not what {f'the rule {record.rule}' if record else 'a rule'} wrote; {AGAIN}")
    now = identity(record.parameters, record.code)
    if planned.get(record.rule, now) != now:
        raise RecordError(f"{path} was made by the rule {record.rule} with other parameters or code; {AGAIN}")


def identity(parameters, code):
    """A digest of what a rule does."""
    return hashlib.sha256(as_json([parameters, code]).encode()).hexdigest()


def as_json(value):
    """JSON, with the order of keys and the kind of numbers, both of which results depend on."""
    return json.dumps(value, ensure_ascii=False)


def code_paths(rule):
    """The paths of a rule's, or a job's, input ``code`` as a set; Snakemake has a single one without its list."""
    paths = rule.input.get("code") or []
    return {paths} if isinstance(paths, str) else set(map(str, paths))


def fits(path, patterns):
    """Whether a path is one of those that a rule names, perhaps with a wildcard."""
    return any(fnmatch.fnmatchcase(path, as_glob(pattern)) for pattern in patterns)


def as_glob(pattern):
    """A path of a rule with its wildcards as those of a shell."""
    return re.sub(r"\{.*?\}", "*", pattern)


def is_result(path):
    """Whether a path is one of those that rules make."""
    return path.startswith("results/")


def file_sum(path):
    """The sum of a file; None if it cannot be read, or is none, such as a pipe, which would never end."""
    try:
        return sha256(path) if os.path.isfile(path) else None
    except OSError:
        return None
