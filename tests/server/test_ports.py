"""Addresses and ports that nobody can listen on are one clear line each."""

import socket

import pytest

from emotalk_server.errors import InvalidAddress, PortInUse
from emotalk_server.ports import Ports, check_ports, free_ports, is_loopback, reachable

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("address", ["localhost", "192.0.2.1", "300.1.1.1", "", "x" * 500])
def test_an_address_that_is_not_this_machines(address):
    with pytest.raises(InvalidAddress) as refused:
        check_ports(Ports(1024, 1025, 1026), address)
    assert "accepted" in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("port", [0, -1, 65_536, 99_999])
def test_a_number_that_is_not_a_ports(port):
    with pytest.raises(InvalidAddress, match=rf"--grpc-port {port} is not a port; accepted: 1\.\.65535"):
        check_ports(Ports(8000, port, 8002), "127.0.0.1")


def test_ports_must_differ():
    free = free_ports().http
    with pytest.raises(InvalidAddress, match="not different"):
        check_ports(Ports(free, free, free), "127.0.0.1")


def test_a_taken_one():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=rf"the metrics port 127\.0\.0\.1:{port} cannot be used"):
            check_ports(Ports(free_ports().http, free_ports().grpc, port), "127.0.0.1")


def test_where_a_server_is_reached():
    assert reachable("0.0.0.0") == "127.0.0.1"
    assert reachable("::") == reachable("::1") == "[::1]"
    assert is_loopback("127.9.9.9")
    assert not is_loopback("0.0.0.0")
