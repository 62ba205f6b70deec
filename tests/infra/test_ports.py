"""Which ports a data directory gets."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from reward_infra.errors import PortTaken
from reward_infra.ports import Ports, is_free, read, require_free


@pytest.fixture
def taken():
    """A port on which somebody listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_the_choice_is_remembered_and_taken_again(tmp_path: Path) -> None:
    first = Ports(tmp_path / "ports.json", tmp_path / "claims")
    chosen = first.choose({"a": 29992, "b": 29993})
    first.release()
    again = Ports(tmp_path / "ports.json", tmp_path / "claims")
    assert again.choose({"a": 29994, "b": 29995}) == chosen == read(tmp_path / "ports.json")
    again.release()


def test_a_taken_port_is_passed_over(tmp_path: Path, taken: int) -> None:
    assert not is_free(taken)
    ports = Ports(tmp_path / "ports.json", tmp_path / "claims")
    chosen = ports.choose({"a": taken})["a"]
    assert chosen != taken and is_free(chosen) and read(tmp_path / "ports.json") == {"a": chosen}
    ports.release()


def test_two_that_choose_at_once_get_different_ports(tmp_path: Path) -> None:
    first, second = Ports(None, tmp_path), Ports(None, tmp_path)
    mine = first.choose({"a": 29996})["a"]
    assert second.choose({"a": mine})["a"] != mine  # nobody listens there yet, but it is claimed
    first.release()
    second.release()


def test_none_lies_where_clients_get_their_ports_from(tmp_path: Path) -> None:
    lowest_of_clients = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = Ports(None, tmp_path)
    for name in "abcdefgh":
        assert ports.choose({name: 0})[name] < lowest_of_clients
    ports.release()


def test_a_port_that_must_be_free_and_is_not_is_named(taken: int) -> None:
    with pytest.raises(PortTaken, match=f"Port {taken} is taken: Kafka cannot listen on it"):
        require_free(taken, "Kafka")
