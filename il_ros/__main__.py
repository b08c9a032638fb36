"""`python -m il_ros` is `il-ros`."""

import sys

from il_ros.cli.main import main

sys.exit(main())
