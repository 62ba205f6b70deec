"""The commands of `reward-monitor`, a module each: `add(commands)` declares one, `run(given)` does it."""
