"""`python -m la_medical` is `la-medical`."""

import sys

from la_medical.cli.main import main

sys.exit(main())
