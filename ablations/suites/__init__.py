"""The built-in suites: one YAML file each, listed by `dalle2eval list suites`."""
