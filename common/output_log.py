"""The log of a process that a supervisor keeps: lines of JSON on its output, which the supervisor puts in a file."""

import logging
import sys

from common.daemon_log import JsonLines


def output_log(name: str) -> logging.Logger:
    """The log of this process."""
    log = logging.getLogger(f"hepafed.{name}")
    if not log.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(JsonLines())
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
    return log
