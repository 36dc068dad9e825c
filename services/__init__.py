"""What you start: wiring only. The one place that sees every part."""
