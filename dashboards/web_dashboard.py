"""The web dashboard for `streamlit run dashboards/web_dashboard.py -- [--data-dir DIR]`; `reward-monitor web` starts the same."""

from __future__ import annotations

from runpy import run_module

run_module("reward_dashboards.web.app", run_name="__main__")
