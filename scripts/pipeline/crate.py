"""The archive's metadata: a Provenance Run Crate 0.5, which says what was made from what, by what, with which values.

Nothing in it depends on when, where or by whom the workflow was run. Entities are named after what they stand for.
"""

import json
from fnmatch import fnmatchcase
from functools import reduce
from operator import getitem
from pathlib import Path
from urllib.parse import quote

from rocrate.rocrate import ROCrate

from pipeline.config import DEFAULTS, SCHEMA, read_yaml
from pipeline.engine import pandoc_version
from pipeline.provenance import leaves
from pipeline.results import TYPES, described, meaning, results_dictionary
from pipeline.sources import DISTRIBUTIONS, fingerprint, installed, python

WORKFLOW = "Snakefile"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
BIOSCHEMAS = "https://bioschemas.org/profiles/{}/1.0-RELEASE"
COMPLETED = "http://schema.org/CompletedActionStatus"
PRONOM = "https://www.nationalarchives.gov.uk/PRONOM/{}"
FORMATS = {  # suffix -> media type, and PRONOM's name of the format where it has one
    ".bib": ("application/x-bibtex", None),
    ".css": ("text/css", "x-fmt/224"),
    ".csv": ("text/csv", "x-fmt/18"),
    ".html": ("text/html", "fmt/471"),
    ".js": ("text/javascript", "x-fmt/423"),
    ".json": ("application/json", "fmt/817"),
    ".lua": ("text/x-lua", None),
    ".md": ("text/markdown", "fmt/1149"),
    ".mjs": ("text/javascript", "x-fmt/423"),
    ".pdf": ("application/pdf", "fmt/479"),
    ".py": ("text/x-python", "fmt/938"),
    ".qmd": ("text/markdown", "fmt/1149"),
    ".rst": ("text/x-rst", None),
    ".sh": ("text/x-shellscript", None),
    ".svg": ("image/svg+xml", "fmt/92"),
    ".toml": ("application/toml", None),
    ".yaml": ("application/yaml", "fmt/818"),
    ".yml": ("application/yaml", "fmt/818"),
}
PLAIN = ("text/plain", "x-fmt/111")
KINDS = {bool: "Boolean", int: "Integer", float: "Number"}  # of values; all else is Text


