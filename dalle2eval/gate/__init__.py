"""The gate: did a change make the samples worse? A verdict with an exit code that CI can trust."""
