"""nginx for one session: its configuration, its command, and what its access log says of connections."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from upfml.testbed.host import Host

_LOG_FORMAT = "$msec $remote_addr $remote_port $connection $request_uri $bytes_sent $request_time"
_REQUEST = re.compile(
    r"(?P<t_s>[\d.]+) (?P<address>\S+) (?P<port>\d+) \d+ (?P<uri>/\S*) (?P<bytes>\d+) (?P<duration_s>[\d.]+)"
)


class WebServer:
    """nginx on `host` at `address`:`port`, with everything that it writes within `folder`.

    `location` is what its configuration says of the files that it serves, for all names of the server.
    """

    def __init__(self, host: Host, folder: Path, address: str, port: int, location: str) -> None:
        self._host, self._folder = host, folder.resolve()
        self._address, self._port, self._location = address, port, location

    def prepare(self) -> list[str | Path]:
        """Write the configuration, remove what an earlier session has left, and return the command line."""
        (self._folder / "temporary").mkdir(parents=True, exist_ok=True)
        self._host.run(["rm", "-f", self._pid_file, self._access_log])
        configuration = self._folder / "nginx.conf"
        configuration.write_text(self.configuration())
        self._host.send(self._folder)
        return ["nginx", "-e", "stderr", "-p", self._folder, "-c", configuration]

    def configuration(self) -> str:
        """The text of nginx.conf."""
        temporary = "\n".join(
            f'    {name}_temp_path "{self._host.path(self._folder)}/temporary/{name}";'
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        # One process, no master: it dies with the run that started it, also after a kill, and pidstat sees all of it.
        return f"""daemon off;
master_process off;
pid "{self._host.path(self._pid_file)}";
error_log stderr;
events {{ worker_connections 512; }}
http {{
{temporary}
    log_format flows "{_LOG_FORMAT}";
    access_log "{self._host.path(self._access_log)}" flows;
    types {{ application/dash+xml mpd; video/mp4 m4s; }}
    sendfile on;
    server {{
        listen {self._address}:{self._port};
        {self._location}
    }}
}}
"""

    def listens(self) -> bool:
        """Whether it can be asked: nginx writes its pid after it has begun to listen."""
        return self._host.run(["test", "-e", self._pid_file]).returncode == 0

    def log(self) -> str:
        """The access log so far. A request is in it when it has ended, so see `connections` first."""
        self._host.fetch(self._access_log)
        return self._access_log.read_text()

    def connections(self, pid: int) -> int:
        """Connections of the server, process `pid`, that are open; 0 when it has ended."""
        table = self._host.run(["cat", f"/proc/{pid}/net/tcp"]).stdout
        rows = [line.split() for line in table.splitlines()[1:]]
        held = {"01", "08"}  # ESTABLISHED, and CLOSE_WAIT, which the server has not closed yet
        return sum(row[1].endswith(f":{self._port:04X}") and row[3] in held for row in rows)

    @property
    def _pid_file(self) -> Path:
        return self._folder / "nginx.pid"

    @property
    def _access_log(self) -> Path:
        return self._folder / "access.log"


def requests(access_log: str) -> pd.DataFrame:
    """One row a request in an access log: t_s (epoch, when it ended), address, port, uri, bytes, duration_s."""
    found = [match.groupdict() for match in map(_REQUEST.fullmatch, access_log.splitlines()) if match]
    frame = pd.DataFrame(found, columns=list(_REQUEST.groupindex))
    return frame.astype({"t_s": "float64", "port": "int32", "bytes": "int64", "duration_s": "float64"})
