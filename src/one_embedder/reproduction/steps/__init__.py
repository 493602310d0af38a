"""The work behind a table: configurations, the verbs, what a result depends on."""
