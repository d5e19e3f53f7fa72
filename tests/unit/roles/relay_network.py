"""Run in a network of its own: a relay with rules, and a machine on the other end of a cable. Prints what got through.

unshare --user --map-root-user --net python relay_network.py RULES NAME-OF-THE-CABLE
"""

import json
import socket
import subprocess
import sys
import time

HERE, FAR = "10.9.0.1", "10.9.0.2"
# What the far machine does: so many connections at once to a port; prints how many of them are answered.
CONNECT = """
import select, socket, sys, time
asked = []
for _ in range(int(sys.argv[2])):
    connection = socket.socket()
    connection.setblocking(False)
    connection.connect_ex((sys.argv[1], int(sys.argv[3])))
    asked.append(connection)
answered = set()
end = time.monotonic() + 0.5  # before a dropped one asks again
while time.monotonic() < end:
    answered.update(select.select([], asked, [], 0.05)[1])
print(sum(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 for connection in answered))
"""


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout


def counted() -> int:
    listed = json.loads(run("nft", "-j", "list", "counter", "inet", "protostar_relay", "egress"))
    return next(entry["counter"]["bytes"] for entry in listed["nftables"] if "counter" in entry)


def main(rules: str, cable: str) -> None:
    far = subprocess.Popen(["unshare", "--net", "sleep", "60"])
    try:
        while run("readlink", f"/proc/{far.pid}/ns/net") == run("readlink", "/proc/self/ns/net"):
            time.sleep(0.01)
        inside = ("nsenter", "--target", str(far.pid), "--net")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", cable, "type", "veth", "peer", "name", "far")
        run("ip", "link", "set", "far", "netns", str(far.pid))
        run("ip", "address", "add", f"{HERE}/24", "dev", cable)
        run("ip", "link", "set", cable, "up")
        run(*inside, "ip", "address", "add", f"{FAR}/24", "dev", "far")
        run(*inside, "ip", "link", "set", "far", "up")
        run("nft", "-f", rules)
        run("nft", "-f", rules)  # as often as wanted
        servers = [socket.create_server(("", port), backlog=512) for port in (443, 9101)]

        def connect(count: int, port: int) -> int:
            return int(run(*inside, sys.executable, "-c", CONNECT, HERE, str(count), str(port)))

        def leaving(address: str) -> int:
            before = counted()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"x" * 1000, (address, 9))
            return counted() - before

        connect(1, 9101)  # the far machine's address is known then
        print(
            json.dumps(
                {
                    "counted": {"loopback": leaving("127.0.0.1"), "cable": leaving(FAR)},
                    "metrics": connect(1, 9101),
                    "at once": connect(60, 443),
                }
            )
        )
        del servers
    finally:
        far.kill()


if __name__ == "__main__":
    main(*sys.argv[1:])
