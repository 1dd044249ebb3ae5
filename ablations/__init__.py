"""Asking questions: suites, their plans, and the runner that leaves a run folder."""
