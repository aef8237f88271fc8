"""An experiment: its configs are written, tried, and run stage by stage."""
