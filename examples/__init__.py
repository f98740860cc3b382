"""Examples: a demo, and the external systems that it and the tests talk to."""
