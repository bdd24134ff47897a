"""`python -m phitrain` is the `phitrain` command, so that `torchrun -m phitrain train …` works."""

from phitrain.cli import main

raise SystemExit(main())
