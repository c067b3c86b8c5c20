"""One thin main a verb."""
