"""The reward model that tells intended deformation from failure, and its pairs."""
