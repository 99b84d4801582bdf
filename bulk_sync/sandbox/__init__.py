"""A North API on loopback, to try things on: the contract, limits and faults on demand, and a
journal.

What it knows of the API it knows from the contract, not from `check` and `send`: its
models, its rules and its journal are its own, so that it can bear witness.
"""
