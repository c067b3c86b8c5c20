"""The five dimensions, measured against Cel World's truth, and the report."""
