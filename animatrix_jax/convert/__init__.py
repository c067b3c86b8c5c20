"""Wan's, umT5's and T5X's weights, in and out, by one table of names a family."""
