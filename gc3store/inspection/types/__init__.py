"""The types that inspection knows, one family a module."""
