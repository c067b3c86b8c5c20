"""Losses as equations: flow matching, span corruption, reward, preference."""
