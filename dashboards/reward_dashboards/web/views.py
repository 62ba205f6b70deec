"""Views under a name: a page and what stands in its URL, for everybody who looks at this server."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import streamlit as st
from reward_schemas.errors import MonitorError

from reward_dashboards.web import parts

_NAME_MAX = 60
_VIEWS_MAX = 200


def place() -> Path:
    """The file that holds them, of who runs the server."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "reward-monitor" / "views.json"


def saved(file: Path) -> dict[str, str]:
    """Name to PAGE?QUERY. Raises MonitorError where the file can't be read."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise MonitorError(
            f"The saved views can't be read: {error}", where=str(file), remedy="mend or remove the file"
        ) from error


def save(file: Path, name: str, address: str) -> None:
    """Keeps one, or with an empty address forgets it. Raises MonitorError where there is no room for it."""
    kept = {each: where for each, where in saved(file).items() if each != name} | ({name: address} if address else {})
    if len(kept) > _VIEWS_MAX:
        raise MonitorError(f"There are {_VIEWS_MAX} views already.", where=str(file), remedy="forget one")
    begun = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        begun.write_bytes(msgspec.json.format(msgspec.json.encode(kept)))
        begun.replace(file)
    except OSError as error:
        raise MonitorError(
            f"The view can't be saved: {error.strerror}.", where=str(file), remedy="make the directory writable"
        ) from error


def shown(page: str) -> None:
    """The views of a page, as links, and a place to save what is shown, or to forget one."""
    file = place()
    try:
        found = {name: where for name, where in saved(file).items() if where.partition("?")[0] == page}
        links, keep = st.columns([5, 1], vertical_alignment="bottom")
        links.markdown(" · ".join(f"[{parts.plain(name)}]({where})" for name, where in found.items()) or ":gray[No saved views.]")
        with keep.popover("Save view"):
            name = st.text_input("Name", key="view-name", max_chars=_NAME_MAX).strip()
            if st.button("Save", disabled=not name, key="view-save"):
                save(file, name, f"{page}?{urlencode(_parameters(), doseq=True)}")
                st.rerun()
            gone = st.selectbox("Forget", ["", *found], key="view-forget")
            if gone and st.button("Forget it", key="view-gone"):
                save(file, gone, "")
                st.rerun()
    except MonitorError as error:
        st.error(parts.plain(str(error)), icon=":material/warning:")


def _parameters() -> dict[str, list[str]]:
    return {name: st.query_params.get_all(name) for name in st.query_params}
