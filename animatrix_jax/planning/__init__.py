"""What a step would need and how fast it would run, on devices that are not here."""
