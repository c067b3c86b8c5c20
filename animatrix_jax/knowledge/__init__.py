"""The production taxonomy, and the directives that speak it."""
