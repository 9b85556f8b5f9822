"""Reports as HTML, for every command with ``--html``: the page, its template, and how plots are drawn."""
