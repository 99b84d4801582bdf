"""A North API on loopback: the contract, limits and faults on demand, and a journal.

It has models and rules of its own, written from the contract and not from `check` and `send`,
because a mistake in those two has to show here.
"""
