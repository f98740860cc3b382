"""A tour of the product against services on this machine: `python -m examples.demo`."""
