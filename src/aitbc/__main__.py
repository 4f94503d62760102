"""``python -m aitbc`` is ``aitbc``."""

import sys

from aitbc.cli import main

sys.exit(main())
