"""The one place that thinks: what a store does besides moving bytes."""
