"""What the reader takes as one of tracelet's own records: its bounds are those of src/reader/plugins/tracelet.ts.

What exceeds them is refused here, where the script can be told; the reader would only count it as unreadable.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, Optional

from ..notice import once

#: Of a record's JSON, and of what says which record it is; bytes.
_MAX_JSON = 1 << 20
_MAX_CONTENT = 16 << 10
_MAX_NAMES = 10_000
#: Of names and a metric's type, in UTF-16 units.
_MAX_NAME = 1000
_MAX_TYPE = 100
#: Of an artifact's path and each of its parts, bytes.
_MAX_PATH = 1000
_MAX_PART = 200


def records_of(values: Mapping[str, Any], what: str) -> Iterator[bytes]:
    """Names and values as the JSON of as many records as they need. what: what each of them is, for the warning."""
    entries: list[bytes] = []
    size = 0
    for name, value in values.items():
        problem = name_problem(name)
        entry = _json(name) + b": " + _json(value)
        if problem is None and len(entry) + 2 > _MAX_JSON:
            problem = f"takes {len(entry)} bytes; {_MAX_JSON - 2} are possible. log_text and log_artifact take more"
        if problem is not None:
            once(f"{what} {short(name)} {problem}; skipped")
            continue
        if entries and (size + len(entry) + 2 > _MAX_JSON or len(entries) == _MAX_NAMES):
            yield _object(entries)
            entries, size = [], 0
        entries.append(entry)
        size += len(entry) + 2
    if entries:
        yield _object(entries)


def metric_record(tag: str, step: int, metric_type: Optional[str], metadata: Mapping[str, Any]) -> Optional[bytes]:
    """A metric's type and metadata as JSON; None if there is no way to say so."""
    problem = name_problem(tag)
    if problem is not None:
        once(f"log_enhanced_metric({short(tag)}): its name {problem}; sent without type and metadata")
        return None
    about: dict[str, Any] = {"tag": tag, "step": step}
    if metric_type is not None and _units(metric_type) > _MAX_TYPE:
        once(f"log_enhanced_metric({tag!r}): its type is longer than {_MAX_TYPE} characters; sent without type")
    elif metric_type is not None:
        about["type"] = metric_type
    plain = _json(about)
    if not metadata:
        return plain
    data = _json({**about, "metadata": metadata})
    if len(data) <= _MAX_JSON and len(metadata) <= _MAX_NAMES and all(name_problem(name) is None for name in metadata):
        return data
    once(
        f"log_enhanced_metric({tag!r}): its metadata have more than {_MAX_NAMES} names, a name of more than"
        f" {_MAX_NAME} characters, or more than {_MAX_JSON} bytes; sent without metadata"
    )
    return plain


def name_problem(name: str) -> Optional[str]:
    return f"is longer than {_MAX_NAME} characters" if _units(name) > _MAX_NAME else None


def path_problem(path: str) -> Optional[str]:
    """Why a text cannot be an artifact's path; None if it can."""
    if path == "":
        return "is empty"
    if any(char == "\\" or unicodedata.category(char) in ("Cc", "Cs") for char in path):
        return "has a backslash, a control character, or bytes that are not UTF-8"
    if len(path.encode()) > _MAX_PATH:
        return f"is longer than {_MAX_PATH} bytes"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return f"has the part {part!r}"
        if len(part.encode()) > _MAX_PART:
            return f"has a part longer than {_MAX_PART} bytes"
    return None


def reference_problem(content: Mapping[str, Any]) -> Optional[str]:
    """Why a file cannot be named in a record; None if it can."""
    if any(unicodedata.category(char) == "Cs" for char in content["file"]):
        return "the file's path is not UTF-8"
    # What the record adds to it is short.
    return "the file's path is too long" if len(_json(content)) + 100 > _MAX_CONTENT else None


def short(value: Any) -> str:
    """A value in a warning, whatever it is."""
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 60 else f"{text[:59]}…"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _object(entries: list[bytes]) -> bytes:
    return b"{" + b", ".join(entries) + b"}"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
