"""The one loop: state, step, checkpoints, metrics, and the stages it runs."""
