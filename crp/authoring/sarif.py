"""Problems as SARIF 2.1.0, which code hosts and editors show beside the lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from crp.language.codes import CODES
from crp.models import Problem

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(problems: Sequence[Problem], version: str) -> dict[str, Any]:
    """Give one run with all problems, and the rule behind each code."""
    codes = sorted({problem.code for problem in problems} | set(CODES))
    driver = {"name": "crp", "semanticVersion": version, "rules": [_rule(code) for code in codes]}
    results = [_result(problem, codes.index(problem.code)) for problem in problems]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    level = "warning" if code.startswith("W") else "error"
    return {
        "id": code,
        "shortDescription": {"text": CODES.get(code, code)},
        "defaultConfiguration": {"level": level},
    }


def _result(problem: Problem, rule: int) -> dict[str, Any]:
    help = f"\n{problem.help}" if problem.help else ""
    region = {
        "startLine": problem.line,
        "startColumn": problem.column,
        "endColumn": problem.column + problem.width,
    }
    place = {"artifactLocation": {"uri": _uri(problem.file)}, "region": region}
    return {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": problem.severity,
        "message": {"text": problem.message + help},
        "locations": [{"physicalLocation": place}],
    }


def _uri(file: str) -> str:
    path = PurePath(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
