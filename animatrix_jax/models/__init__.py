"""The networks: diffusion transformer, tag encoder, T5, causal video VAE."""
