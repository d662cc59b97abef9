"""What `--backend jsonl` has written, read with nothing but Python's json module.

usage: read_jsonl.py OUT   prints {run: {tag: [[kind, step, wall time, value], ...]}}, in the form of fixtures' expected.json
"""

import hashlib
import json
import os
import sys


def blob(out, item):
    """A file beside, by what is in it."""
    if item is None:
        return None
    with open(os.path.join(out, item["path"]), "rb") as file:
        content = file.read()
    assert len(content) == item["bytes"]
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def value_of(out, line):
    """A value as expected.json has it; None for kinds that it has in another form."""
    kind = line["kind"]
    if kind == "scalar":
        return line["value"]
    if kind == "histograms":
        return line["buckets"]
    if kind == "text":
        return {"shape": line["shape"], "strings": line["strings"]}
    if kind in ("images", "audio", "graphs"):
        return {"items": [blob(out, item) for item in line[{"images": "images", "audio": "clips", "graphs": "blobs"}[kind]]]}
    return None


def read(out):
    """All runs below a directory."""
    runs = {}
    for folder, _, names in os.walk(out):
        for name in names:
            if not name.endswith(".jsonl"):
                continue
            with open(os.path.join(folder, name), encoding="utf-8", newline="\n") as file:
                lines = [json.loads(line) for line in file]
            assert lines[0]["kind"] == "run" and lines[0]["format"] == 1
            assert lines[-1]["kind"] == "mark" and lines[-1]["status"] in ("finished", "failed", "running")
            tags = runs.setdefault(lines[0]["name"], {})
            for line in lines[1:]:
                if "tag" in line:
                    point = [line["kind"], line["step"], line["wall_time"], value_of(out, line)]
                    tags.setdefault(line["tag"], []).append(point)
    return runs


def main(out):
    """Print what is there."""
    json.dump(read(out), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
