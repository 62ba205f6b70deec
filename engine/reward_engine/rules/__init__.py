"""Alert rules: read from YAML with every mistake told at once, compiled, and judged by one state machine."""
