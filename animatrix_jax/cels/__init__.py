"""Cel World: anime clips drawn procedurally from the taxonomy, with known truth."""
