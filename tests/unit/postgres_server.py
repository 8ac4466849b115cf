"""A PostgreSQL server of the tests' own: in a folder that goes with it, reached by a Unix socket in there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import adbc_driver_postgresql.dbapi


def server_programs() -> Path | None:
    """The folder of `initdb` and `postgres`: the newest of Debian's, or the one on the path; None: there is none."""
    if sys.platform == "win32":
        # It is reached by a Unix socket, and ended by a signal.
        return None
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: (len(folder.parts[-2]), folder))
    on_path = shutil.which("initdb")
    folders = [*reversed(debian), *([Path(on_path).resolve().parent] if on_path else [])]
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


class PostgresServer:
    """A server that runs until it is stopped. It refuses to run as root, and is then run as `postgres` or `nobody`."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        # Not below pytest's folders: the path of a socket has some hundred bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="cepheid-pg-"))
        self.process: subprocess.Popen[bytes] | None = None
        self.user: dict[str, object] = {}
        if sys.platform != "win32" and os.getuid() == 0:
            import pwd

            names = {entry.pw_name: entry for entry in pwd.getpwall()}
            entry = names.get("postgres") or names["nobody"]
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
            self.user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        command = ["initdb", "-D", self.data, "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        done = subprocess.run(self._command(*command), capture_output=True, text=True, check=False, **self._around())
        if done.returncode:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise RuntimeError(done.stderr)

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    @property
    def uri(self) -> str:
        return f"postgresql:///postgres?host={self.folder}&user=tests"

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [str(self.programs / program), *arguments]

    def _around(self) -> dict[str, object]:
        return {"cwd": self.folder, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}, **self.user}

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        log = open(self.folder / "log", "ab")  # noqa: SIM115 (the server keeps it)
        command = ["postgres", "-D", self.data, "-k", str(self.folder), "-c", "listen_addresses=", "-c", "fsync=off"]
        self.process = subprocess.Popen(self._command(*command), stdout=log, stderr=log, **self._around())
        log.close()
        until = time.monotonic() + 60
        while True:
            try:
                adbc_driver_postgresql.dbapi.connect(self.uri).close()
                return
            except Exception:
                if time.monotonic() > until or self.process.poll() is not None:
                    self.stop()
                    raise RuntimeError((self.folder / "log").read_text(errors="replace")[-2000:]) from None
                time.sleep(0.05)

    def stop(self) -> None:
        """Ends it at once, with every connection."""
        process, self.process = self.process, None
        if process is not None:
            import signal

            # "Immediate": its children end, too, and shared memory is given back.
            process.send_signal(signal.SIGQUIT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
