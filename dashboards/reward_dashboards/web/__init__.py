"""The web dashboard: `reward-monitor web`. Streamlit draws; what it draws comes from a `Source`.

source.py          what pages ask for        store_source.py, directory_source.py: who answers
figures.py         charts                    chart.py: a chart that keeps its zoom while it lives
state.py           what stands in the URL    app.py: the pages in one
"""
