"""The measurements in bench/: every script starts and explains itself, so that none breaks unnoticed."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted(
    path
    for path in (ROOT / "bench").rglob("*.py")
    if 'if __name__ == "__main__":' in path.read_text() and path.parent.name != "support"  # started by others
)
ALL_IN_ONE = """
import contextlib, io, json, runpy, sys, traceback
found, path = {}, list(sys.path)
for script in sys.argv[1:]:
    sys.argv, sys.path[:] = [script, "--help"], [script.rpartition("/")[0], *path]
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_path(script, run_name="__main__")
        found[script] = "it has no --help"
    except SystemExit as end:
        found[script] = "" if end.code == 0 and "usage:" in out.getvalue() else f"{end.code!r}: {out.getvalue()}"
    except BaseException:
        found[script] = traceback.format_exc()
print(json.dumps(found))
"""
"""Each script runs as a program does; what they import, above all torch, is imported once."""


def test_every_script_answers_help():
    assert len(SCRIPTS) > 20
    names = [str(path) for path in SCRIPTS]
    ended = subprocess.run(
        [sys.executable, "-c", ALL_IN_ONE, *names],
        capture_output=True,
        text=True,
        timeout=250,
        cwd=ROOT,
        env={**os.environ, "MPLBACKEND": "agg"},
    )
    assert ended.returncode == 0, ended.stderr
    assert {name: why for name, why in json.loads(ended.stdout.splitlines()[-1]).items() if why} == {}
