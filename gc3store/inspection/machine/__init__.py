"""Pickle streams read without running them."""
