"""Write the dashboards to files/dashboards: python roles/grafana/dashboards."""

import json
from pathlib import Path

from containers import CONTAINERS
from host import HOST
from logs import LOGS
from loki import LOKI_DASHBOARD
from minio import MINIO
from monitoring import MONITORING
from nginx import NGINX
from overview import OVERVIEW
from postgresql import POSTGRESQL
from redis import REDIS
from relay import RELAY
from releases import RELEASES

ALL = (OVERVIEW, HOST, CONTAINERS, NGINX, RELEASES, RELAY, POSTGRESQL, REDIS, LOKI_DASHBOARD, MINIO, LOGS, MONITORING)
FILES = {
    f"{content['uid'].removeprefix('protostar-')}.json": json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    for content in ALL
}

if __name__ == "__main__":
    directory = Path(__file__).parents[1] / "files/dashboards"
    for name, content in FILES.items():
        (directory / name).write_text(content, encoding="utf-8")
