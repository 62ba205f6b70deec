"""Grafana as code: six dashboards, built here, committed as JSON in `json/`, and published into a Grafana.

The builders need `grafana-foundation-sdk`, a development dependency; what an installed wheel uses is the JSON alone.
"""
