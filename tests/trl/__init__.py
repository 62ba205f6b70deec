"""With the real trl and torch, in an environment of its own: `make test-trl`."""
