#!/bin/sh
# Find a Python that AITBC runs on and let it install what LEVEL needs: bootstrap.sh server|dev
#
# PYTHON=/path/to/python chooses one. A candidate is tried, not only looked up: the stand-ins of version
# managers are on PATH for versions that are not there. The environment's own Python comes last: it serves
# where the one that made it is no longer on PATH.
set -u

suitable='import sys; sys.exit(sys.version_info < (3, 11))'

if [ -n "${PYTHON:-}" ]; then
    if "$PYTHON" -c "$suitable" >/dev/null 2>&1; then
        exec "$PYTHON" tools/install.py "$@"
    fi
    echo "error: PYTHON=$PYTHON is not a Python 3.11 or newer." >&2
    exit 1
fi

for candidate in python3.13 python3.12 python3.11 python3.14 python3 python .venv/bin/python; do
    if "$candidate" -c "$suitable" >/dev/null 2>&1; then
        exec "$candidate" tools/install.py "$@"
    fi
done

echo "error: AITBC needs Python 3.11 or newer, and none was found on PATH." >&2
echo "hint: install one from https://www.python.org/downloads/ or your system's packages," >&2
echo "      or name one: make run PYTHON=/path/to/python3.12" >&2
exit 1
