"""The paper's claims, measured: what each needs trained, sampled and read."""
