"""Models of rate-limited APIs: rules, ways of telling of them, and the greedy schedule."""
