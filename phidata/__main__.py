"""`python -m phidata` is the `phidata` command."""

from phidata.cli import main

raise SystemExit(main())
