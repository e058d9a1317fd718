"""`python -m microgpt.cli`, the same as the `microgpt` command."""

from microgpt.cli import main

raise SystemExit(main())
