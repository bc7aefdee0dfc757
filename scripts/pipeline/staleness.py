"""Which results a run keeps: those whose records (records.py) fit the files and what the rules would do now."""

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from pipeline.records import TEMPORARY, as_glob, as_json, code_paths, file_sum, fits, is_result, part_sums, read_records

FOUND = {}  # {output: Doubt}: what the run of this process has found


class Plan(NamedTuple):
    """What a rule does now."""

    parameters: dict  # but its code
    code: dict  # {file: digest, package: version}: the rule's parameter of that name
    inputs: list  # paths, but those of its code
    outputs: list  # paths, perhaps with a wildcard
    temporary: list  # of the outputs


class Doubt(NamedTuple):
    """Why results cannot be kept."""

    damaged: tuple = ()  # outputs that are not what the rule wrote, or of which nothing tells how they were made
    changed: tuple = ()  # files that are others now
    values: Mapping = MappingProxyType({})  # name of a parameter or a package -> (before, now)
    regrouped: bool = False  # whether the rule reads other files
    unnamed: bool = False  # whether its parameters differ in another way, such as their order

    def __bool__(self):
        return any(self)


def plans(rules):
    """{name: Plan} of those of Snakemake's rules that have a script."""
    return {rule.name: _plan(rule) for rule in rules if rule.script}


def _plan(rule):
    parameters = dict(rule.params.items())
    code = code_paths(rule)
    return Plan(
        code=parameters.pop("code"),
        parameters=parameters,
        inputs=[str(path) for path in rule.input if str(path) not in code],
        outputs=list(map(str, rule.output)),
        temporary=[str(path) for path in rule.output if path.flags.get("temp")],
    )


def source_sums(planned):
    """{path: sum} of what the rules read and none of them makes; None for a file that is not there."""
    return {path: file_sum(path) for plan in planned.values() for path in plan.inputs if not is_result(path)}


def doubts(planned):
    """{output: Doubt} of the results that are here and that the run may not keep. planned: {rule: Plan}."""
    records, found = list(read_records()), {}
    agrees = _comparison(planned, {path: written for record in records for path, written in record.outputs.items()})
    for rule, plan in planned.items():
        for outputs, record in _jobs(plan, [record for record in records if record.rule == rule]):
            there = [path for path in outputs if os.path.lexists(path)]
            if not record:
                doubt = Doubt(damaged=tuple(there))
            elif there or plan.outputs == plan.temporary:
                doubt = _doubt(plan, record, there, agrees)
            else:
                continue  # Snakemake sees by itself that all are missing
            if doubt:
                found |= dict.fromkeys(outputs, doubt)
    return found


def _comparison(planned, made):
    """A function (path, recorded sum) that tells whether a file is the recorded one or, if it is not there, was.

    made: {path: recorded sum}. A temporary file has to be told of, and to be what its job wrote, if it is there.
    """
    temporary, parts = [path for plan in planned.values() for path in plan.temporary], part_sums()
    now = functools.cache(file_sum)

    def agrees(path, recorded):
        told = made.get(path)
        if not fits(path, temporary):
            return (now(path) or told) == recorded
        written = parts.get(path) if told == TEMPORARY else told
        return told is not None and (not os.path.lexists(path) or now(path) == written)

    return agrees


def _jobs(plan, records):
    """(outputs, Record or None) of each job of a rule that has left something."""
    if not any("{" in path for path in plan.outputs):
        record = next((record for record in records if set(record.outputs) == set(plan.outputs)), None)
        yield plan.outputs, record
        return
    told = [record for record in records if all(fits(path, plan.outputs) for path in record.outputs)]
    for record in told:
        yield list(record.outputs), record
    known = {path for record in told for path in record.outputs}
    for path in (str(path) for pattern in plan.outputs for path in Path().glob(as_glob(pattern))):
        if path not in known:
            yield [path], None


def _doubt(plan, record, there, agrees):
    """The Doubt about the outputs of a job that are there. agrees: of ``_comparison``."""
    wildcards = any("{" in path for path in plan.outputs)
    same = [path for path in plan.inputs if path in record.inputs]
    code, parameters = _differing(record.code, plan.code), (record.parameters, plan.parameters)
    values = _differing(*map(leaves, parameters)) | {name: pair for name, pair in code.items() if "/" not in name}
    summed = _differing(*(leaves(side.get("checksums")) for side in parameters))
    changed = {name for name in code if "/" in name}
    changed |= {path for path in same if not agrees(path, record.inputs[path])}
    return Doubt(
        damaged=tuple(path for path in there if not (os.path.isfile(path) and agrees(path, record.outputs[path]))),
        changed=tuple(sorted(changed | summed.keys())),
        values={name: pair for name, pair in values.items() if not name.startswith("checksums.")},
        regrouped=not wildcards and set(plan.inputs) != set(record.inputs),
        unnamed=not values and as_json(plan.parameters) != as_json(record.parameters),
    )


def _differing(before, now):
    """{name: (before, now)} of what differs between two mappings; None stands for what one of them has not."""
    pairs = {name: (before.get(name), now.get(name)) for name in dict.fromkeys([*before, *now])}
    return {name: pair for name, pair in pairs.items() if as_json(pair[0]) != as_json(pair[1])}


def leaves(values, path=""):
    """{dotted name: value} of nested mappings but for what is told of single files."""
    found = {}
    for key, value in values.items() if isinstance(values, dict) else ():
        found |= leaves(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}": value}
    return found


def set_times(planned, doubted):
    """Date believed outputs not before what they were made from: Snakemake takes what is older for outdated."""
    for _ in planned:  # rules may stand in any order: at the latest when each had its turn, all times are in order
        changed = [_set_times(plan) for plan in planned.values() if doubted.isdisjoint(plan.outputs)]
        if not any(changed):
            break


def _set_times(plan):
    """Date the outputs of a rule; returns whether that changed anything."""
    inputs = [os.stat(path).st_mtime_ns for path in plan.inputs if os.path.isfile(path)]
    newest, changed = max(inputs, default=0), False
    for path in filter(os.path.isfile, plan.outputs):
        if os.stat(path).st_mtime_ns < newest:
            try:
                os.utime(path, ns=(newest, newest))
            except OSError:
                continue  # somebody else's file: the job runs again
            changed = True
    return changed


def leftovers(planned, doubted):
    """The temporary outputs that are here though what reads them is up to date: a run was killed just before."""
    patterns = [as_glob(path) for plan in planned.values() for path in plan.temporary]
    left = [str(path) for pattern in patterns for path in Path().glob(pattern)]
    readers = {path: record for record in read_records() for path in record.inputs} if left else {}
    for path in left:
        reader = readers.get(path)
        if reader and doubted.isdisjoint(reader.outputs) and all(map(os.path.isfile, reader.outputs)):
            yield path
