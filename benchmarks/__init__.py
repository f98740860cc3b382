"""What Tieline costs, as ratios to the same work done by hand on the same machine at the same time.

    python -m benchmarks [NAME…]

Nothing here passes or fails: timings are for reading.
"""
