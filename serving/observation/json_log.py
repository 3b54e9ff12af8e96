"""Logs as one JSON object a line, on standard error. Holds no bytes of pictures and no keys."""

import datetime
import json
import logging
import sys
from typing import Any

LOGGER = logging.getLogger('serving.gateway')


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        document: dict[str, Any] = {
            'time': time.isoformat(timespec='milliseconds').replace('+00:00', 'Z'),
            'level': record.levelname.lower(),
            'message': record.getMessage(),
            **getattr(record, 'fields', {}),
        }
        if record.exc_info:
            document['exception'] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False)


def start() -> None:
    """Sends the logs of all libraries to standard error, from the level INFO on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    for name in ('httpx', 'python_multipart', 'multipart', 'uvicorn.access'):
        logging.getLogger(name).setLevel(logging.WARNING)


def info(message: str, **fields: Any) -> None:
    """Logs an event with its fields."""
    LOGGER.info(message, extra={'fields': fields})


def exception(message: str, **fields: Any) -> None:
    """Logs the exception that is being handled."""
    LOGGER.exception(message, extra={'fields': fields})
