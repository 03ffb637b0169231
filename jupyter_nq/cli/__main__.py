"""`python -m jupyter_nq.cli` is `jupyter nq`."""

from __future__ import annotations

import sys

from jupyter_nq.cli import main

sys.exit(main())
