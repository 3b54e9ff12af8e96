"""Charts, text tables and HTML pages: how metrics are shown."""
