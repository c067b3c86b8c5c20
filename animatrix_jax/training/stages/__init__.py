"""The stages that this room can define: autoencoder, text tower, generator."""
