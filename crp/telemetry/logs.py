"""How a worker writes its log: lines for people, or JSON lines for programs. Touches stderr.

Every line names the job, and the step and attempt where they are known. No line has a prompt or an
answer in it: what pydantic quotes of the data it refuses is left out of tracebacks too.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Literal

from temporalio import activity, workflow

from crp.telemetry.place import here

LogFormat = Literal["text", "json"]

_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\n]{0,4000}?(?:\x07|\x1b\\)|.)?")
_QUOTED = re.compile(r"input_value=.*?, input_type=", re.DOTALL)
_HIDDEN = "input_value=(not shown), input_type="


def log_to_stderr(form: LogFormat) -> None:
    """Send the log of this process to stderr: warnings of others, everything of ours from INFO."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("crp").setLevel(logging.INFO)
    # The SDK puts what we say in fields of our own behind every message.
    activity.logger.activity_info_on_message = False
    workflow.logger.workflow_info_on_message = False


class TextLines(logging.Formatter):
    """`TIME LEVEL [JOB STEP#ATTEMPT] LOGGER: MESSAGE`, one line each."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(place)s%(name)s: %(shown)s")

    def format(self, record: logging.LogRecord) -> str:
        place = here()
        step, attempt = place.get("step", ""), place.get("attempt", 0)
        words = [place.get("job_id", ""), f"{step}#{attempt}" if attempt else step]
        told = " ".join(word for word in words if word)
        record.place = f"[{told}] " if told else ""
        record.shown = message_of(record)
        return super().format(record)

    def formatException(self, ei: Any) -> str:
        return discreet(super().formatException(ei))


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, then the place where it is known."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": message_of(record),
            **here(),
        }
        if record.exc_info:
            line["exception"] = discreet(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=True, default=str)


def message_of(record: logging.LogRecord) -> str:
    """Give a message as one line that steers no terminal, whatever a model wrote into it."""
    text = _SEQUENCES.sub("", discreet(record.getMessage()))
    return "".join(c for c in text.replace("\n", " / ") if c.isprintable())


def discreet(text: str) -> str:
    """Leave out what pydantic quotes of data that it refused."""
    return _QUOTED.sub(_HIDDEN, text)
