"""One JSON object a line on stdout, with the same keys as the other apps."""

import json
import logging
import sys


class JsonFormatter(logging.Formatter):
    """A record as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a mapping is logged as an object, so that its fields can be searched."""
        line = {
            "level": record.levelname.lower(),
            "timestamp": int(record.created * 1000),
            "message": record.msg if isinstance(record.msg, dict) else record.getMessage(),
            "context": record.name,
        }
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure() -> None:
    """Send every log of the process to stdout."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
