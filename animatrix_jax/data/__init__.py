"""From clips, drawn or real, to batches: sources, sampling weights, Grain pipelines."""