def crate_text(project, citation, config, steps, jobs, sums):
    """The content of ro-crate-metadata.json.

    project: its ``name`` and ``version``; citation: the parsed CITATION.cff; config: that of the run.
    steps: of ``provenance.steps``; jobs: of ``archive.recorded_jobs``; sums: {path: digest} of every file.
    """
    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms["sha256"] = "https://w3id.org/ro/terms/workflow-run#sha256"
    _add_root(crate, project, citation, config["report"]["date"])
    files = {path: _add_file(crate, path, digest) for path, digest in sorted(sums.items()) if path != WORKFLOW}
    files["README.md"]["about"] = crate.root_dataset
    made = [path for job in jobs for path in [*job.outputs, job.record]]
    files |= {path: _add_temporary(crate, path) for path in made if path not in files}
    values = _add_values(crate, config)
    tools = {step["script"]: _as_tool(crate, files[step["script"]], step["script"], project) for step in steps}
    workflow = _add_workflow(crate, project, sums[WORKFLOW])
    workflow["hasPart"], workflow["input"] = list(tools.values()), [value["exampleOfWork"] for value in values.values()]
    workflow["step"] = [
        _add(
            *(crate, f"#step/{step['name']}", "HowToStep"),
            name=step["name"],
            description=step["about"],
            position=str(position),
            workExample=tools[step["script"]],
        )
        for position, step in enumerate(steps, start=1)
    ]
    results = {path: files[path] for path in made if path in sums}
    workflow["output"] = _add_outputs(crate, results)
    _add_run(crate, workflow, steps, jobs, files, values)["result"] = list(results.values())
    return json.dumps(_plain(crate.metadata.generate()), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _plain(told):
    """The metadata with a list of one as that one, as RO-Crate recommends."""
    for entity in told["@graph"]:
        for key, value in entity.items():
            if isinstance(value, list) and len(value) == 1:
                entity[key] = value[0]
    return told


def _add(crate, name, kind, /, **properties):
    """Add a contextual entity with those properties that are not None, and return it."""
    kept = {key: value for key, value in properties.items() if value is not None}
    return crate.add_jsonld({"@id": name, "@type": kind} | kept)


def _add_root(crate, project, citation, date):
    root, spdx = crate.root_dataset, f"https://spdx.org/licenses/{citation['license']}"
    root["name"], root["description"] = citation["title"], citation["abstract"].strip()
    root["identifier"], root["version"] = f"{project['name']}-{project['version']}", project["version"]
    root["datePublished"], root["keywords"] = date, ", ".join(citation["keywords"])
    root["license"] = _add(crate, spdx, "CreativeWork", name=f"{citation['license']} licence", url=spdx)
    root["author"] = [_add_author(crate, author) for author in citation["authors"]]
    root["conformsTo"] = [
        _add(crate, name, "CreativeWork", name=title, version=version) for name, (title, version) in PROFILES.items()
    ]


def _add_author(crate, author):
    """A person or, if there is only a name, a group; as CITATION.cff has them."""
    name = author.get("name") or f"{author['given-names']} {author['family-names']}"
    identifier = author.get("orcid") or author.get("website") or f"#author/{quote(name)}"
    kind = "Organization" if "name" in author else "Person"
    return _add(crate, identifier, kind, name=name, url=author.get("website"), affiliation=author.get("affiliation"))


def _add_file(crate, path, digest):
    """A file with its format, size and sum; a result with what the dictionary of results says of it."""
    properties = {"name": path, "contentSize": str(Path(path).stat().st_size), "sha256": digest}
    media_type, pronom = FORMATS.get(Path(path).suffix, PLAIN)
    properties["encodingFormat"] = media_type
    if pronom:
        name = PRONOM.format(pronom)
        properties["encodingFormat"] = [
            media_type,
            crate.get(name) or _add(crate, name, "WebSite", name=f"PRONOM {pronom}: {media_type}"),
        ]
    if path.startswith("results/") and not path.startswith("results/logs/"):
        properties["description"] = _in_words(described(path.removeprefix("results/")))
    return crate.add_file(dest_path=path, properties=properties)


def _add_temporary(crate, path):
    """A result that was deleted when all that is made of it was made."""
    about = f"{_in_words(described(path.removeprefix('results/')))} Temporary: not in the archive."
    return _add(crate, f"#temporary/{path}", "CreativeWork", name=path, description=about)


def _in_words(entry):
    """What a result is, with the meaning of its columns."""
    if "columns" not in entry:
        return entry["about"]
    columns = [f"{name} ({TYPES[column['type']]}): {meaning(column)}" for name, column in entry["columns"].items()]
    return f"{entry['about']} A row is {entry['row']}. Columns: {'; '.join(columns)}."


def _add_values(crate, config):
    """{dotted key: its value in this run, as an example of a parameter of the workflow}, of the whole configuration."""
    defaults, schema, values = read_yaml(DEFAULTS), read_yaml(SCHEMA), {}
    for key in leaves(config):
        path = key.split(".")
        value = reduce(getitem, path, config)
        parameter = _add(
            *(crate, f"#parameter/{key}", "FormalParameter"),
            name=key,
            description=reduce(lambda node, part: node["properties"][part], path, schema)["description"],
            additionalType=KINDS.get(type(value), "Text"),
            defaultValue=_shown(reduce(getitem, path, defaults)),
            conformsTo={"@id": BIOSCHEMAS.format("FormalParameter")},
        )
        values[key] = _add_value(crate, key, value, exampleOfWork=parameter)
        parameter["workExample"] = values[key]
    return values


def _add_value(crate, name, value, **properties):
    return _add(crate, f"#value/{name}", "PropertyValue", name=name, value=_shown(value), **properties)


def _shown(value):
    """A number or a text as it is, all else as JSON."""
    return value if isinstance(value, int | float | str) else json.dumps(value, ensure_ascii=False)


def _add_outputs(crate, results):
    """The workflow's outputs: one for each entry of the dictionary of results, with the files that it describes."""
    outputs = []
    for pattern, entry in results_dictionary().items():
        files = [file for path, file in results.items() if fnmatchcase(path.removeprefix("results/"), pattern)]
        if not files:
            continue
        output = _add(
            *(crate, f"#output/{pattern}", "FormalParameter"),
            name=entry["title"],
            description=entry["about"],
            additionalType="File",
            conformsTo={"@id": BIOSCHEMAS.format("FormalParameter")},
            workExample=files,
        )
        for file in files:
            file["exampleOfWork"] = output
        outputs.append(output)
    return outputs


def _as_tool(crate, file, script, project):
    """The script's file as a tool, with the packages that it and the modules behind it use."""
    used = fingerprint(script)
    packages = [_software(crate, DISTRIBUTIONS[name], used[name]) for name in used if name in DISTRIBUTIONS]
    if "pypandoc" in used:
        version = pandoc_version()
        page = f"https://github.com/jgm/pandoc/releases/tag/{version}"
        packages.append(
            crate.get(page) or _add(crate, page, "SoftwareApplication", name="Pandoc", url=page, version=version)
        )
    file.properties()["@type"] = ["File", "SoftwareSourceCode"]
    file["softwareRequirements"], file["version"] = packages, project["version"]
    return file


def _software(crate, name, version):
    page = f"https://pypi.org/project/{name}/{version}/"
    return crate.get(page) or _add(crate, page, "SoftwareApplication", name=name, url=page, softwareVersion=version)


def _add_workflow(crate, project, digest):
    """The Snakefile as the main workflow."""
    workflow = crate.add_workflow(dest_path=WORKFLOW, main=True, lang="snakemake", lang_version=installed("snakemake"))
    workflow.properties()["@type"] = ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"]
    page = f"https://docs.python.org/{python()}/"
    language = _add(crate, page, "SoftwareApplication", name="Python", url=page, softwareVersion=python())
    workflow["name"], workflow["version"] = project["name"], project["version"]
    workflow["conformsTo"] = {"@id": BIOSCHEMAS.format("ComputationalWorkflow")}
    workflow["softwareRequirements"] = [_software(crate, "snakemake", installed("snakemake")), language]
    workflow["encodingFormat"], workflow["sha256"] = PLAIN[0], digest
    workflow["contentSize"] = str(Path(WORKFLOW).stat().st_size)
    return workflow


def _add_run(crate, workflow, steps, jobs, files, values):
    """What happened: an action for each job, one for each step, that of the workflow (returned), and its engine's."""
    actions = {}
    for step in steps:
        given = [values[key] for key in step["keys"]]
        given += [_add_value(crate, f"{step['name']}.{name}", value) for name, value in step["own"].items()]
        actions[step["name"]] = [
            _add_action(
                *(crate, f"#job/{job.name}", "CreateAction"),
                name=job.name,
                description=step["about"],
                instrument=files[step["script"]],
                object=[files[path] for path in job.inputs if path != step["script"]] + given,
                result=[files[path] for path in [*job.outputs, job.log, job.record]],
            )
            for job in jobs
            if job.rule == step["name"]
        ]
    run = _add_action(
        *(crate, "#run", "CreateAction"),
        name="Run of the workflow",
        description="All jobs, with the configuration in results/report/config.yaml.",
        instrument=workflow,
        object=list(values.values()),
    )
    control = [
        _add_action(
            crate, f"#control/{name}", "ControlAction", instrument=step, object=actions[name], name=f"Start of {name}"
        )
        for name, step in ((step["name"], crate.get(f"#step/{step['name']}")) for step in steps)
    ]
    engine = crate.get(f"https://pypi.org/project/snakemake/{installed('snakemake')}/")
    _add_action(
        *(crate, "#engine", "OrganizeAction"), name="Work of Snakemake", instrument=engine, object=control, result=run
    )
    crate.root_dataset["mentions"] = [run, *(action for own in actions.values() for action in own)]
    return run


def _add_action(crate, name, kind, /, **properties):
    return _add(crate, name, kind, actionStatus=COMPLETED, **properties)
